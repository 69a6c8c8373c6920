/** Composite: forgetting and retaining as one number. */
import { defineMetric, type Score } from "../metric.ts";
import { bootstrap, drawnMean } from "../stats.ts";

export const composite = defineMetric({
  name: "composite",
  doc: "1 − ROUGE-1 of the forget rows + ROUGE-1 of the retain rows",
  paper: "arXiv:2505.19855",
  better: "higher",
  caveat: "A model that did nothing and one that was destroyed both score 1.",
  reads: [],
  after: ["rouge1@forget", "rouge1@retain"],
  score: ({ scores, chance }) => {
    const [forget, retain] = [scores["rouge1@forget"]!, scores["rouge1@retain"]!];
    const [gone, kept] = [forget, retain].map(({ bySample }: Score) => Object.values(bySample)) as [number[], number[]];
    return {
      value: 1 - forget.value + retain.value,
      bySample: {},
      interval: bootstrap([gone.length, kept.length], ([a, b]) => 1 - drawnMean(gone, a!) + drawnMean(kept, b!), chance),
    };
  },
});
