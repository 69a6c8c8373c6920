/** One shift for many requests: it is added to the residual stream behind a block, at one token of each question. */
import { asFloats, floats } from "../../base/array.ts";
import { checkAbort, type Context } from "../../base/context.ts";
import { fail } from "../../base/fail.ts";
import { norm, rowOf } from "../../locate/keys.ts";
import type { TokenizedRequest } from "../../locate/tokenized-requests.ts";
import { adam, shiftGraph, type Shifting, shifting } from "../../locate/values.ts";
import type { Model } from "../../model/model.ts";
import type { Running } from "../../onnx/program.ts";

export interface SearchOptions extends Running {
  readonly layer: number;
  /** Updates at most. */
  readonly steps: number;
  readonly lr: number;
  /** A row is answered when the loss of its target's least likely token is below this (nats). */
  readonly enough: number;
  /** The first shift; zero by default. */
  readonly start?: Float64Array;
  readonly ctx: Context;
}

export interface Found {
  readonly shift: Float64Array;
  readonly updates: number;
  /** The loss of each row's least likely target token, as it was last seen (nats). */
  readonly worst: readonly number[];
  /** The norm of the site's state at the first row's token, before the shift. */
  readonly state: number;
}

/** Rows of a mini-batch. */
const TOGETHER = 4;

/**
 * The shift [D] that makes every row's target its answer. It is added at the token `subject` of each row. Mini-batches take turns. One whose
 * rows are all answered is passed over. The search ends when all of them are passed over by one and the same shift, or after `steps` updates
 * of Adam. The tokens before the shift and the blocks below it are computed once for each mini-batch. A loss that is no number is an error.
 */
export async function findShift(model: Model, rows: readonly TokenizedRequest[], options: SearchOptions): Promise<Found> {
  const { layer, steps, lr, enough, dtype, executor, ctx } = options;
  const width = model.config.width;
  const at = { dtype, executor, layer, site: "resid_post", kl: 0 } as const;
  const graph = shiftGraph(model, at, false);
  const parts = Array.from({ length: Math.ceil(rows.length / TOGETHER) }, (_, i) => rows.slice(i * TOGETHER, (i + 1) * TOGETHER));
  const begun: Shifting[] = [];
  for (const part of parts) begun.push(await shifting(model, [{ rows: part }], graph, at));
  const shift = options.start?.slice() ?? new Float64Array(width);
  const [m, v] = [new Float64Array(width), new Float64Array(width)];
  const seen = parts.map((part) => part.map(() => Infinity));
  let [state, updates, passed] = [0, 0, 0];
  for (let turn = 0; passed < parts.length && updates < steps; turn = (turn + 1) % parts.length) {
    checkAbort(ctx, "values");
    const out = await begun[turn]!.step(new Map([["shift", floats(shift, [1, width], dtype)]]));
    const logprobs = asFloats(out["logprobs"]!, "float64").data as Float64Array;
    const worst = parts[turn]!.map((_, row) => largestLoss(begun[turn]!, logprobs, row));
    seen[turn] = worst;
    if (turn === 0 && state === 0) state = norm(rowOf(out["h0"]!, 0));
    if (!worst.every(Number.isFinite))
      fail("values", `the loss is ${worst.join(", ")} after ${updates} updates`, "finite losses", "Try a smaller lr.", "execution");
    if (worst.every((loss) => loss < enough)) {
      passed++;
      continue;
    }
    passed = 0;
    adam(shift, rowOf(out["grad:shift"]!, 0), m, v, ++updates, lr);
    const detail = `least likely token ${Math.max(...worst).toFixed(3)}`;
    ctx.log({ kind: "progress", stage: "values", done: updates, total: steps, detail });
  }
  return { shift, updates, worst: seen.flat(), state };
}

/** The loss of the least likely target token of a row (nats). */
const largestLoss = ({ places }: Shifting, logprobs: Float64Array, row: number): number =>
  places.reduce((most, place, i) => (place.own === row ? Math.max(most, -logprobs[i]!) : most), -Infinity);
