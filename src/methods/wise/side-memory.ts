/**
 * A side memory: a separately trained difference of one matrix. It gives the edited question its new answer. It also changes the question's
 * hidden states more than those of other questions; the size of this change is called the movement (WISE, arXiv:2405.14768, section 2.3).
 */
import { asFloats, floats, mean, type NdArray } from "../../base/array.ts";
import { checkAbort, type Context } from "../../base/context.ts";
import { fail } from "../../base/fail.ts";
import { traced } from "../../model/forward.ts";
import { feedsOf, type Model, type Precision } from "../../model/model.ts";
import { atLayer, type BlockSite, siteName } from "../../model/names.ts";
import { beginningFeeds, commonBeginning, passBehind } from "../../model/decode/prefix.ts";
import { labelFeeds, padded } from "../../text/padding.ts";
import { addTo, gemmOn, identity, type Matrix, matrix, ridged, solveSymmetric } from "../../onnx/linalg.ts";
import { stepping } from "../../onnx/program.ts";
import type { Dim } from "../../tensor/dim.ts";
import { type Graph, trace } from "../../tensor/graph.ts";
import type { Tensor } from "../../tensor/tensor.ts";
import type { Numbers } from "./blend.ts";
import { activations, norm } from "../../locate/keys.ts";
import type { Running } from "../../onnx/program.ts";

export interface SideParams {
  layer: number;
  steps: number;
  lr: number;
  limit: number;
  margins: readonly number[];
  away: number;
  strangers: number;
  patience: number;
}

/** A row to train on: its tokens, its labels, and the places whose movement is measured. */
export interface SideRow {
  readonly ids: readonly number[];
  /** Places whose tokens are labels; none for a question that must not be moved. */
  readonly labels: readonly number[];
  /** Places over which the movement is averaged. */
  readonly counted: readonly number[];
}

/**
 * The rows of one training: those of the edited question (inside), and those of questions that must not change (outside). `paired`: inside
 * row n is compared with outside row n only.
 */
export interface SideRows {
  readonly inside: readonly SideRow[];
  readonly outside: readonly SideRow[];
  /** From here on those outside are the same for every request. */
  readonly common?: number;
  readonly paired?: boolean;
  /** The weight of each inside row in the likelihood term; equal by default. */
  readonly shares?: readonly number[];
  /** Padding tokens count in every mean. They have no attention. */
  readonly withPads?: boolean;
}

export interface SideEvaluation {
  readonly likelihood: number;
  readonly margin: number;
  readonly inside: readonly number[];
  readonly outside: readonly number[];
}

export interface Trained {
  readonly side: Numbers;
  readonly evaluations: readonly SideEvaluation[];
  /** ‖side‖ after each update. */
  readonly norms: readonly number[];
  /**
   * At the end: the smallest movement of the edited question's rows (their mean, if the threshold depends on them only), and the largest
   * movement of other rows.
   */
  readonly inside: number;
  readonly outside: number;
  /**
   * States of the edited question for {@link movedBy}: those without a context template, and those of the row with the smallest movement.
   */
  readonly states: readonly States[];
  /** States of other questions, from this edit and earlier ones. Later edits must not move them either. */
  readonly strangers: readonly States[];
}

/** A question's states [places, m] at the counted places. Training does not change them. */
export type States = Float32Array;

/** The largest number of other questions, over all edits, that a side memory is trained not to move. */
const KNOWN = 512;

/** The input of {@link train}. */
export interface TrainOn {
  readonly params: SideParams;
  readonly compat: ReadonlySet<string>;
  readonly running: Running;
  readonly ctx: Context;
  /** States of questions of earlier edits, whose answers must not change. */
  readonly earlier?: readonly States[];
  /** States of other questions from earlier edits, which this edit must not move either. */
  readonly strangers?: readonly States[];
}

