/** Adapters: small traced functions with state, which rewrite an activation from others, row by row, by what is asked. */
import type { NdArray } from "../base/array.ts";
import { fail } from "../base/fail.ts";
import { formatShape, sameShape, type Shape } from "../tensor/dim.ts";
import { type Graph, inputOf } from "../tensor/graph.ts";
import { inline } from "../tensor/inline.ts";
import type { Tensor } from "../tensor/tensor.ts";
import type { Trace } from "../tensor/trace.ts";
import type { Config } from "./arch/arch.ts";
import { type BlockSite, type Site, SITES } from "./names.ts";

/**
 * A graph from what it reads to what it writes. Its inputs: "reads.0" … [B, T, width] (the activations named in `reads`), "prompt"
 * (bool [B, T], true where the question stands), "positions" (int64 [B, T]), "carry" [B, C] (what it gave for earlier positions, zeros at
 * first), and "state.NAME" for each array of its state; it need not take them all. Its outputs: "write", in the place of the activation
 * `writes`, and "carry" where it takes one.
 */
export interface Adapter {
  readonly reads: readonly BlockSite[];
  readonly writes: BlockSite;
  readonly state: Readonly<Record<string, NdArray>>;
  readonly graph: Graph;
  /** "prefill": decides on the question, once; "every-call": on all tokens of every call, as the published code does. */
  readonly route: Route;
}
export type Route = "prefill" | "every-call";

/** The name under which a program asks for an array of a model's adapter `index`. */
export const stateName = (index: number, name: string): string => `adapter.${index}.${name}`;

/** How many numbers an adapter carries from call to call for a row; 0: none. */
export function carrySize({ graph }: Adapter): number {
  const carry = graph.inputs.find((t) => inputOf(t).name === "carry");
  return carry ? Number(carry.shape[1]) : 0;
}

/** The positions of a pass, as adapters see them. */
export interface Positions {
  readonly positions: Tensor; // int64 [B, T]
  /** Which of these positions are text, not padding. */
  readonly real?: Tensor; // bool [B, T]
  /** Which of these positions are the question, by which adapters decide; by default all that are text. */
  readonly prompt?: Tensor; // bool [B, T]
  /** What each adapter decided at earlier positions. */
  readonly carries?: Readonly<Record<number, Tensor>>; // adapter → [B, C]
}

/** Where adapters work: in a trace, in one precision. */
interface Place {
  readonly adapters: readonly Adapter[];
  readonly trace: Trace;
  readonly dtype: "float32" | "float64";
}

/** A pass's adapters: `at` is called with every activation, in order. */
interface Adapting {
  at(name: BlockSite, h: Tensor): Tensor;
  readonly carries: Record<number, Tensor>;
}

/** A model's adapters at work in one pass over its blocks. */
export function adapting({ adapters, trace, dtype }: Place, given: Positions): Adapting {
  const seen = new Map<BlockSite, Tensor>();
  const carries: Record<number, Tensor> = {};
  const wanted = new Set(adapters.flatMap((a) => [...a.reads, a.writes]));
  const write = (adapter: Adapter, index: number, h: Tensor): Tensor => {
    const { positions, real = positions.equal(positions), prompt = real } = given;
    const size = carrySize(adapter);
    const B = positions.dim(0);
    const out = inline(adapter.graph, trace, {
      ...Object.fromEntries(adapter.reads.map((name, i) => [`reads.${i}`, seen.get(name) ?? unseen(name)])),
      ...stateOf(trace, adapter, index),
      ...(size > 0 && { carry: given.carries?.[index] ?? trace.zeros([B, size], dtype) }),
      prompt: adapter.route === "prefill" ? prompt : real,
      positions,
    });
    if (out["carry"]) carries[index] = like("carry", out["carry"], [B, size]).cast(dtype);
    return like("write", out["write"]!, h.shape).cast(h.dtype);
  };
  return {
    carries,
    at(name, h) {
      if (!wanted.has(name)) return h;
      seen.set(name, h);
      let out = h;
      for (const [index, adapter] of adapters.entries())
        if (adapter.writes === name) {
          out = write(adapter, index, out);
          seen.set(name, out);
        }
      return out;
    },
  };
}

