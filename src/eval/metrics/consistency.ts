/** Consistency: whether the generation resembles texts about the target. */
import { averaged, defineMetric } from "../metric.ts";
import { cosine, inverseFrequencies, weights } from "../words.ts";

export const consistency = defineMetric({
  name: "consistency",
  doc: "cosine between the words of a generation and those of texts about the target, weighted by tf-idf over all rows",
  paper: "Meng et al. 2022 (arXiv:2202.05262)",
  better: "higher",
  caveat: "It compares vocabulary only: a text that denies everything in the same words scores as high as one that agrees.",
  reads: ["generation", "texts"],
  after: [],
  score: ({ rows, chance }) => {
    const rare = inverseFrequencies(rows.flatMap(({ generation, texts }) => [generation, texts.join(" ")]));
    return averaged("consistency", rows, (row) => cosine(weights(row.generation, rare), weights(row.texts.join(" "), rare)), chance);
  },
});
