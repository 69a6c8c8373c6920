/** The parts of unlearning losses: answers, distributions and hidden states of several kinds of rows, from one forward pass. */
import { floats, ints, type NdArray } from "../base/array.ts";
import { fail } from "../base/fail.ts";
import type { TracedModel } from "../model/forward.ts";
import { type ActivationName, siteName } from "../model/names.ts";
import { padded } from "../text/padding.ts";
import type { Dim } from "../tensor/dim.ts";
import type { Tensor } from "../tensor/tensor.ts";
import type { LabelledRow } from "./batches.ts";
import type { Objective, Pass } from "./objective.ts";

/** The role of a row: the answer to forget, the same question with its target, or a question and answer to retain. */
export type Role = "forget" | "target" | "retain";

/** A forget row with the rows paired with it; a micro-batch contains complete units. */
export type Unit = Readonly<Partial<Record<Role, LabelledRow>>>;

/**
 * Which positions of a role's rows: those that predict a label, those of the labels themselves, or all positions including pads: without
 * the last of each row ("shifted"), or with it ("every").
 */
export type Where = "predicting" | "labelled" | "shifted" | "every";

/** Positions of a role's rows: N positions in R rows. */
export interface Span {
  /** Indices among the B·T positions of the micro-batch: int64 [N]. */
  readonly at: Tensor;
  /** The label that each position predicts, or the given id if there is none: int64 [N]. */
  labels(otherwise: number): Tensor;
  /** The micro-batch's share of the step's mean of x [N]. */
  mean(x: Tensor): Tensor;
  /** Sums of x [N] over each row: [R]. */
  rowSums(x: Tensor): Tensor;
  /** The number of positions in each row: [R]. */
  counts(): Tensor;
  /** The step's mean of 1 / counts: []. */
  meanInverse(): Tensor;
}

/** Log-probabilities of a role's labels. */
export interface Answers {
  readonly span: Span;
  readonly logp: Tensor; // [N]
  /** Log-probability of each row's answer, including its end: [R]. */
  readonly sums: Tensor;
  /** The micro-batch's share of the step's mean negative log-likelihood, with equal weights. */
  readonly nll: Tensor;
}

export interface Parts {
  readonly lm: TracedModel;
  /** Computed together for all named roles. */
  answers<R extends Role>(...roles: readonly R[]): Readonly<Record<R, Answers>>;
  /** The micro-batch's share of the step's mean negative log-likelihood over the labels of several roles together. */
  together(...roles: readonly Role[]): Tensor;
  /** `skip`: the number of first labels of each row to omit. */
  span(role: Role, where: Where, skip?: number): Span;
  /** Logits [N, V] at a span. */
  logits(span: Span): Tensor;
  /** The residual stream [N, D] after a block, at a span. */
  hidden(span: Span, layer: number): Tensor;
  /** The micro-batch's share of the step's mean of x [R]. */
  rowMean(x: Tensor): Tensor;
  /** Numbers of the objective's state [n]. */
  state(n: number): Tensor;
  /** An input of fixed numbers [n]. */
  given(name: string, numbers: ArrayLike<number>): Tensor;
  /** The same for the reference model. */
  readonly reference: Omit<Parts, "reference">;
}

/** A loss over units: a formula of parts, and the roles of its rows. */
export interface Formula {
  readonly name: string;
  readonly roles: readonly Role[];
  /** "loss" and other reported scalars: each is the micro-batch's share of a mean over the step. */
  readonly loss: (parts: Parts) => Readonly<Record<string, Tensor>> & { readonly loss: Tensor };
  readonly state?: NonNullable<Objective<Unit>["state"]>;
  readonly like?: Likeness;
  /**
   * The loss in nats above which a token of the forget rows counts as forgotten: its loss is clipped to this, and it has no gradient.
   * Not applied to the reference model.
   */
  readonly cap?: number;
}

/** Layout of a micro-batch as in the published code. */
export interface Likeness {
  /** Rows are padded to at least so many tokens, and an answer's end is a pad too; 0: only if pads are counted, to the longest row. */
  readonly padTo?: number;
  /** No gradient for the pad token's embedding as an input, as a pad or as text (padding_idx). */
  readonly stillPad?: boolean;
}

/** A formula as an objective. */
export const objectiveOf = ({ name, roles, loss, state, like = {}, cap }: Formula): Objective<Unit> => ({
  name: JSON.stringify([name, like, cap ?? null]),
  lengthOf: (unit) => roles.length * Math.max(...roles.map((role) => rowOf(unit, role).ids.length)),
  tokensOf: (unit) => roles.reduce((sum, role) => sum + rowOf(unit, role).ids.length, 0),
  build(lm, reference) {
    const layout = new Layout(lm, roles, like.padTo ?? 0);
    const parts: Parts = {
      ...partsOf(lm, layout, { ...like, cap }),
      get reference() {
        return partsOf(reference(), layout);
      },
    };
    const outputs = loss(parts);
    return { outputs, feed: (pass) => layout.feed(pass), countsPads: layout.countsPads };
  },
  ...(state && { state }),
});

