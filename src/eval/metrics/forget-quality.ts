/** Forget quality: whether a model's truth ratios could be those of a model that never saw the forget rows. */
import { fail } from "../../base/fail.ts";
import { hash } from "../../base/hash.ts";
import { TRUTH_RATIO_COMPAT, truthRatioForm } from "../likelihood.ts";
import { defineMetric, type Row, scoredRows } from "../metric.ts";
import { ksInterval, ksTest } from "../stats.ts";

const WHO = "forget-quality";

export const forgetQuality = defineMetric({
  name: WHO,
  doc: "p-value of the exact two-sample Kolmogorov-Smirnov test between the truth ratios of the forget rows and those of a comparison run",
  paper: "Maini et al. 2024 (arXiv:2401.06121)",
  better: "higher",
  caveat: "It is a p-value: it is larger with fewer rows, and a broken model can score high by chance, so read it with model utility.",
  reads: ["paraphraseLoss", "wrongLosses"],
  compares: true,
  after: [],
  compat: {
    ...TRUTH_RATIO_COMPAT,
    asymptotic: "the asymptotic p-value at any sample size",
    "self-reference": "allow comparing a run with itself, which always gives 1",
  },
  score: ({ rows, reference, compat }) => {
    const isSelf = contentOf(rows) === contentOf(reference);
    if (isSelf && !compat("self-reference"))
      fail(
        WHO,
        "the run and the comparison run have the same losses",
        "two runs",
        "A run compared with itself always scores 1. Name the log of a model that never saw the forget rows.",
      );
    sameTokens(rows, reference);
    const { logInverse } = truthRatioForm(compat);
    const bySample = scoredRows(WHO, rows, logInverse);
    const ours = Object.values(bySample);
    const ks = ksTest(ours, Object.values(scoredRows(WHO, reference, logInverse)), compat("asymptotic") ? "asymptotic" : undefined);
    return {
      value: ks.p,
      bySample,
      interval: ksInterval(ks),
      details: {
        D: ks.statistic,
        h: ks.h,
        n: ks.n,
        m: ks.m,
        method: ks.method,
        nanRows: ours.filter(Number.isNaN).length,
        referenceRows: contentOf(reference),
      },
      warnings: [...(isSelf ? ["the run was compared with itself: the value 1 means nothing"] : []), ...otherAnswers(rows, reference)],
    };
  },
});

type Losses = Row<"paraphraseLoss" | "wrongLosses">;

/** A hash of the losses that the test uses, to recognise a copy under another name. */
const contentOf = (rows: readonly Losses[]): string =>
  hash(rows.map(({ id, paraphraseLoss, wrongLosses }) => [id, String(paraphraseLoss), wrongLosses.map(String)]));

/** Pairs of rows with the same id. */
function* pairs(rows: readonly Losses[], reference: readonly Losses[]): Generator<readonly [Losses, Losses]> {
  const theirs = new Map(reference.map((row) => [row.id, row]));
  for (const row of rows) {
    const other = theirs.get(row.id);
    if (other) yield [row, other];
  }
}

/** Losses per token are comparable only for the same tokens. */
function sameTokens(rows: readonly Losses[], reference: readonly Losses[]): void {
  for (const [{ id, answerTokens: a }, { answerTokens: b }] of pairs(rows, reference))
    if (a !== undefined && b !== undefined && a !== b)
      fail(
        WHO,
        `the answer of "${id}" has ${a} tokens here and ${b} in the comparison run`,
        "the same rows and tokenizer on both sides",
        "Name a comparison run of the same model family, with its rows in the same order.",
      );
}

function otherAnswers(rows: readonly Losses[], reference: readonly Losses[]): string[] {
  const differ = [...pairs(rows, reference)].filter(([a, b]) => a.answer !== undefined && b.answer !== undefined && a.answer !== b.answer);
  return differ.length ? [`${differ.length} rows have another answer in the comparison run; the first is "${differ[0]![0].id}"`] : [];
}