/** Gradient descent on the side memory's difference [D, m] from its matrix, within its mask [D·m] (WISE, eq. 6 to 8). */
export async function train(model: Model, rows: SideRows, before: Numbers, mask: Uint8Array, on: TrainOn): Promise<Trained> {
  const { params, compat, running, ctx } = on;
  const { dtype } = running;
  const [m, D] = [model.config.mlpWidth, model.config.width];
  const fixed = compat.has("decay-all")
    ? Float64Array.from(asFloats(model.weights.get(atLayer(model.arch.memory.weight, params.layer))!, "float64").data as Float64Array)
    : undefined;
  const own = rows.paired || rows.withPads ? undefined : await stillOf(model, rows.outside, on, rows.common);
  // the stored states are enough to compute movements later, unless a quirk changes movement or threshold
  const isKept = own && !compat.has("output-activation") && !compat.has("ratio-threshold");
  const still = isKept ? withStrangers(own, on.strangers ?? [], m) : own;
  const away =
    still && params.away > 0 && !compat.has("plain-gradient") ? await awayFrom(still.x, on.earlier ?? [], params.away, model) : undefined;
  const together = [...rows.inside, ...(rows.paired || still ? [] : rows.outside)];
  const begun = rows.withPads ? 0 : beginningOf(together);
  const feeds = sideFeeds(model, rows, dtype, compat, { still, together, begun });
  const graph = sideGraph(model, rows, on, still !== undefined, begun > 0);
  const step = await stepping(model.sessions, graph, ["side"], feedsOf(model, feeds), {
    executor: running.executor,
    grad: { of: "loss", wrt: ["side"] },
    spin: true,
  });
  const side = dtype === "float64" ? Float64Array.from(before) : Float32Array.from(before);
  const evaluations: SideEvaluation[] = [];
  const norms: number[] = [];
  for (let it = 0; it < params.steps; it++) {
    checkAbort(ctx, "values");
    const out = await step(new Map([["side", floats(side, [D, m], dtype)]]));
    const list = (name: string): number[] => Array.from(out[name]!.data as Float64Array, Number);
    const at = { likelihood: list("likelihood")[0]!, margin: list("margin")[0]!, inside: list("inside"), outside: list("outside") };
    evaluations.push(finite(at, it));
    ctx.log({
      kind: "progress",
      stage: "values",
      done: it + 1,
      total: params.steps,
      detail: `likelihood ${at.likelihood.toFixed(3)}, margin ${at.margin.toFixed(2)}`,
    });
    if (isEnough(evaluations, params.patience, compat)) break;
    if (it === params.steps - 1 && !compat.has("last-update")) break;
    const plain = out["grad:side"]!;
    const gradient = away ? await away(plain) : (plain.data as Numbers);
    for (let i = 0; i < side.length; i++) {
      const decayed = fixed ? params.lr * 1e-5 * (fixed[i]! + side[i]!) : 0;
      if (mask[i] || fixed)
        side[i] = Math.min(params.limit, Math.max(-params.limit, side[i]! - (mask[i] ? params.lr * gradient[i]! : 0) - decayed));
    }
    norms.push(norm(side));
  }
  const end = evaluations.at(-1)!;
  const inside = compat.has("ratio-threshold") ? mean(end.inside) : Math.min(...end.inside);
  const least = end.inside.indexOf(Math.min(...end.inside));
  const kept = isKept ? [...new Set([0, least])].map((i) => rows.inside[i]!) : [];
  const states = await Promise.all(kept.map(async (row) => statesIn(await stillOf(model, [row], on))[0]!));
  const strangers = isKept ? strangersOf(statesIn(own), on.strangers ?? [], end.outside, params.strangers) : [];
  return { side, evaluations, norms, inside, outside: Math.max(...end.outside), states, strangers };
}

