/**
 * The values to insert. For each request, gradient descent finds a shift at one site that makes the target the model's answer (ROME eq. 4,
 * MEMIT eq. 16). Requests are searched together; each has its own loss and its own end.
 */
import { asFloats, floats, ints, mean, type NdArray } from "../base/array.ts";
import { checkAbort, type Context } from "../base/context.ts";
import { fail } from "../base/fail.ts";
import { traced } from "../model/forward.ts";
import { feedsOf, frozen, type Model } from "../model/model.ts";
import { type Site, siteName } from "../model/names.ts";
import { labelFeeds, padded } from "../text/padding.ts";
import { type Step, stepping } from "../onnx/program.ts";
import { type Graph, trace } from "../tensor/graph.ts";
import type { KeyValue } from "../tensor/nn.ts";
import type { Tensor } from "../tensor/tensor.ts";
import { dot, norm, rowOf } from "./keys.ts";
import type { Running } from "../onnx/program.ts";
import type { TokenizedRequest } from "./tokenized-requests.ts";

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
  /** Weight of KL(edited ‖ original) at the subject of the KL rows; 0 if there are none. */
  readonly kl: number;
  /** Where the value h0 + δ is put: at the subject ("subject", the default), at every position, or at every position before the subject. */
  readonly puts?: "subject" | "all" | "before";
  /**
   * The weight of the first row (the question without a context template) in the likelihood term. The other rows share the rest evenly.
   * undefined: equal weights.
   */
  readonly bareShare?: number;
  /** Weight of cos² between a shift and the direction that it is kept away from (`away`); 0 by default. */
  readonly apart?: number;
  /** How many first tokens of each row's target are compared with the most likely token, for `behind`. undefined: none. */
  readonly lead?: number;
  /** Called after each evaluation. Returns true when the search can stop. */
  readonly done: (at: Evaluation) => boolean;
  readonly ctx: Context;
}

/** What an evaluation of shifts depends on. */
export type ShiftOptions = Running & Pick<ValueOptions, "layer" | "site" | "kl" | "puts" | "bareShare" | "lead">;

/**
 * The loss and its parts at one evaluation; `rows` holds the mean negative log-likelihood of each row's target, `worst` the least likely
 * target token of the first row. `behind` counts the compared target tokens, over all rows, that are not the most likely ones; it is
 * undefined without `lead`.
 */
export interface Evaluation {
  readonly total: number;
  readonly nll: number;
  readonly kl: number;
  readonly decay: number;
  readonly apart: number;
  readonly rows: readonly number[];
  readonly worst: number;
  readonly behind?: number;
  readonly norm: number;
}

/**
 * One request: the rows with its target (first the question without a context template), and the row for the KL term. All requests have a
 * KL row, or none.
 */
export interface Sought {
  readonly rows: readonly TokenizedRequest[];
  readonly klRow?: TokenizedRequest;
  /** The first shift; zero by default. */
  readonly start?: Float64Array;
  /** The direction that the penalty `apart` keeps the shift away from. */
  readonly away?: Float64Array;
}

export interface Value {
  /** The site's original value at the subject of the question without a context template. */
  readonly h0: Float64Array;
  readonly shift: Float64Array;
  readonly evaluations: readonly Evaluation[];
  /** The gradient of the loss at the first shift. */
  readonly firstGradient: Float64Array;
  /** The shift after each update, for comparison with the published code. */
  readonly shifts: readonly Float64Array[];
}

/**
 * Finds one shift for each of `sought`. The shift is added at the subject of every row, including the KL row.
 * Three things do not depend on the shift and are computed once: the tokens before the subject, the layers below the site, and the original
 * answers to the KL rows. When half of the searches have ended, they are computed again for the rest.
 * A NaN is an error that names the evaluation.
 */