const rowOf = (unit: Unit, role: Role): LabelledRow => unit[role] ?? fail("train", `a unit without a ${role} row`, "one", "", "internal");

/** The layout of a micro-batch: rows of the first role, then of the next. */
interface Laid {
  readonly pass: Pass<Unit>;
  readonly B: number;
  readonly T: number;
}

type Feeder = (laid: Laid) => NdArray;

/** The inputs that a loss requested while it was traced, and how each is fed. */
class Layout {
  readonly lm: TracedModel;
  readonly roles: readonly Role[];
  private readonly padTo: number;
  private readonly feeders = new Map<string, Feeder>();
  /** Whether pads are counted: their positions increase, an answer's end is a pad, and every micro-batch is as long as the step's longest row. */
  private hasPads: boolean;

  constructor(lm: TracedModel, roles: readonly Role[], padTo: number) {
    [this.lm, this.roles, this.padTo, this.hasPads] = [lm, roles, padTo, padTo > 0];
  }

  get countsPads(): boolean {
    return this.hasPads;
  }

  input(name: string, dtype: "int64" | "float", shape: readonly Dim[], feeder: Feeder): Tensor {
    this.feeders.set(name, feeder);
    return this.lm.trace.input(name, dtype === "float" ? this.lm.dtype : dtype, shape);
  }

  feed(pass: Pass<Unit>): Record<string, NdArray> {
    const { rows, step, model } = pass;
    const ids = this.roles.flatMap((role) => rows.map((unit) => rowOf(unit, role).ids));
    const longest = Math.max(this.padTo, ...step.flatMap((unit) => this.roles.map((role) => rowOf(unit, role).ids.length)));
    const batch = padded(ids, model.tokenizer.pad, "right", this.hasPads ? { atLeast: longest, counted: true } : {});
    const [B, T] = batch.tokens.shape as [number, number];
    if (this.hasPads) ids.forEach((row, b) => ((batch.real.data as Uint8Array)[b * T + row.length - 1] = 0));
    const laid = { pass, B, T };
    return { ...batch, ...Object.fromEntries([...this.feeders].map(([name, feeder]) => [name, feeder(laid)])) };
  }

  span(role: Role, where: Where, skip: number): Span {
    if (where === "shifted" || where === "every") this.hasPads = true;
    const name = `${role}.${where}${skip > 0 ? skip : ""}`;
    const N = `N_${name.replace(".", "_")}`;
    const first = this.roles.indexOf(role);
    const placesOf = (row: LabelledRow, T: number): readonly number[] => {
      if (where === "every" || where === "shifted") return Array.from({ length: where === "every" ? T : T - 1 }, (_, i) => i);
      return row.labels.slice(skip).map((i) => (where === "predicting" ? i - 1 : i));
    };
    const all = ({ pass, T }: Laid) =>
      pass.rows.flatMap((unit, r) =>
        placesOf(rowOf(unit, role), T).map((i) => ({ r, i, row: rowOf(unit, role), at: (first * pass.rows.length + r) * T + i })),
      );
    const float = (numbers: readonly number[] | Float64Array, shape: readonly number[]): NdArray => floats(numbers, shape, this.lm.dtype);
    return {
      at: this.input(`${name}.at`, "int64", [N], (laid) => ints(all(laid).map((p) => p.at))),
      labels: (otherwise) =>
        this.input(`${name}.labels`, "int64", [N], (laid) =>
          ints(all(laid).map(({ row, i }) => (row.labels.includes(i + 1) ? row.ids[i + 1]! : otherwise))),
        ),
      mean: (x) => {
        const shares = this.input(`${name}.shares`, "float", [N], (laid) => {
          const total = laid.pass.step.reduce((sum, unit) => sum + placesOf(rowOf(unit, role), laid.T).length, 0);
          return float(
            all(laid).map(() => 1 / total),
            [all(laid).length],
          );
        });
        return x.mul(shares).sum();
      },
      rowSums: (x) => {
        const own = this.input(`${name}.own`, "float", ["R", N], (laid) => {
          const places = all(laid);
          const R = laid.pass.rows.length;
          const out = new Float64Array(R * places.length);
          places.forEach(({ r }, n) => (out[r * places.length + n] = 1));
          return float(out, [R, places.length]);
        });
        return own.matmul(x.reshape([N, 1])).reshape(["R"]);
      },
      counts: () =>
        this.input(`${name}.counts`, "float", ["R"], (laid) => {
          const counts = laid.pass.rows.map((unit) => placesOf(rowOf(unit, role), laid.T).length);
          return float(counts, [counts.length]);
        }),
      meanInverse: () =>
        this.input(`${name}.inverse`, "float", [1], ({ pass, T }) => {
          const inverses = pass.step.map((unit) => 1 / placesOf(rowOf(unit, role), T).length);
          return float([inverses.reduce((a, x) => a + x, 0) / inverses.length], [1]);
        }).reshape([]),
    };
  }

