/** Same top token: at how many positions the model would still choose what the reference would. */
import { fail } from "../../base/fail.ts";
import { averaged, defineMetric } from "../metric.ts";

const WHO = "same-top-token";

export const sameTopToken = defineMetric({
  name: WHO,
  doc: "share of the answer's positions whose likeliest token is the reference's, teacher forced, then the mean over rows",
  better: "higher",
  caveat: "Teacher forced, it cannot see that one other token at the beginning leads to another answer.",
  reads: ["topTokens"],
  compares: true,
  after: [],
  score: ({ rows, reference, chance }) => {
    const theirs = new Map(reference.map((row) => [row.id, row.topTokens]));
    return averaged(
      WHO,
      rows,
      ({ id, topTokens }) => {
        const other = theirs.get(id);
        if (other?.length !== topTokens.length || topTokens.length === 0)
          fail(
            WHO,
            `row "${id}" has ${topTokens.length} positions, the reference ${other?.length ?? "no such row"}`,
            "as many, at least one",
            "Judge both over the same suite with one tokenizer.",
          );
        return topTokens.filter((token, i) => token === other[i]).length / topTokens.length;
      },
      chance,
    );
  },
});
