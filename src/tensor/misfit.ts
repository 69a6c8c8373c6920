/** The error for shapes that do not fit an operation. */
import { fail } from "../base/fail.ts";
import { formatShape } from "./dim.ts";
import type { Tensor } from "./tensor.ts";

export function misfit(op: string, inputs: readonly Tensor[], wanted: string): never {
  return fail(op, `shapes ${inputs.map((t) => `${formatShape(t.shape)} ${t.dtype}`).join(" and ")}`, wanted, "", "internal");
}
