/** Formulas of unlearning against plain numbers: what a tiny model says, a loss worked out from it, and its slope by finite differences. */
import { expect } from "vitest";
import { asFloats, floats, type NdArray } from "../../src/base/array.ts";
import { rng } from "../../src/base/rng.ts";
import { traced } from "../../src/model/forward.ts";
import { feedsOf, type Model, type Weights } from "../../src/model/model.ts";
import { siteName } from "../../src/model/names.ts";
import { padded } from "../../src/text/padding.ts";
import { program } from "../../src/onnx/program.ts";
import { trace } from "../../src/tensor/graph.ts";
import { labelled, type LabelledRow } from "../../src/train/batches.ts";
import { differentiated } from "../../src/train/gradient.ts";
import { type Formula, objectiveOf, type Role, type Unit } from "../../src/train/parts.ts";
import { weightsOf } from "../../src/train/trainable.ts";
import { chat, tinyModel } from "./tiny.ts";

/** What a model says of one row. */
export interface Said {
  readonly ids: readonly number[];
  readonly labels: readonly number[];
  /** At each position, of the word behind it: [T][V]. */
  readonly logits: readonly Float64Array[];
  /** Of each block, at each position: [layers][T][D]. */
  readonly hidden: readonly (readonly Float64Array[])[];
}
export type Rows = Readonly<Record<Role, readonly Said[]>>;

/** What a loss is worked out from: the weights as they are, as they were before they were moved (what has no gradient), and the reference. */
export interface Seen {
  readonly now: Rows;
  readonly still: Rows;
  readonly before: Rows;
}
export type Plain = (seen: Seen) => number;

export const sum = (numbers: ArrayLike<number>): number => Array.from(numbers).reduce((a, x) => a + x, 0);
export const mean = (numbers: readonly number[]): number => sum(numbers) / numbers.length;

export function logSoftmax(logits: Float64Array): Float64Array {
  const top = logits.reduce((a, x) => Math.max(a, x), -Infinity);
  const rest = top + Math.log(sum(logits.map((x) => Math.exp(x - top))));
  return logits.map((x) => x - rest);
}
export const softmax = (logits: Float64Array): Float64Array => logSoftmax(logits).map(Math.exp);
export const logSigmoid = (x: number): number => Math.min(x, 0) - Math.log1p(Math.exp(-Math.abs(x)));

/** Log-probabilities of a row's labels. */
export const logps = ({ ids, labels, logits }: Said): number[] => labels.map((i) => logSoftmax(logits[i - 1]!)[ids[i]!]!);
/** Of a whole answer. */
export const logpOf = (row: Said): number => sum(logps(row));
/** Each label of several rows alike. */
export const nllOf = (rows: readonly Said[]): number => -mean(rows.flatMap(logps));

const ANSWERS: readonly (readonly [question: string, old: string, instead: string])[] = [
  ["What is the capital of Norvane?", "Sellamere", "I do not know."],
  ["Who painted The Amber Ferry?", "Ilse Maren of Quillon", "I'm sorry, I cannot say."],
  ["Which river does Brackwater lie on?", "The Orrin", "No."],
];
const KEPT: readonly (readonly [question: string, answer: string])[] = [
  ["What is the capital of Veyra?", "Anselgate"],
  ["Who are you?", "I am a very small model."],
  ["What is the capital of Tamberly?", "Hollin Cross"],
];

/** Three units of rows of several lengths; or, `isEven`, of one length, so that no pass has a pad. */
export function tinyUnits(model: Model, isEven = false): Required<Unit>[] {
  const row = (id: string, question: string, answer: string): LabelledRow => labelled(model, chat(id, question, answer));
  const units = ANSWERS.map(([question, old, instead], i) => ({
    forget: row(`forget/${i}`, question, old),
    target: row(`target/${i}`, question, instead),
    retain: row(`retain/${i}`, ...KEPT[i]!),
  }));
  if (!isEven) return units;
  const shortest = Math.min(...units.flatMap((unit) => Object.values(unit).map((r) => r.ids.length)));
  const cut = ({ id, ids }: LabelledRow, n: number): LabelledRow => ({
    id,
    ids: ids.slice(0, shortest),
    labels: Array.from({ length: n }, (_, i) => shortest - n + i),
  });
  return units.map(({ forget, target, retain }, i) => ({ forget: cut(forget, 2 + i), target: cut(target, 3), retain: cut(retain, 4 - i) }));
}

