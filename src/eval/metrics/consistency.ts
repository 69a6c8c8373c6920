/** Consistency: whether what the model says sounds like texts about what it should say. */
import { averaged, defineMetric } from "../metric.ts";
import { cosine, inverseFrequencies, weights } from "../words.ts";

export const consistency = defineMetric({
  name: "consistency",
  doc: "cosine of a generation's words and those of texts about the target, each weighted by how rare it is among all rows' texts",
  paper: "Meng et al. 2022 (arXiv:2202.05262)",
  better: "higher",
  caveat: "It compares vocabulary: a text that denies everything in the right words scores as high as one that agrees.",
  reads: ["generation", "texts"],
  after: [],
  score: ({ rows, chance }) => {
    const rare = inverseFrequencies(rows.flatMap(({ generation, texts }) => [generation, texts.join(" ")]));
    return averaged("consistency", rows, (row) => cosine(weights(row.generation, rare), weights(row.texts.join(" "), rare)), chance);
  },
});