export async function findValues(model: Model, sought: readonly Sought[], options: ValueOptions): Promise<Value[]> {
  const { steps, kl, dtype, ctx } = options;
  const width = model.config.width;
  const graph = shiftGraph(model, options, hasKl(sought));
  const searches = sought.map(({ start, away }, i) => new Search(options, start ?? new Float64Array(width), i, away));
  let running = await begun(model, sought, searches, graph, options);
  for (let it = 0; it < steps && searches.some((s) => s.isOpen); it++) {
    checkAbort(ctx, "values");
    const open = searches.filter((s) => s.isOpen);
    if (2 * open.length <= running.searches.length) running = await begun(model, sought, open, graph, options);
    const { step, places, searches: own } = running;
    const shift = new Float64Array(own.length * width);
    own.forEach((s, i) => shift.set(s.shift, i * width));
    const out = await step(new Map([["shift", floats(shift, [own.length, width], dtype)]]));
    const picked = asFloats(out["logprobs"]!, "float64").data as Float64Array;
    for (const [i, search] of own.entries()) {
      if (!search.isOpen) continue;
      search.start(rowOf(out["h0"]!, i));
      const isTop = (j: number): boolean => Number(out["top"]?.data[j] ?? -1) === places[j]!.label;
      const seen = places.flatMap((p, j) => (p.request === i ? [{ ...p, logprob: picked[j]!, isTop: isTop(j) }] : []));
      search.take(seen, kl * Number(out["kl"]?.data[i] ?? 0), rowOf(out["grad:shift"]!, i), sought[search.index]!.rows.length);
    }
    const nlls = searches.map((s) => s.evaluations.at(-1)!.nll);
    const left = searches.filter((s) => s.isOpen).length;
    ctx.log({
      kind: "progress",
      stage: "values",
      done: it + 1,
      total: steps,
      detail: `likelihood term ${(nlls.reduce((a, b) => a + b, 0) / nlls.length).toFixed(3)}${sought.length > 1 ? `, ${left} of ${sought.length} open` : ""}`,
    });
  }
  return searches;
}

/** Evaluates shifts of some requests. */
export interface Shifting {
  /** Where the target tokens are predicted. `request` is the index among these requests. */
  readonly places: readonly Place[];
  /**
   * From "shift" [R, D] to "loss", to "logprobs" of the target tokens [places], to "h0" (the site's original values [R, D] at the requests'
   * first rows), and to "grad:shift" [R, D].
   */
  readonly step: Step;
}

/** Searches that are evaluated together. */
interface Together extends Shifting {
  readonly searches: readonly Search[];
}

/** Begins or continues some of the searches. The constant part is computed for their rows only. */
async function begun(
  model: Model,
  sought: readonly Sought[],
  searches: readonly Search[],
  graph: Graph,
  options: ValueOptions,
): Promise<Together> {
  const own = searches.map(({ index }) => sought[index]!);
  return { searches, ...(await shifting(model, own, graph, options)) };
}

/** Computes what does not depend on the shifts of `sought`, by the graph of {@link shiftGraph}. Refuses a model with an adapter. */
export async function shifting(model: Model, sought: readonly Sought[], graph: Graph, options: ShiftOptions): Promise<Shifting> {
  if (model.adapters.length > 0)
    fail(
      "values",
      "a model with an adapter on it",
      "one whose weights alone were edited",
      "Find this edit without that one, and stack the two.",
      "unavailable",
    );
  const places = labelsOf(sought, options);
  const feeds = feedsFor(model, sought, places, options);
  const step = await stepping(model.sessions, graph, ["shift"], feedsOf(model, feeds), {
    executor: options.executor,
    grad: { of: "loss", wrt: ["shift"] },
    spin: true,
    ...(feeds["tokens"]!.data.length <= FEW && options.executor === "graph" && options.dtype === "float32" && frozen(model)),
  });
  return { places, step };
}

/** Up to this many tokens, packing a weight takes longer than the matrix product. The session then keeps the packed weights. */
const FEW = 32;

