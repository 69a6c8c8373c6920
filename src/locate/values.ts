/** The value to insert: a shift at one site, found by gradient descent, under which the target becomes the model's answer (ROME eq. 4). */
import { asFloats, floats, ints, type NdArray } from "../base/array.ts";
import { checkAbort, type Context } from "../base/context.ts";
import { fail } from "../base/fail.ts";
import { traced } from "../model/forward.ts";
import { feedsOf, type Model } from "../model/model.ts";
import { type Site, siteName } from "../model/names.ts";
import { padded } from "../model/rows.ts";
import { stepping } from "../onnx/program.ts";
import { type Graph, trace } from "../tensor/graph.ts";
import type { KeyValue } from "../tensor/nn.ts";
import type { Tensor } from "../tensor/tensor.ts";
import { norm, type Running } from "./keys.ts";
import type { EditRow } from "./rows.ts";

export interface ValueOptions extends Running {
  readonly layer: number;
  readonly site: Site;
  /** Loss evaluations at most; one update fewer. */
  readonly steps: number;
  readonly lr: number;
  /** Weight of ‖δ‖ / ‖h0‖². */
  readonly decay: number;
  /** ‖δ‖ stays within this multiple of ‖h0‖. */
  readonly clamp: number;
  /** Weight of KL(edited ‖ original) at the subject of the KL row. */
  readonly kl: number;
  /** Share of the likelihood term that the first row (the bare question) has; the others share the rest evenly. undefined: all alike. */
  readonly bareShare?: number;
  /** Ends the search: called with each evaluation; true when it is good enough. */
  readonly done: (at: Evaluation) => boolean;
  readonly ctx: Context;
}

/** The loss and its parts at one evaluation; `rows` holds the mean negative log-likelihood of each row's target, `worst` the least likely target token of the first row. */
export interface Evaluation {
  readonly total: number;
  readonly nll: number;
  readonly kl: number;
  readonly decay: number;
  readonly rows: readonly number[];
  readonly worst: number;
  readonly norm: number;
}

export interface Value {
  /** The site's value at the bare question's subject, before. */
  readonly h0: Float64Array;
  readonly shift: Float64Array;
  readonly evaluations: readonly Evaluation[];
  /** The gradient of the loss at a shift of zero. */
  readonly firstGradient: Float64Array;
  /** The shift after each update, for witnesses. */
  readonly shifts: readonly Float64Array[];
}

/**
 * Finds the shift. `rows` are target rows, the bare question first; `klRow` is read at its subject. The shift is added at every row's subject.
 * What comes before the subject, below the site, and the model's own answer to the KL row are computed once.
 * Fails on a NaN, naming the evaluation.
 */
export async function findValue(model: Model, rows: readonly EditRow[], klRow: EditRow, options: ValueOptions): Promise<Value> {
  const { steps, lr, decay, clamp, kl, dtype } = options;
  const width = model.config.width;
  const places = labelsOf(rows, options.bareShare);
  const step = await stepping(
    model.sessions,
    valueGraph(model, options),
    ["shift"],
    feedsOf(model, feedsFor(model, rows, klRow, places, dtype)),
    {
      executor: options.executor,
      grad: { of: "loss", wrt: ["shift"] },
      spin: true,
    },
  );
  const shift = new Float64Array(width);
  const [m, v] = [new Float64Array(width), new Float64Array(width)]; // Adam's moments
  const evaluations: Evaluation[] = [];
  const shifts: Float64Array[] = [];
  let h0 = new Float64Array(width);
  let firstGradient = new Float64Array(width);
  for (let it = 0; it < steps; it++) {
    checkAbort(options.ctx, "values");
    const out = await step(new Map([["shift", floats(shift, [width], dtype)]]));
    if (it === 0) h0 = Float64Array.from(out["h0"]!.data as Float64Array);
    const size = norm(h0);
    const length = norm(shift);
    const picked = asFloats(out["logprobs"]!, "float64").data as Float64Array;
    const nll = -places.reduce((sum, p, i) => sum + p.weight * picked[i]!, 0);
    const klTerm = kl * Number(out["kl"]!.data[0]);
    const decayTerm = (decay * length) / size ** 2;
    const perRow = rows.map(
      (r, b) =>
        -mean(
          places.flatMap((p, i) => (p.row === b ? [picked[i]!] : [])),
          r,
        ),
    );
    const worst = -Math.min(...places.flatMap((p, i) => (p.row === 0 ? [picked[i]!] : [])));
    const at = { total: nll + klTerm + decayTerm, nll, kl: klTerm, decay: decayTerm, rows: perRow, worst, norm: length };
    if (!Number.isFinite(at.total))
      fail("values", `the loss is ${at.total} at evaluation ${it + 1}`, "a finite loss", "Try a smaller lr or clamp.", "execution");
    evaluations.push(at);
    const gradient = Float64Array.from(
      out["grad:shift"]!.data as Float64Array,
      (g, i) => g + (length > 0 ? ((decay / size ** 2) * shift[i]!) / length : 0),
    );
    if (it === 0) firstGradient = gradient;
    options.ctx.log({
      kind: "progress",
      stage: "values",
      done: it + 1,
      total: steps,
      detail: `loss ${at.total.toFixed(3)}, target p ${Math.exp(-perRow[0]!).toFixed(3)}`,
    });
    if (options.done(at) || it === steps - 1) break;
    adam(shift, gradient, m, v, it + 1, lr);
    const limit = clamp * size;
    const grown = norm(shift);
    if (grown > limit) for (let i = 0; i < width; i++) shift[i]! *= limit / grown;
    shifts.push(shift.slice());
  }
  return { h0, shift, evaluations, firstGradient, shifts };
}

