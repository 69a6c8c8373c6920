/** The preference of one answer over another, relative to a reference model: what DPO's family of losses is made of. */
import type { Tensor } from "../tensor/tensor.ts";
import { logSigmoid, type Parts } from "./parts.ts";

/** Log-probabilities of whole answers [R]: of the preferred one and of the other. */
export interface Pair {
  readonly target: Tensor;
  readonly forget: Tensor;
}

/** log σ(β·margin) [R]; the margin is the target's gain in log-probability over the reference model, minus the old answer's gain. */
export function logPreference(now: Pair, before: Pair, beta: number): Tensor {
  const margin = now.target.sub(before.target).sub(now.forget.sub(before.forget));
  return logSigmoid(margin.mul(beta));
}

/** The step's mean of {@link logPreference} over units, and the losses of both answers, to be reported. */
export function preferred(p: Parts, beta: number): { readonly mean: Tensor; readonly seen: Readonly<Record<"forget" | "target", Tensor>> } {
  const now = p.answers("forget", "target");
  const before = p.reference.answers("forget", "target");
  const sums = ({ target, forget }: typeof now): Pair => ({ target: target.sums, forget: forget.sums });
  return {
    mean: p.rowMean(logPreference(sums(now), sums(before), beta)),
    seen: { forget: now.forget.nll, target: now.target.nll },
  };
}