/** Whether the loss is small, or the target is certain and the margin term has not fallen by 1 % for `patience` evaluations (0: never). */
function isEnough(evaluations: readonly SideEvaluation[], patience: number, compat: ReadonlySet<string>): boolean {
  const [before, now] = evaluations.slice(-2).map((e) => e.likelihood + e.margin);
  const last = now ?? before!;
  if (compat.has("slow-stop")) return last <= 0.02 && now !== undefined && Math.abs(before! - now) <= 1e-4;
  if (last <= 0.02) return true;
  let best = { margin: Infinity, at: 0 };
  for (const [at, { margin }] of evaluations.entries()) if (margin < 0.99 * best.margin) best = { margin, at };
  return patience > 0 && evaluations.at(-1)!.likelihood <= 0.02 && evaluations.length - 1 - best.at >= patience;
}

/**
 * The known questions and the `count` own ones with the largest movement. `moved` lists the movement of the own ones, then of the known
 * ones.
 */
function strangersOf(own: readonly States[], known: readonly States[], moved: readonly number[], count: number): States[] {
  const at = (from: number, n: number): number[] => Array.from({ length: n }, (_, i) => from + i);
  const furthest = (places: readonly number[], n: number): number[] => [...places].sort((a, b) => moved[b]! - moved[a]!).slice(0, n);
  const kept = [...at(own.length, known.length), ...furthest(at(0, own.length), count)];
  return furthest(kept, KNOWN).map((i) => own[i] ?? known[i - own.length]!);
}

function finite(at: SideEvaluation, it: number): SideEvaluation {
  const loss = at.likelihood + at.margin;
  if (!Number.isFinite(loss))
    fail("side memory", `the loss is ${loss} at evaluation ${it + 1}`, "a finite loss", "Try a smaller lr or limit.", "execution");
  return at;
}

/** States of other questions at the counted places, which training does not change: x [P, m], and y [P, D] if the movement needs it. */
interface Still {
  readonly x: NdArray;
  readonly y?: NdArray;
  /** The number of places of each question; the sum is P. */
  readonly places: readonly number[];
}

async function stillOf(model: Model, rows: readonly SideRow[], on: TrainOn, common = rows.length): Promise<Still> {
  const { params, compat, running, ctx } = on;
  const [x, y] = [model.arch.memory.key, model.arch.memory.value].map((site) => siteName(params.layer, site)) as [BlockSite, BlockSite];
  const asked = rows.map(({ ids, counted }) => ({ ids, at: counted }));
  const names = compat.has("output-activation") ? [x, y] : [x];
  const seen = await activations(model, asked, names, running, { from: common, ctx });
  return { x: seen[x]!, ...(seen[y] && { y: seen[y] }), places: rows.map(({ counted }) => counted.length) };
}

/** Each question's part of x. */
function statesIn({ x, places }: Still): States[] {
  const m = x.shape[1]!;
  let at = 0;
  return places.map((n) => Float32Array.from((x.data as Numbers).subarray(at * m, (at += n) * m)));
}

/** Adds questions that earlier edits stored. Only their states x are known. */
function withStrangers({ x, places }: Still, strangers: readonly States[], m: number): Still {
  const known = [x.data as Numbers, ...strangers];
  const all = new Float64Array(known.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of known) {
    all.set(part, at);
    at += part.length;
  }
  return {
    x: floats(all, [all.length / m, m], x.dtype as Precision),
    places: [...places, ...strangers.map((states) => states.length / m)],
  };
}

/** The movement of a question by a difference [D, m], averaged over its states [places, m]. */
export function movedBy(delta: Numbers, states: States, m: number): number {
  const [D, places] = [delta.length / m, states.length / m];
  let sum = 0;
  for (let p = 0; p < places; p++) {
    let squares = 0;
    for (let d = 0; d < D; d++) {
      let y = 0;
      for (let i = 0; i < m; i++) y += delta[d * m + i]! * states[p * m + i]!;
      squares += y * y;
    }
    sum += Math.sqrt(squares);
  }
  return sum / places;
}

/**
 * Reduces a gradient G [D, m] in the common directions of other questions' states x [P, m] and of the states e that are edited already:
 * G·(C + Σe·eᵀ + r)⁻¹, scaled to the length of G. C are the second moments of x, and r is `ridge` times the mean of the diagonal.
 */
