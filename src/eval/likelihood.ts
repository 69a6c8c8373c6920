/** Numbers from the losses of a row: the answer's share against false answers, and the published forms of the truth ratio. */
import { mean } from "../base/array.ts";
import type { Row } from "./metric.ts";
import { sum } from "./stats.ts";

type TruthRow = Row<"paraphraseLoss" | "wrongLosses">;

/** A published form of the truth ratio R = false / true, and the contribution of a forget row and of any other row. */
export interface TruthRatioForm {
  readonly doc: string;
  /** log(1/R); it stays finite when probabilities underflow. */
  readonly logInverse: (row: TruthRow) => number;
  readonly forget: (logInverse: number) => number;
  readonly keep: (logInverse: number) => number;
}

const EPSILON = 1e-10;

/** log Σ exp of values of any size. */
function logSumExp(values: readonly number[]): number {
  const most = Math.max(...values);
  return Number.isFinite(most) ? most + Math.log(sum(values.map((value) => Math.exp(value - most)))) : most;
}

const right = (row: TruthRow): number => Math.exp(-row.paraphraseLoss);
const wrong = (row: TruthRow): number => Math.exp(-mean(row.wrongLosses));
/** min(R, 1/R). */
const nearOne = (logInverse: number): number => Math.exp(-Math.abs(logInverse));
/** max(0, 1 − R). */
const trueAbove = (logInverse: number): number => Math.max(0, 1 - Math.exp(-logInverse));

/** The five forms by name; the first is the default. */
export const TRUTH_RATIOS = {
  geometric: {
    doc: "the false answers' geometric mean divided by the true one, in logarithms (TOFU's leaderboard)",
    logInverse: ({ paraphraseLoss, wrongLosses }) => mean(wrongLosses) - paraphraseLoss,
    forget: nearOne,
    keep: trueAbove,
  },
  arithmetic: {
    doc: "the false answers' arithmetic mean divided by the true one (TOFU's paper, and its evaluation during training)",
    logInverse: ({ paraphraseLoss, wrongLosses }) =>
      Math.log(wrongLosses.length) - logSumExp(wrongLosses.map((loss) => -loss)) - paraphraseLoss,
    forget: nearOne,
    keep: trueAbove,
  },
  epsilon: {
    doc: "the geometric form with 1e-10 added to the denominator (OpenUnlearning): for a collapsed model, the 1e-10 decides the order of the rows",
    logInverse: (row) => -Math.log(wrong(row) / (right(row) + EPSILON)),
    forget: (logInverse) => Math.min(Math.exp(-logInverse), 1 / (Math.exp(-logInverse) + EPSILON)),
    keep: trueAbove,
  },
  "prob-mean": {
    doc: "true / (true + false + 1e-10) with the geometric mean of the false answers, for both kinds of row (OpenUnlearning, opt-in)",
    logInverse: (row) => Math.log(right(row) / (right(row) + wrong(row) + EPSILON)),
    forget: Math.exp,
    keep: Math.exp,
  },
  logged: {
    doc: "the ratio stored in the log, in the model's precision, where the numbers of collapsed models underflow or overflow",
    logInverse: (row) => -Math.log(row.loggedTruthRatio ?? NaN),
    forget: nearOne,
    keep: trueAbove,
  },
} as const satisfies Record<string, TruthRatioForm>;

export type TruthRatioName = keyof typeof TRUTH_RATIOS;

const { geometric: _, ...others } = TRUTH_RATIOS;

/** The forms that are not the default, as compat names of the metrics that read truth ratios. */
export const TRUTH_RATIO_COMPAT: Readonly<Record<string, string>> = Object.fromEntries(
  Object.entries(others).map(([name, { doc }]) => [name, doc]),
);

/** The requested form. */
export function truthRatioForm(compat: (name: string) => boolean): TruthRatioForm {
  return Object.entries(others).find(([name]) => compat(name))?.[1] ?? TRUTH_RATIOS.geometric;
}

/** The answer's share in the sum over itself and the false answers, by probability per token; exact even if all of them underflow. */
export function answerShare({ answerLoss, wrongLosses }: Row<"answerLoss" | "wrongLosses">): number {
  return 1 / (1 + sum(wrongLosses.map((loss) => Math.exp(answerLoss - loss))));
}

/** The same with 1e-10 added to the denominator. */
export function dampedShare({ answerLoss, wrongLosses }: Row<"answerLoss" | "wrongLosses">): number {
  const own = Math.exp(-answerLoss);
  return own / (own + sum(wrongLosses.map((loss) => Math.exp(-loss))) + EPSILON);
}