  /** The weight of each label of several roles, concatenated, in one mean over the step. */
  shared(roles: readonly Role[]): Tensor {
    const count = (units: readonly Unit[], of: readonly Role[]): number =>
      units.reduce((sum, unit) => sum + of.reduce((n, role) => n + rowOf(unit, role).labels.length, 0), 0);
    const [first, ...rest] = roles.map((role) =>
      this.input(`${role}.of.${roles.join("+")}`, "float", [`N_${role}_predicting`], ({ pass }) => {
        const n = count(pass.rows, [role]);
        return floats(new Array<number>(n).fill(1 / count(pass.step, roles)), [n], this.lm.dtype);
      }),
    );
    return rest.length > 0 ? first!.concat(rest, 0) : first!;
  }

  rowMean(x: Tensor): Tensor {
    const share = this.input("units.shares", "float", ["R"], ({ pass }) =>
      floats(
        pass.rows.map(() => 1 / pass.step.length),
        [pass.rows.length],
        this.lm.dtype,
      ),
    );
    return x.mul(share).sum();
  }
}

function partsOf(
  lm: TracedModel,
  layout: Layout,
  { stillPad = false, cap }: { readonly stillPad?: boolean; readonly cap?: number | undefined } = {},
): Omit<Parts, "reference"> {
  const t = lm.trace;
  const seen = new Map<ActivationName, Tensor>();
  const layers = Array.from({ length: lm.model.config.layers }, (_, layer) => siteName(layer, "resid_post"));
  const tokens = t.input("tokens", "int64", ["B", "T"]);
  const isPad = tokens.equal(t.constant(lm.model.tokenizer.pad, "int64")).unsqueeze(2);
  const { hidden } = lm.forward(tokens, {
    positions: t.input("positions", "int64", ["B", "T"]),
    real: t.input("real", "bool", ["B", "T"]),
    taps: {
      ...Object.fromEntries(layers.map((name) => [name, (h: Tensor) => (seen.set(name, h), h)])),
      ...(stillPad && { embed: (h: Tensor) => isPad.where(h.detach(), h) }),
    },
  });
  const span = (role: Role, where: Where, skip = 0): Span => layout.span(role, where, skip);
  /** Log-probabilities of several roles' labels, concatenated. */
  const picked = (spans: readonly Span[]): Tensor => {
    const [first, ...rest] = spans as [Span, ...Span[]];
    const joined = (of: (s: Span) => Tensor): Tensor => (rest.length > 0 ? of(first).concat(rest.map(of), 0) : of(first));
    const at = joined((s) => s.at);
    return lm.logProbs(
      lm.normed(hidden, at),
      joined((s) => s.labels(0)),
    ).picked;
  };
  return {
    lm,
    span,
    answers: <R extends Role>(...roles: readonly R[]) => {
      const spans = roles.map((role) => span(role, "predicting"));
      const all = picked(spans);
      let from: Dim = 0;
      const parts = spans.map((own, i): [R, Answers] => {
        const to: Dim = i === 0 ? own.at.dim(0) : `${from}+${own.at.dim(0)}`;
        const whole = spans.length > 1 ? all.slice(0, from, to).reshape([own.at.dim(0)]) : all;
        const logp = roles[i] === "forget" && cap !== undefined ? whole.maximum(-cap) : whole;
        from = to;
        return [roles[i]!, { span: own, logp, sums: own.rowSums(logp), nll: own.mean(logp).neg() }];
      });
      return Object.fromEntries(parts) as Record<R, Answers>;
    },
    together: (...roles) =>
      picked(roles.map((role) => span(role, "predicting")))
        .mul(layout.shared(roles))
        .sum()
        .neg(),
    logits: ({ at }) => lm.logits(lm.normed(hidden, at)),
    hidden: ({ at }, layer) => {
      const h =
        seen.get(siteName(layer, "resid_post")) ??
        fail(
          "train",
          `states after block ${layer}, which is below all trained blocks`,
          "a block at or above the lowest trained one",
          "Train this block or a lower one.",
        );
      return h.reshape(["B*T", h.dim(-1)]).rows(at);
    },
    rowMean: (x) => layout.rowMean(x),
    state: (n) => t.input("state", lm.dtype, [n]),
    given: (name, numbers) =>
      layout.input(name, "float", [numbers.length], () => floats(Float64Array.from(numbers), [numbers.length], lm.dtype)),
  };
}

/** log σ(x), elementwise [R]: by the log-softmax of (x, 0), which does not overflow and keeps small values. */
export function logSigmoid(x: Tensor): Tensor {
  const pair = x.unsqueeze(1).concat([x.mul(0).unsqueeze(1)], 1); // [R, 2]
  return pair
    .logSoftmax()
    .slice(1, 0, 1)
    .reshape([x.dim(0)]);
}

/** The mean over a span of the divergence Σ p·(log p − log q) of distributions given as log-probabilities [N, V]. */
export const klMean = (span: Span, from: Tensor, to: Tensor): Tensor => span.mean(from.exp().mul(from.sub(to)).sum(-1));
