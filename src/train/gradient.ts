/** Losses and gradients of an objective with respect to the trained numbers. */
import { floats, type NdArray } from "../base/array.ts";
import { fail } from "../base/fail.ts";
import { traced, type TracedModel } from "../model/forward.ts";
import { feedsOf, type Model, type Precision } from "../model/model.ts";
import { type Executor, staged } from "../onnx/program.ts";
import { type Graph, inputOf, trace } from "../tensor/graph.ts";
import { dropoutFeeds, type PassAt } from "./dropout.ts";
import { above, statesBelow } from "./frozen-states.ts";
import type { Objective, Pass, Traced } from "./objective.ts";
import type { Trainable } from "./trainable.ts";

/** What to differentiate, and how to run it. */
export interface Differentiated<Row> {
  readonly objective: Objective<Row>;
  readonly trainable: Trainable;
  readonly dtype: Precision;
  readonly executor: Executor;
  /** The reference model of the objective; by default the model itself. */
  readonly reference?: Model;
}

export interface Slope {
  /** The objective's scalars, "loss" among them. */
  readonly outputs: Readonly<Record<string, number>>;
  readonly gradients: ReadonlyMap<string, NdArray>;
}

/** One micro-batch: losses and gradients at the given numbers and objective's state; `at` determines the dropout masks. */
export type Differentiate<Row> = (
  pass: Omit<Pass<Row>, "model" | "dtype">,
  numbers: ReadonlyMap<string, NdArray>,
  state?: readonly number[],
  at?: PassAt,
) => Promise<Slope>;

const before = (name: string): string => `reference.${name}`;

/**
 * Makes an objective differentiable. Parts that do not depend on the trained numbers are computed separately, without a gradient: the blocks
 * below the lowest trained one, and the reference model. Numbers that do not affect the loss have no gradient and are omitted.
 */
export function differentiated<Row>(
  model: Model,
  { objective, trainable, dtype, executor, reference = model }: Differentiated<Row>,
): { reached: readonly string[]; run: Differentiate<Row> } {
  const { sessions } = model;
  const names = [...trainable.start(dtype).keys()];
  // if the reference model is another model: its weights that are different arrays
  for (const [name, { shape }] of model.weights)
    if (String(reference.weights.get(name)?.shape) !== String(shape))
      fail(
        "reference",
        `"${name}" of [${reference.weights.get(name)?.shape.join(", ") ?? "nothing"}] and one of [${shape.join(", ")}] differ in shape`,
        "a model of the same shape",
        "Give the model that this one was made from.",
      );
  const other = [...reference.weights].filter(([name, array]) => array !== model.weights.get(name));
  let made: Traced<Row> | undefined;
  const traceFrom = (block: number): Graph =>
    trace((t) => {
      const still = Object.fromEntries(other.map(([name, { shape, dtype: kept }]) => [name, t.input(before(name), kept, shape, "weight")]));
      const from = (lm: TracedModel): TracedModel => (block > 0 ? above(lm, block) : lm);
      made = objective.build(from(trainable.trace(t, dtype)), () => from(traced(model, t, dtype, still)));
      return made.outputs;
    });
  // another reference model may have different lower blocks
  const block = other.length === 0 ? trainable.lowest : 0;
  let graph = traceFrom(block);
  const hasStates = block > 0 && made?.countsPads !== true;
  if (block > 0 && !hasStates) graph = traceFrom(0); // only tracing shows which blocks a loss uses; tracing thirty blocks again takes 20 ms
  const states = hasStates ? statesBelow(model, block, { dtype, executor }) : undefined;
  const asked = new Set(graph.inputs.map((x) => inputOf(x).name));
  const reached = names.filter((name) => asked.has(trainable.inputOf(name)));
  if (reached.length === 0)
    fail("train", `a loss that depends on none of ${names.slice(0, 4).join(", ")}`, "a weight that it depends on", "Train other layers.");
  const wrt = reached.map((name) => trainable.inputOf(name));
  const start = staged(sessions, graph, wrt, { executor, grad: { of: "loss", wrt }, spin: true });
  const scalars = [...graph.outputs.keys()];
  const references = new Map(other.map(([name, array]) => [before(name), array]));
  return {
    reached,
    run: async (pass, numbers, state = [], at = { seed: 0, step: 0, pass: 0 }) => {
      const fed = made!.feed({ ...pass, model, dtype });
      const [B, T] = fed["tokens"]!.shape as [number, number];
      const given = new Map([
        ...Object.entries({ ...fed, ...(await states?.(fed)), ...dropoutFeeds(graph, at, { B, T }) }),
        ...references,
        ["state", floats(state, [state.length], dtype)] as const,
      ]);
      const step = await start(feedsOf(model, given));
      const out = await step(new Map(reached.map((name) => [trainable.inputOf(name), numbers.get(name)!])));
      return {
        outputs: Object.fromEntries(scalars.map((name) => [name, Number(out[name]!.data[0])])),
        gradients: new Map(reached.map((name) => [name, out[`grad:${trainable.inputOf(name)}`]!])),
      };
    },
  };
}