async function awayFrom(
  x: NdArray,
  earlier: readonly States[],
  ridge: number,
  model: Model,
): Promise<(gradient: NdArray) => Promise<Numbers>> {
  const gemm = gemmOn(model.sessions);
  const [P, m] = x.shape as [number, number];
  const momentsOf = async (rows: Numbers): Promise<Matrix> => {
    const states = matrix(rows.length / m, m, Float64Array.from(rows));
    return gemm(states, states, { transA: true });
  };
  const c = addTo(matrix(m, m), await momentsOf(x.data as Numbers), 1 / P);
  for (const states of earlier) addTo(c, await momentsOf(states));
  const inverse = await solveSymmetric(ridged(c, ridge), identity(m), gemm);
  return async (gradient) => {
    const g = matrix(gradient.shape[0]!, m, Float64Array.from(gradient.data as Float64Array));
    const turned = await gemm(g, inverse);
    const scale = norm(g.data) / norm(turned.data);
    return turned.data.map((v) => v * scale);
  };
}

/** Takes side [D, m] and returns the loss: the likelihood of the labels, and the movements compared with the margins. */
function sideGraph(model: Model, rows: SideRows, { params, compat, running }: TrainOn, isStill: boolean, isBegun: boolean): Graph {
  const { dtype } = running;
  const { key, value } = model.arch.memory;
  const [m, D, L] = [model.config.mlpWidth, model.config.width, model.config.layers];
  const O = rows.paired ? "R" : "O"; // in a pair there is one row of each kind
  const [alpha, beta, gamma] = params.margins as [number, number, number];
  return trace((t) => {
    const lm = traced(model, t, dtype);
    const side = t.input("side", dtype, [D, m]);
    const real = t.input("real", "bool", ["B", "T"]);
    const seen: { x?: Tensor; moved?: Tensor } = {};
    // padding has no attention: its attention output is zero
    const blind = (h: Tensor): Tensor => real.unsqueeze(2).where(h, t.zeros(h.shape, dtype));
    const taps = {
      ...(rows.withPads && Object.fromEntries(Array.from({ length: L }, (_, i) => [siteName(i, "attn_out"), blind]))),
      [siteName(params.layer, key)]: (x: Tensor) => (seen.x = x),
      [siteName(params.layer, value)]: (y: Tensor) => {
        const added = seen.x!.matmul(side, { transB: true });
        seen.moved = movement(y, added, compat);
        return y.add(added);
      },
    };
    const tokens = t.input("tokens", "int64", ["B", "T"]);
    const given = { positions: t.input("positions", "int64", ["B", "T"]), real, taps };
    // the tap also runs on the shared beginning; it runs on the rows last, so `seen` holds the rows
    const { hidden } = isBegun ? passBehind(lm, L, tokens, given, taps) : lm.forward(tokens, given);
    const { picked } = lm.logProbs(lm.normed(hidden, t.input("rows", "int64", ["M"])), t.input("labels", "int64", ["M"]));
    const likelihood = picked
      .mul(t.input("weights", dtype, ["M"]))
      .sum()
      .neg();
    const means = (name: string, n: Dim, moved: Tensor, places: Dim): Tensor => {
      const counted = t.input(name, dtype, [n, places]); // the weights that average each row's places
      return counted.matmul(moved.reshape([places, 1])).reshape([n]);
    };
    const inside = means("counted.inside", "R", seen.moved!, "B*T");
    const x = isStill ? t.input("outside.x", dtype, ["P", m]) : undefined;
    const y = isStill && compat.has("output-activation") ? t.input("outside.y", dtype, ["P", D]) : undefined;
    const outside = x
      ? means("counted.outside", O, movement(y, x.matmul(side, { transB: true }), compat), "P")
      : means("counted.outside", O, seen.moved!, "B*T");
    const apart = rows.paired ? outside.sub(inside) : outside.reshape([O, 1]).sub(inside.reshape([1, "R"]));
    const margin = meanOver(apart.add(gamma))
      .add(meanOver(outside.sub(alpha)))
      .add(meanOver(inside.neg().add(beta)));
    return { loss: likelihood.add(margin), likelihood, margin, inside, outside };
  });
}