const mean = (xs: readonly number[], row: EditRow): number =>
  xs.length > 0
    ? xs.reduce((a, b) => a + b, 0) / xs.length
    : fail("values", `row ${JSON.stringify(row.text)} has no target token`, "a target", "", "internal");

/** One step of Adam (β 0.9, 0.999; ε 1e−8), in place. */
function adam(x: Float64Array, g: Float64Array, m: Float64Array, v: Float64Array, t: number, lr: number): void {
  for (let i = 0; i < x.length; i++) {
    m[i] = 0.9 * m[i]! + 0.1 * g[i]!;
    v[i] = 0.999 * v[i]! + 0.001 * g[i]! ** 2;
    x[i]! -= ((lr / (1 - 0.9 ** t)) * m[i]!) / (Math.sqrt(v[i]!) / Math.sqrt(1 - 0.999 ** t) + 1e-8);
  }
}

interface Place {
  readonly row: number;
  readonly offset: number;
  readonly label: number;
  readonly weight: number;
}

/** Where a target token is predicted: an offset from the row's subject, and its share of the likelihood term. */
function labelsOf(rows: readonly EditRow[], bareShare: number | undefined): Place[] {
  const even = 1 / rows.length;
  return rows.flatMap((row, b) => {
    const count = row.ids.length - row.first;
    const share = bareShare === undefined || rows.length === 1 ? even : b === 0 ? bareShare : (1 - bareShare) / (rows.length - 1);
    return row.ids.slice(row.first).map((label, j) => ({ row: b, offset: row.first + j - 1 - row.subject, label, weight: share / count }));
  });
}

function feedsFor(
  model: Model,
  rows: readonly EditRow[],
  klRow: EditRow,
  places: readonly Place[],
  dtype: "float32" | "float64",
): Record<string, NdArray> {
  const all = [...rows.map((r) => ({ ...r, ids: r.ids.slice(0, -1) })), { ...klRow, ids: klRow.ids.slice(0, klRow.subject + 1) }];
  const before = padded(
    all.map((r) => r.ids.slice(0, r.subject)),
    model.tokenizer.pad,
    "left",
  );
  const after = padded(
    all.map((r) => r.ids.slice(r.subject)),
    model.tokenizer.pad,
    "right",
  );
  // positions go on counting from the row's first token
  const S = after.tokens.shape[1]!;
  const positions = BigInt64Array.from(after.positions.data as BigInt64Array, (p, i) => p + BigInt(all[Math.floor(i / S)]!.subject));
  return {
    "before.tokens": before.tokens,
    "before.positions": before.positions,
    "before.real": before.real,
    tokens: after.tokens,
    positions: { ...after.positions, data: positions },
    real: after.real,
    rows: ints(places.map((p) => p.row * S + p.offset)),
    labels: ints(places.map((p) => p.label)),
    weights: floats(
      places.map((p) => p.weight),
      [places.length],
      dtype,
    ),
    "kl.row": ints([rows.length * S]),
  };
}

/**
 * shift [D] → loss, its parts, and the site's value. A row is cut in two at its subject: "before" [B, P] is constant, and
 * the rest [B, S] begins with the subject, so that the shift is added at offset 0 of every row.
 */
function valueGraph(model: Model, options: ValueOptions): Graph {
  const { dtype, layer, site } = options;
  const L = model.config.layers;
  return trace((t) => {
    const lm = traced(model, t, dtype);
    const shift = t.input("shift", dtype, [model.config.width]);
    const seen: { h0?: Tensor } = {};
    const past = { positions: t.input("before.positions", "int64", ["B", "P"]), real: t.input("before.real", "bool", ["B", "P"]) };
    const prefix = lm.forward(t.input("before.tokens", "int64", ["B", "P"]), past);
    const given = { positions: t.input("positions", "int64", ["B", "S"]), real: t.input("real", "bool", ["B", "S"]) };
    const tokens = t.input("tokens", "int64", ["B", "S"]);
    const add = (h: Tensor): Tensor => {
      seen.h0 = h.slice(0, 0, 1).slice(1, 0, 1).reshape([model.config.width]);
      return h
        .slice(1, 0, 1)
        .add(shift)
        .concat([h.slice(1, 1, "S")], 1);
    };
    const from = (layers: readonly KeyValue[]) => ({ ...past, layers });
    const { hidden } = lm.forward(tokens, { ...given, past: from(prefix.layers), taps: { [siteName(layer, site)]: add } });
    const { picked } = lm.normed(hidden, t.input("rows", "int64", ["M"])).labelLogProbs(lm.head(), t.input("labels", "int64", ["M"]));
    const nll = picked
      .mul(t.input("weights", dtype, ["M"]))
      .sum()
      .neg();

    // the KL row is the last of the batch; its unshifted answer is constant
    const lastRow = (x: Tensor): Tensor => x.slice(0, "B-1", "B");
    const original = lm.blocks(lm.embed(lastRow(tokens), lastRow(given.positions)), 0, L, {
      positions: lastRow(given.positions),
      real: lastRow(given.real),
      past: {
        positions: lastRow(past.positions),
        real: lastRow(past.real),
        layers: prefix.layers.map(({ k, v }) => ({ k: lastRow(k), v: lastRow(v) })),
      },
    });
    const q = lm.logits(lm.normed(hidden, t.input("kl.row", "int64", [1]))).logSoftmax();
    const q0 = lm.logits(lm.normed(original.hidden.slice(1, 0, 1))).logSoftmax();
    const kl = q.exp().mul(q.sub(q0)).sum();
    return { loss: nll.add(kl.mul(options.kl)), logprobs: picked, kl, h0: seen.h0! };
  });
}
