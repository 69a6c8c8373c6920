/** Losses and gradients of an objective with respect to weights that change from run to run. */
import { floats, type NdArray } from "../base/array.ts";
import { fail } from "../base/fail.ts";
import { traced } from "../model/forward.ts";
import { feedsOf, type Model, type Precision } from "../model/model.ts";
import type { WeightName } from "../model/names.ts";
import { type Executor, staged } from "../onnx/program.ts";
import { type Graph, inputOf, trace } from "../tensor/graph.ts";
import type { Objective, Pass } from "./objective.ts";

/** What is differentiated, and how it runs. */
export interface Differentiated<Row> {
  readonly objective: Objective<Row>;
  /** Weights with gradients. */
  readonly names: readonly WeightName[];
  readonly dtype: Precision;
  readonly executor: Executor;
  /** The model that an objective may compare with; by default the model itself. */
  readonly reference?: Model;
}

export interface Slope {
  /** The objective's scalars, "loss" among them. */
  readonly outputs: Readonly<Record<string, number>>;
  readonly gradients: ReadonlyMap<WeightName, NdArray>;
}

/** One pass: losses and gradients at the given weights and objective's state. */
export type Differentiate<Row> = (
  pass: Omit<Pass<Row>, "model" | "dtype">,
  weights: ReadonlyMap<WeightName, NdArray>,
  state?: readonly number[],
) => Promise<Slope>;

/** What an input that stands in a weight's place is called. */
const own = (name: WeightName): string => `own.${name}`;
const before = (name: WeightName): string => `reference.${name}`;

/**
 * Makes an objective differentiable. What does not depend on the weights is computed apart and without a gradient: blocks below the
 * lowest of them, and the reference. Weights that the loss does not reach have no gradient and are left out.
 */
export function differentiated<Row>(
  model: Model,
  { objective, names, dtype, executor, reference = model }: Differentiated<Row>,
): { reached: readonly WeightName[]; run: Differentiate<Row> } {
  const { sessions } = model;
  for (const name of names)
    if (!model.weights.has(name)) fail("train", `weight "${name}"`, `one of ${[...model.weights.keys()].slice(0, 12).join(", ")}, …`, "");
  // of a reference that is another model, the weights that are not the same arrays
  const other = [...reference.weights].filter(([name, array]) => array !== model.weights.get(name));
  let feed: ((pass: Pass<Row>) => Readonly<Record<string, NdArray>>) | undefined;
  const graph: Graph = trace((t) => {
    // weights by role, so that the blocks of a model share one session
    const inputs = Object.fromEntries(names.map((name) => [name, t.input(own(name), dtype, model.weights.get(name)!.shape, "weight")]));
    const still = Object.fromEntries(other.map(([name, { shape, dtype: kept }]) => [name, t.input(before(name), kept, shape, "weight")]));
    const made = objective.build(traced(model, t, dtype, inputs), () => traced(model, t, dtype, still));
    feed = (pass) => made.feed(pass);
    return made.outputs;
  });
  const asked = new Set(graph.inputs.map((x) => inputOf(x).name));
  const reached = names.filter((name) => asked.has(own(name)));
  if (reached.length === 0)
    fail("train", `a loss that depends on none of ${names.slice(0, 4).join(", ")}`, "a weight that it depends on", "Train other layers.");
  const wrt = reached.map(own);
  const start = staged(sessions, graph, wrt, { executor, grad: { of: "loss", wrt }, spin: true });
  const scalars = [...graph.outputs.keys()];
  const references = new Map(other.map(([name, array]) => [before(name), array]));
  return {
    reached,
    run: async (pass, weights, state = []) => {
      const fed = feed!({ ...pass, model, dtype });
      const given = new Map([...Object.entries(fed), ...references, ["state", floats(state, [state.length], dtype)] as const]);
      const step = await start(feedsOf(model, given));
      const out = await step(new Map(reached.map((name) => [own(name), weights.get(name)!])));
      return {
        outputs: Object.fromEntries(scalars.map((name) => [name, Number(out[name]!.data[0])])),
        gradients: new Map(reached.map((name) => [name, out[`grad:${own(name)}`]!])),
      };
    },
  };
}