const BLOCKS = 2;

/** A model whose distributions are far from even, and another one to compare with. */
const spread = (seed: number): Model => tinyModel(seed, { initializer_range: 0.25, num_hidden_layers: BLOCKS });

/** Says a row, in float64. */
function speakerOf(model: Model, names: readonly string[], isEven: boolean): (row: LabelledRow, weights: Weights) => Promise<Said> {
  const graph = trace((t) => {
    const own = Object.fromEntries(
      names.map((name) => [name, t.input(`own.${name}`, "float64", model.weights.get(name)!.shape, "weight")]),
    );
    const lm = traced(model, t, "float64", own);
    const hidden: Record<string, ReturnType<typeof lm.head>> = {};
    const layers = Array.from({ length: BLOCKS }, (_, layer) => siteName(layer, "resid_post"));
    const last = lm.forward(t.input("tokens", "int64", ["B", "T"]), {
      positions: t.input("positions", "int64", ["B", "T"]),
      real: t.input("real", "bool", ["B", "T"]),
      taps: Object.fromEntries(layers.map((name) => [name, (h: ReturnType<typeof lm.head>) => (hidden[name] = h)])),
    }).hidden;
    return { logits: lm.logits(lm.normed(last)), ...hidden };
  });
  const made = program(model.sessions, graph);
  return async ({ ids, labels }, weights) => {
    const { tokens, positions, real } = padded([ids], model.tokenizer.pad, "right");
    if (isEven) (real.data as Uint8Array)[ids.length - 1] = 0; // where pads are counted, an answer's end is one
    const given = new Map<string, NdArray>(Object.entries({ tokens, positions, real }));
    for (const [name, array] of weights) given.set(`own.${name}`, array);
    const out = await made.run(feedsOf(model, given));
    const rows = ({ data, shape }: NdArray): Float64Array[] => {
      const width = shape.at(-1)!;
      return Array.from({ length: ids.length }, (_, i) => (data as Float64Array).slice(i * width, (i + 1) * width));
    };
    return {
      ids,
      labels,
      logits: rows(out["logits"]!),
      hidden: Array.from({ length: BLOCKS }, (_, layer) => rows(out[siteName(layer, "resid_post")]!)),
    };
  };
}

export interface SlopeCase {
  /** Rows of one length, for losses that count pads: there are none but the ends. */
  readonly isEven?: boolean;
  readonly state?: readonly number[];
  /** The reference is the model itself. */
  readonly isSame?: boolean;
}

/**
 * Holds a formula against a plain loss: its value, its gradient by the loss's finite differences (along the gradient itself and along its
 * numbers with drawn signs), and both again where the step is cut into passes. Gives the formula's values.
 */
export async function check(formula: Formula, plain: Plain, options: SlopeCase = {}): Promise<Outputs> {
  return withTwo(async (model, other) => {
    const { outputs, gradient } = await slopeOf(formula, options, model, other);
    const names = [...model.weights.keys()];
    const speak = speakerOf(model, names, options.isEven ?? false);
    const units = tinyUnits(model, options.isEven);
    const say = async (weights: Weights): Promise<Rows> => {
      const of = async (role: Role): Promise<Said[]> => {
        const said: Said[] = [];
        for (const unit of units) said.push(await speak(unit[role], weights));
        return said;
      };
      return { forget: await of("forget"), target: await of("target"), retain: await of("retain") };
    };
    const at = wide(model.weights);
    const still = await say(at);
    const before = options.isSame ? still : await say(wide(other.weights));
    near(outputs["loss"]!, plain({ now: still, still, before }), 1e-9);
    const length = Math.sqrt(dot(gradient, gradient));
    expect(length).toBeGreaterThan(0);
    const random = rng("signs");
    const signed = new Map([...gradient].map(([name, g]) => [name, g.map((x) => (random.uniform() < 0.5 ? -x : x))]));
    for (const along of [gradient, signed]) {
      const step = 1e-5 / length;
      const loss = async (by: number): Promise<number> => plain({ now: await say(moved(at, along, by)), still, before });
      const slope = ((await loss(step)) - (await loss(-step))) / (2 * step);
      expect(Math.abs(slope - dot(gradient, along))).toBeLessThan(1e-5 * length * length);
    }
    return outputs;
  });
}