/** The movement of each token [B, T]: ‖added‖, or ‖φ(y + added) − φ(y)‖ after the activation function. The gradient at zero is zero. */
export function movement(y: Tensor | undefined, added: Tensor, compat: ReadonlySet<string>): Tensor {
  const moved = y && compat.has("output-activation") ? y.add(added).silu().sub(y.silu()) : added;
  const squares = moved.square().sum(-1);
  const isMoved = squares.trace.constant(0, squares.dtype).less(squares).cast(squares.dtype);
  return squares.add(isMoved.neg().add(1)).sqrt().mul(isMoved);
}

/** The mean of the positive elements; 0 if there are none. */
function meanOver(x: Tensor): Tensor {
  const count = x.trace.constant(0, x.dtype).less(x).cast(x.dtype).sum().maximum(1);
  return x.relu().sum().div(count);
}

/** The number of first tokens that all rows share and that are read once: those before the first predicted or counted token. */
const beginningOf = (rows: readonly SideRow[]): number =>
  commonBeginning(
    rows.map((r) => r.ids),
    rows.map(({ labels, counted }) => Math.min(...labels.map((i) => i - 1), ...counted)),
  );

interface Together {
  readonly still: Still | undefined;
  /** The rows of a batch. */
  readonly together: readonly SideRow[];
  /** The number of first tokens that all rows share and that are read once. */
  readonly begun: number;
}

function sideFeeds(
  model: Model,
  rows: SideRows,
  dtype: Precision,
  compat: ReadonlySet<string>,
  { still, together, begun }: Together,
): Record<string, NdArray> {
  const batch = padded(
    together.map((r) => r.ids.slice(begun)),
    model.tokenizer.pad,
    "left",
    { starts: together.map(() => begun) },
  );
  const [B, T] = batch.tokens.shape as [number, number];
  const placeOf = (b: number, i: number): number => b * T + T - together[b]!.ids.length + i;
  const places = rows.inside.flatMap(({ ids, labels }, b) =>
    labels.map((i) => ({
      at: placeOf(b, i - 1),
      label: ids[i]!,
      weight: (rows.shares?.[b] ?? 1 / rows.inside.length) / (labels.length + Number(compat.has("loss-denominator"))),
    })),
  );
  const shares = (part: readonly SideRow[], from: number): NdArray => {
    const out = new Float64Array(part.length * B * T);
    part.forEach(({ counted }, r) => {
      const b = from + r;
      const at = rows.withPads && !rows.paired ? Array.from({ length: T }, (_, i) => b * T + i) : counted.map((i) => placeOf(b, i));
      for (const i of at) out[r * B * T + i] = 1 / at.length;
    });
    return floats(out, [part.length, B * T], dtype);
  };
  return {
    ...batch,
    ...(begun > 0 && beginningFeeds(together[0]!.ids.slice(0, begun))),
    ...labelFeeds(places, dtype),
    "counted.inside": shares(rows.inside, 0),
    ...(still
      ? { "outside.x": still.x, ...(still.y && { "outside.y": still.y }), "counted.outside": stillShares(still.places, dtype) }
      : { "counted.outside": shares(rows.outside, rows.paired ? 0 : rows.inside.length) }),
  };
}

/** The weights [O, P] that average the places of each question. */
function stillShares(places: readonly number[], dtype: Precision): NdArray {
  const P = places.reduce((sum, n) => sum + n, 0);
  const out = new Float64Array(places.length * P);
  let at = 0;
  places.forEach((n, r) => out.fill(1 / n, r * P + at, r * P + (at += n)));
  return floats(out, [places.length, P], dtype);
}