const unseen = (name: BlockSite): never =>
  fail("adapter", `it reads "${name}"`, "a site that this model's blocks have", "It was made for another model.", "unavailable");

/** An output of the shape that the pass has room for; refuses another. */
function like(output: string, given: Tensor, shape: Shape): Tensor {
  if (!sameShape(given.shape, shape) || !given.dtype.startsWith("float"))
    fail("adapter", `the output "${output}" of ${given.dtype} ${formatShape(given.shape)}`, `floats ${formatShape(shape)}`, DAMAGED);
  return given;
}

/** An adapter's arrays in a trace; sizes that its graph leaves open stay open, so that one program serves a state that grows. */
function stateOf(trace: Trace, { graph }: Adapter, index: number): Record<string, Tensor> {
  const inputs = graph.inputs.map(inputOf).filter(({ name }) => name.startsWith("state."));
  return Object.fromEntries(
    inputs.map(({ name, dtype, shape }) => {
      const own = shape.map((d) => (typeof d === "number" ? d : `a${index}${d}`));
      return [name, trace.input(stateName(index, name.slice("state.".length)), dtype, own, "weight")];
    }),
  );
}

/** Refuses an adapter that does not fit a model: a site that is not there, or is read after it is written. */
export function checkAdapter(adapter: Adapter, config: Config): void {
  const place = (name: BlockSite): number => {
    const [, layer, site] = name.split(".");
    const at = SITES.indexOf(site as Site);
    return at >= 0 && Number(layer) < config.layers
      ? Number(layer) * SITES.length + at
      : fail("adapter", `"${name}"`, `a site of a model of ${config.layers} blocks`, "It was made for another model.", "unavailable");
  };
  const last = place(adapter.writes);
  for (const name of adapter.reads)
    if (place(name) > last) fail("adapter", `"${name}" is read for "${adapter.writes}"`, "what comes before it", "", "unavailable");
  if (!adapter.graph.outputs.has("write")) fail("adapter", "a graph without the output write", "what it writes", DAMAGED);
  checkInputs(adapter);
  for (const { name, dtype, shape } of adapter.graph.inputs.map(inputOf)) {
    if (!name.startsWith("state.")) continue;
    const array = adapter.state[name.slice("state.".length)];
    const fits =
      array &&
      array.dtype === dtype &&
      array.shape.length === shape.length &&
      shape.every((d, i) => typeof d === "string" || d === array.shape[i]);
    if (!fits)
      fail(
        "adapter",
        array ? `"${name}" of ${array.dtype} [${array.shape.join(", ")}]` : `no "${name}"`,
        `${dtype} ${formatShape(shape)}`,
        "The edit file is damaged.",
        "unavailable",
      );
  }
}

const DAMAGED = "The edit file is damaged: make the edit again.";

/** Refuses an input that nothing is given for, and a carry that is no row of numbers for each question. */
function checkInputs({ graph, reads }: Adapter): void {
  for (const { name, dtype, shape } of graph.inputs.map(inputOf)) {
    const [, read] = /^reads\.(0|[1-9]\d*)$/.exec(name) ?? [];
    const isGiven = read === undefined ? /^(prompt|positions|carry|state\..+)$/.test(name) : Number(read) < reads.length;
    if (!isGiven) fail("adapter", `the input "${name}"`, "reads, prompt, positions, carry or state", DAMAGED);
    const isRow = shape.length === 2 && typeof shape[0] === "string" && typeof shape[1] === "number" && dtype.startsWith("float");
    if (name === "carry" && !(isRow && graph.outputs.has("carry")))
      fail("adapter", `a carry of ${dtype} ${formatShape(shape)}`, "floats [B, a number], and an output of that name", DAMAGED);
  }
}