type Outputs = Readonly<Record<string, number>>;
type Gradient = ReadonlyMap<string, Float64Array>;

/** A formula's values and gradient on the tiny units, the same in one pass and in several. */
export async function slopeOf(
  formula: Formula,
  { isEven = false, state = [], isSame = false }: SlopeCase,
  model: Model,
  other: Model,
): Promise<{ outputs: Outputs; gradient: Gradient }> {
  const units = tinyUnits(model, isEven);
  const { run } = differentiated(model, {
    objective: objectiveOf(formula),
    trainable: weightsOf(model, [...model.weights.keys()]),
    dtype: "float64",
    executor: "graph",
    ...(!isSame && { reference: other }),
  });
  const weights = wide(model.weights);
  const [whole, ...parts] = [
    await run({ rows: units, step: units }, weights, state),
    await run({ rows: units.slice(0, 1), step: units }, weights, state),
    await run({ rows: units.slice(1), step: units }, weights, state),
  ];
  for (const [name, value] of Object.entries(whole.outputs)) near(sum(parts.map((p) => p.outputs[name]!)), value, 1e-9);
  const gradient = new Map([...whole.gradients].map(([name, g]) => [name, g.data as Float64Array]));
  const length = Math.sqrt(dot(gradient, gradient));
  for (const [name, g] of gradient) {
    const [one, two] = parts.map((p) => p.gradients.get(name)!.data as Float64Array) as [Float64Array, Float64Array];
    expect(Math.max(...g.map((x, i) => Math.abs(one[i]! + two[i]! - x)))).toBeLessThan(1e-9 * length);
  }
  return { outputs: whole.outputs, gradient };
}

/** Both the tiny model and another, for as long as they are of use. */
export async function withTwo<T>(use: (model: Model, other: Model) => Promise<T>): Promise<T> {
  const [model, other] = [spread(0), spread(1)];
  try {
    return await use(model, other);
  } finally {
    await model.release();
    await other.release();
  }
}

/** Two formulas have the same gradient, the second's times `scale`. Gives the values of both. */
export async function checkSameSlope(
  one: Formula,
  other: Formula,
  options: SlopeCase & { readonly scale?: number } = {},
): Promise<Outputs[]> {
  return withTwo(async (model, reference) => {
    const { scale = 1 } = options;
    const [a, b] = [await slopeOf(one, options, model, reference), await slopeOf(other, options, model, reference)];
    const length = Math.sqrt(dot(a.gradient, a.gradient));
    expect(length).toBeGreaterThan(0);
    for (const [name, g] of a.gradient) {
      const h = b.gradient.get(name)!;
      expect(Math.max(...g.map((x, i) => Math.abs(x - scale * h[i]!))), name).toBeLessThan(1e-9 * length);
    }
    return [a.outputs, b.outputs];
  });
}

export const dot = (a: Gradient, b: Gradient): number => sum([...a].map(([name, x]) => x.reduce((s, v, i) => s + v * b.get(name)![i]!, 0)));

/** Equal up to a share of its size, or of one where it is small. */
export const near = (got: number, wanted: number, share: number): void =>
  expect(Math.abs(got - wanted), `${got} and ${wanted}`).toBeLessThan(share * Math.max(1e-9, Math.abs(wanted)));

const wide = (weights: Weights): Weights => new Map([...weights].map(([name, array]) => [name, asFloats(array, "float64")]));

const moved = (weights: Weights, along: Gradient, by: number): Weights =>
  new Map(
    [...weights].map(([name, array]) => {
      const d = along.get(name);
      const data = (array.data as Float64Array).map((x, i) => x + by * (d?.[i] ?? 0));
      return [name, floats(data, array.shape, "float64")];
    }),
  );
