/** Fluency: how varied a text is, by the entropy of its pairs and triples of words. */
import { averaged, defineMetric } from "../metric.ts";
import { runEntropy } from "../words.ts";

export const fluency = defineMetric({
  name: "fluency",
  doc: "mean of ⅔ of the entropy of a generation's pairs of words and 4/3 of that of its triples, in bits",
  paper: "Meng et al. 2022 (arXiv:2202.05262)",
  better: "higher",
  caveat: "It grows with length and is as high for words in a random order, so that only texts of one length compare.",
  reads: ["generation"],
  after: [],
  score: ({ rows, chance }) =>
    averaged("fluency", rows, ({ generation }) => (runEntropy(generation, 2) * (2 / 3) + runEntropy(generation, 3) * (4 / 3)) / 2, chance),
});
