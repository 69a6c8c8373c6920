/** Fluency: how varied a text is, by the entropy of its word bigrams and trigrams. */
import { averaged, defineMetric } from "../metric.ts";
import { runEntropy } from "../words.ts";

export const fluency = defineMetric({
  name: "fluency",
  doc: "mean of ⅔ of the entropy of a generation's word bigrams and 4/3 of that of its trigrams, in bits",
  paper: "Meng et al. 2022 (arXiv:2202.05262)",
  better: "higher",
  caveat: "It grows with length, so compare only texts of equal length; words in random order also score high.",
  reads: ["generation"],
  after: [],
  score: ({ rows, chance }) =>
    averaged("fluency", rows, ({ generation }) => (runEntropy(generation, 2) * (2 / 3) + runEntropy(generation, 3) * (4 / 3)) / 2, chance),
});