/** A target token in an evaluation: its log-probability, and whether no token is more likely. */
type Seen = Place & { readonly logprob: number; readonly isTop: boolean };

/** One request's search: Adam within a ball. */
class Search implements Value {
  h0 = new Float64Array(0);
  firstGradient = new Float64Array(0);
  readonly shift: Float64Array;
  readonly evaluations: Evaluation[] = [];
  readonly shifts: Float64Array[] = [];
  isOpen = true;
  /** The index of the request. */
  readonly index: number;
  private readonly options: ValueOptions;
  private readonly away: Float64Array | undefined;
  private readonly m: Float64Array;
  private readonly v: Float64Array;

  constructor(options: ValueOptions, start: Float64Array, index: number, away?: Float64Array) {
    [this.options, this.index, this.away] = [options, index, away];
    [this.shift, this.m, this.v] = [start.slice(), new Float64Array(start.length), new Float64Array(start.length)];
  }

  start(h0: Float64Array): void {
    if (this.evaluations.length === 0) this.h0 = h0 as Float64Array<ArrayBuffer>;
  }

  /** Records an evaluation of the current shift. Updates the shift unless the search can stop. */
  take(places: readonly Seen[], kl: number, slope: Float64Array, rowCount: number): void {
    const { decay, clamp, lr, steps, lead, done, apart = 0 } = this.options;
    const [size, length] = [norm(this.h0), norm(this.shift)];
    const nll = -places.reduce((sum, p) => sum + p.weight * p.logprob, 0);
    const rows = Array.from({ length: rowCount }, (_, b) => mean(places.filter((p) => p.own === b).map((p) => -p.logprob)));
    const worst = -Math.min(...places.filter((p) => p.own === 0).map((p) => p.logprob));
    const decayTerm = (decay * length) / size ** 2;
    const side = apart > 0 && this.away ? alignment(this.shift, this.away) : undefined;
    const apartTerm = side ? apart * side.square : 0;
    const behind = lead === undefined ? {} : { behind: places.filter((p) => p.nth < lead && !p.isTop).length };
    const total = nll + kl + decayTerm + apartTerm;
    const at = { total, nll, kl, decay: decayTerm, apart: apartTerm, rows, worst, ...behind, norm: length };
    if (!Number.isFinite(at.total))
      fail(
        "values",
        `the loss is ${at.total} at evaluation ${this.evaluations.length + 1} of request ${this.index + 1}`,
        "a finite loss",
        "Try a smaller lr or clamp.",
        "execution",
      );
    this.evaluations.push(at);
    const gradient = slope.map((g, i) => g + (length > 0 ? ((decay / size ** 2) * this.shift[i]!) / length : 0));
    if (side) for (let i = 0; i < gradient.length; i++) gradient[i]! += apart * side.slope[i]!;
    if (this.evaluations.length === 1) this.firstGradient = gradient as Float64Array<ArrayBuffer>;
    this.isOpen = !done(at) && this.evaluations.length < steps;
    if (!this.isOpen) return;
    adam(this.shift, gradient, this.m, this.v, this.evaluations.length, lr);
    const limit = clamp * size;
    const grown = norm(this.shift);
    if (grown > limit) for (let i = 0; i < this.shift.length; i++) this.shift[i]! *= limit / grown;
    this.shifts.push(this.shift.slice());
  }
}

/** cos² between x and y, and its gradient at x: 2·cos·(y/(‖x‖·‖y‖) − cos·x/‖x‖²). Both are 0 if x or y is. */
export function alignment(x: Float64Array, y: Float64Array): { readonly square: number; readonly slope: Float64Array } {
  const [a, b] = [norm(x), norm(y)];
  if (a === 0 || b === 0) return { square: 0, slope: new Float64Array(x.length) };
  const cos = dot(x, y) / (a * b);
  return { square: cos ** 2, slope: x.map((xi, i) => 2 * cos * (y[i]! / (a * b) - (cos * xi) / a ** 2)) };
}

