/** Same top token: the share of positions where the model and the comparison run choose the same token. */
import { fail } from "../../base/fail.ts";
import { averaged, defineMetric } from "../metric.ts";

const WHO = "same-top-token";

export const sameTopToken = defineMetric({
  name: WHO,
  doc: "share of the answer's positions with the same most likely token as the comparison run, teacher forced; then the mean over rows",
  better: "higher",
  caveat: "It is teacher forced, so it cannot see that one different token at the start leads to another answer.",
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
            `row "${id}" has ${topTokens.length} positions, the comparison run ${other?.length ?? "no such row"}`,
            "as many, at least one",
            "Judge both over the same suite with one tokenizer.",
          );
        return topTokens.filter((token, i) => token === other[i]).length / topTokens.length;
      },
      chance,
    );
  },
});