/** One step of Adam (β 0.9, 0.999; ε 1e−8), in place; `t` counts from 1. */
export function adam(x: Float64Array, g: Float64Array, m: Float64Array, v: Float64Array, t: number, lr: number): void {
  for (let i = 0; i < x.length; i++) {
    m[i] = 0.9 * m[i]! + 0.1 * g[i]!;
    v[i] = 0.999 * v[i]! + 0.001 * g[i]! ** 2;
    x[i]! -= ((lr / (1 - 0.9 ** t)) * m[i]!) / (Math.sqrt(v[i]!) / Math.sqrt(1 - 0.999 ** t) + 1e-8);
  }
}

/** A target token of a row. */
interface Place {
  readonly request: number;
  /** `row` is the index in the batch, `own` the index among the request's rows. */
  readonly row: number;
  readonly own: number;
  /** Which of the target's tokens it is. */
  readonly nth: number;
  readonly offset: number;
  readonly label: number;
  readonly weight: number;
}

/** Whether there are KL rows: for all requests, or for none. */
const hasKl = (sought: readonly Sought[]): boolean => sought.every((s) => s.klRow);

/** The index at which a row is cut in two. The part before it does not depend on the shift. */
const cutOf = (row: TokenizedRequest, { puts = "subject" }: Pick<ValueOptions, "puts">): number => (puts === "subject" ? row.subject : 0);

/** Where each target token is predicted, as an offset from the row's cut, and its weight in the likelihood term. */
function labelsOf(sought: readonly Sought[], options: Pick<ValueOptions, "puts" | "bareShare">): Place[] {
  const { bareShare } = options;
  let row = -1;
  return sought.flatMap(({ rows }, request) =>
    rows.flatMap((r, own) => {
      row++;
      const count = r.ids.length - r.first;
      if (count === 0) fail("values", `row ${JSON.stringify(r.text)} has no target token`, "a target", "", "internal");
      const share =
        bareShare === undefined || rows.length === 1 ? 1 / rows.length : own === 0 ? bareShare : (1 - bareShare) / (rows.length - 1);
      const at = row;
      return r.ids
        .slice(r.first)
        .map((label, j) => ({ request, row: at, own, nth: j, offset: r.first + j - 1 - cutOf(r, options), label, weight: share / count }));
    }),
  );
}

function feedsFor(model: Model, sought: readonly Sought[], places: readonly Place[], options: ShiftOptions): Record<string, NdArray> {
  const { dtype, puts } = options;
  const targets = sought.flatMap(({ rows }, owner) => rows.map((r) => ({ ...r, owner, ids: r.ids.slice(0, -1) })));
  const kls = sought.flatMap(({ klRow }, owner) => (klRow ? [{ ...klRow, owner, ids: klRow.ids.slice(0, klRow.subject + 1) }] : []));
  const all = [...targets, ...kls].map((r) => ({ ...r, cut: cutOf(r, options) }));
  const before = padded(
    all.map((r) => r.ids.slice(0, r.cut)),
    model.tokenizer.pad,
    "left",
  );
  const after = padded(
    all.map((r) => r.ids.slice(r.cut)),
    model.tokenizer.pad,
    "right",
  );
  // positions count from the row's first token
  const S = after.tokens.shape[1]!;
  const positions = BigInt64Array.from(after.positions.data as BigInt64Array, (p, i) => p + BigInt(all[Math.floor(i / S)]!.cut));
  const alone = sought.map((_, owner) => targets.findIndex((r) => r.owner === owner));
  return {
    "before.tokens": before.tokens,
    "before.positions": before.positions,
    "before.real": before.real,
    tokens: after.tokens,
    positions: { ...after.positions, data: positions },
    real: after.real,
    owner: ints(all.map((r) => r.owner)),
    alone: ints(alone.map((b) => b * S + all[b]!.subject - all[b]!.cut)),
    covered: {
      dtype: "bool",
      shape: [all.length, S],
      data: Uint8Array.from({ length: all.length * S }, (_, i) => Number(puts === "all" || i % S < all[Math.floor(i / S)]!.subject)),
    },
    ...labelFeeds(
      places.map(({ row, offset, ...place }) => ({ ...place, at: row * S + offset })),
      dtype,
    ),
    "kl.rows": ints(kls.map((r, i) => (targets.length + i) * S + r.subject - cutOf(r, options))),
  };
}

/**
 * Takes shift [R, D], one for each request, and returns the loss, its parts, and the site's values. A row is cut in two at its subject. The
 * part "before" [B, P] is constant. The rest [B, S] begins with the subject, so the shift is added at offset 0. The last R of the B rows are
 * the KL rows, if there are any.
 */
export function shiftGraph(model: Model, options: ShiftOptions, withKl: boolean): Graph {
  const { dtype, layer, site, puts = "subject" } = options;
  const { layers: L, width } = model.config;
  return trace((t) => {
    const lm = traced(model, t, dtype);
    const shift = t.input("shift", dtype, ["R", width]);
    const owner = t.input("owner", "int64", ["B"]);
    const seen: { h0?: Tensor } = {};
    const past = { positions: t.input("before.positions", "int64", ["B", "P"]), real: t.input("before.real", "bool", ["B", "P"]) };
    const prefix = lm.forward(t.input("before.tokens", "int64", ["B", "P"]), past);
    const given = { positions: t.input("positions", "int64", ["B", "S"]), real: t.input("real", "bool", ["B", "S"]) };
    const tokens = t.input("tokens", "int64", ["B", "S"]);
    const put = (h: Tensor): Tensor => {
      seen.h0 = h.reshape(["B*S", width]).rows(t.input("alone", "int64", ["R"]));
      if (puts === "subject")
        return h
          .slice(1, 0, 1)
          .add(shift.rows(owner).reshape(["B", 1, width]))
          .concat([h.slice(1, 1, "S")], 1);
      const value = seen.h0.detach().add(shift).rows(owner).reshape(["B", 1, width]);
      return t.input("covered", "bool", ["B", "S"]).unsqueeze(2).where(value, h);
    };
    const from = (layers: readonly KeyValue[]) => ({ ...past, layers });
    const { hidden } = lm.forward(tokens, { ...given, past: from(prefix.layers), taps: { [siteName(layer, site)]: put } });
    const { picked, all } = lm.logProbs(lm.normed(hidden, t.input("rows", "int64", ["M"])), t.input("labels", "int64", ["M"]));
    const top = options.lead === undefined ? {} : { top: all.argmax() };
    const nll = picked
      .mul(t.input("weights", dtype, ["M"]))
      .sum()
      .neg();
    if (!withKl) return { loss: nll, logprobs: picked, ...top, h0: seen.h0! };

    const klRows = (x: Tensor): Tensor => x.slice(0, "B-R", "B");
    const original = lm.blocks(lm.embed(klRows(tokens), klRows(given.positions)), 0, L, {
      positions: klRows(given.positions),
      real: klRows(given.real),
      past: {
        positions: klRows(past.positions),
        real: klRows(past.real),
        layers: prefix.layers.map(({ k, v }) => ({ k: klRows(k), v: klRows(v) })),
      },
    });
    const q = lm.logits(lm.normed(hidden, t.input("kl.rows", "int64", ["R"]))).logSoftmax();
    const q0 = lm.logits(lm.normed(original.hidden.slice(1, 0, 1))).logSoftmax(); // constant
    const kl = q.exp().mul(q.sub(q0)).sum(-1); // [R]
    return { loss: nll.add(kl.sum().mul(options.kl)), logprobs: picked, ...top, kl, h0: seen.h0! };
  });
}
