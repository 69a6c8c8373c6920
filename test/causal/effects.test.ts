/** Causal tracing against the slow way: each place put back by a run of its own, on whole texts, without a cache. */
import { afterAll, describe, expect, it } from "vitest";
import { floats, ints } from "../../src/base/array.ts";
import { defaultContext } from "../../src/base/context.ts";
import { rng } from "../../src/base/rng.ts";
import {
  type Cell,
  cellsOf,
  drawNoise,
  embeddingSpread,
  traceCells,
  type TraceKind,
  type TraceOptions,
  windowOf,
} from "../../src/causal/effects.ts";
import { traced } from "../../src/model/forward.ts";
import { feedsOf, withWeights } from "../../src/model/model.ts";
import { type ActivationName, type Site, siteName } from "../../src/model/names.ts";
import { program } from "../../src/onnx/program.ts";
import { trace } from "../../src/tensor/graph.ts";
import type { Tensor } from "../../src/tensor/tensor.ts";
import { tinyModel } from "../train/tiny.ts";

const small = tinyModel(0, { num_hidden_layers: 4 });
afterAll(() => small.release());
/** Larger matrices, so that every block has something to say. */
const model = withWeights(
  small,
  new Map(
    [...small.weights].flatMap(([name, a]) =>
      a.shape.length > 1 && name !== "embed" ? [[name, { ...a, data: (a.data as Float32Array).map((x) => 8 * x) }] as const] : [],
    ),
  ),
);
const L = model.config.layers;
const D = model.config.width;
const { ids } = model.tokenizer.encode("What is the capital of Norvane?");
const text = { ids, subject: [3, 4, 6], label: ids[1]! };
const noise = drawNoise(rng("a test"), 3, text.subject.length * D, 2);
const options: TraceOptions = { kind: "hidden", window: 2, noise, dtype: "float64", executor: "graph", ctx: defaultContext() };
const SITES: Readonly<Record<TraceKind, Site>> = { hidden: "resid_post", mlp: "mlp_out", attn: "attn_out" };

/** One run over the whole text; states given by site and token stand in for its own; returns the label's probability and every state. */
async function direct(
  drowned: Float64Array | undefined,
  given: readonly { readonly site: ActivationName; readonly token: number; readonly state: Float64Array }[] = [],
): Promise<{ chance: number; states: Map<string, Float64Array> }> {
  const T = ids.length;
  const names = Object.values(SITES).flatMap((site) => Array.from({ length: L }, (_, layer) => siteName(layer, site)));
  const graph = trace((t) => {
    const lm = traced(model, t, "float64");
    const seen: Record<string, Tensor> = {};
    const tap = (name: ActivationName) => (h: Tensor) => {
      let out = h;
      for (const g of given.filter((one) => one.site === name)) {
        const state = t.input(`${name}@${g.token}`, "float64", [1, 1, D]);
        const parts = [
          ...(g.token > 0 ? [out.slice(1, 0, g.token)] : []),
          state,
          ...(g.token < T - 1 ? [out.slice(1, g.token + 1, T)] : []),
        ];
        out = parts[0]!.concat(parts.slice(1), 1);
      }
      return (seen[name] = out);
    };
    const { hidden } = lm.forward(t.input("tokens", "int64", [1, T]), {
      positions: t.input("positions", "int64", [1, T]),
      taps: { embed: (h) => h.add(t.input("noise", "float64", [1, T, D])), ...Object.fromEntries(names.map((name) => [name, tap(name)])) },
    });
    const chances = lm.logits(lm.normed(hidden.slice(1, T - 1, T))).softmax();
    return { chances, ...seen };
  });
  const all = new Float64Array(T * D);
  if (drowned) text.subject.forEach((at, i) => all.set(drowned.subarray(i * D, (i + 1) * D), at * D));
  const feeds = {
    tokens: ints(ids, [1, T]),
    positions: ints([...ids.keys()], [1, T]),
    noise: floats(all, [1, T, D], "float64"),
    ...Object.fromEntries(given.map((g) => [`${g.site}@${g.token}`, floats(g.state, [1, 1, D], "float64")])),
  };
  const { chances, ...states } = await program(model.sessions, graph).run(feedsOf(model, feeds));
  return {
    chance: Number(chances!.data[text.label]),
    states: new Map(Object.entries(states).map(([name, a]) => [name, a.data as Float64Array])),
  };
}

const at = (states: ReadonlyMap<string, Float64Array>, site: ActivationName, token: number): Float64Array =>
  states.get(site)!.slice(token * D, (token + 1) * D);

const bases = new Map<number | undefined, ReturnType<typeof direct>>();
/** The clean run, or that of a sample. */
function base(n?: number): ReturnType<typeof direct> {
  const known = bases.get(n) ?? direct(n === undefined ? undefined : noise[n]);
  bases.set(n, known);
  return known;
}

/** A cell by hand: the clean states that belong to it, and where something is severed, the corrupted ones above it. */
async function byHand({ tokens, layer }: Cell, n: number, { kind, severed }: TraceOptions): Promise<number> {
  const [clean, corrupted] = [await base(), await base(n)];
  const [from, to] = kind === "hidden" ? [layer, layer + 1] : [Math.max(0, layer - 1), Math.min(L, layer + 1)]; // a window of two
  const back = Array.from({ length: to - from }, (_, i) => siteName(from + i, SITES[kind]));
  const kept = severed ? Array.from({ length: L - 1 - layer }, (_, i) => siteName(layer + 1 + i, SITES[severed])) : [];
  const given = [
    ...tokens.flatMap((token) => back.map((site) => ({ site, token, state: at(clean.states, site, token) }))),
    ...tokens.flatMap((token) => kept.map((site) => ({ site, token, state: at(corrupted.states, site, token) }))),
  ];
  return (await direct(noise[n], given)).chance;
}

describe("causal tracing", () => {
  const cells = [
    { tokens: [4], layer: 1 },
    { tokens: [5, 3], layer: 2 },
    { tokens: [ids.length - 1], layer: 3 },
  ];
  const settings: readonly Partial<TraceOptions>[] = [
    { kind: "hidden" },
    { kind: "mlp" },
    { kind: "attn" },
    { kind: "hidden", severed: "mlp" },
    { kind: "hidden", severed: "attn" },
    { kind: "hidden", executor: "blocks" },
    { kind: "mlp", budget: 1 },
  ];
  it.each(settings)("agrees with runs by hand: %j", async (over) => {
    const set = { ...options, ...over };
    const { clean, corrupted, restored } = await traceCells(model, text, cells, set);
    expect(Math.abs(clean / (await base()).chance - 1)).toBeLessThan(1e-9);
    for (const n of noise.keys()) {
      expect(Math.abs(corrupted[n]! / (await base(n)).chance - 1)).toBeLessThan(1e-9);
      for (const [i, cell] of cells.entries()) expect(Math.abs(restored[i]![n]! / (await byHand(cell, n, set)) - 1)).toBeLessThan(1e-9);
    }
    // the comparison sees a neighbouring block, another sample, another token
    const cell = cells[0]!;
    for (const wrong of [
      byHand({ ...cell, layer: cell.layer - 1 }, 0, set),
      byHand(cell, 1, set),
      byHand({ ...cell, tokens: [3] }, 0, set),
    ])
      expect(Math.abs(restored[0]![0]! / (await wrong) - 1)).toBeGreaterThan(1e-6);
  });

  it("severing changes what comes back", async () => {
    const [whole, severed] = await Promise.all([
      traceCells(model, text, [cells[0]!], options),
      traceCells(model, text, [cells[0]!], { ...options, severed: "mlp" }),
    ]);
    expect(Math.abs(whole.restored[0]![0]! / severed.restored[0]![0]! - 1)).toBeGreaterThan(1e-6);
  });

  it("the last state put back is the clean run; without noise all runs are", async () => {
    const last = { tokens: [ids.length - 1], layer: L - 1 };
    const { clean, restored } = await traceCells(model, text, [last], options);
    restored[0]!.forEach((p) => expect(p).toBeCloseTo(clean, 12));
    const still = await traceCells(model, text, cells, { ...options, noise: noise.map((n) => n.map(() => 0)) });
    [...still.corrupted, ...still.restored.flat()].forEach((p) => expect(p).toBeCloseTo(clean, 12));
  });

  it("gives the baselines alone where no cell is asked for, and works on a text that begins with its subject", async () => {
    expect((await traceCells(model, text, [], options)).corrupted).toHaveLength(3);
    const first = { ...text, subject: [0, 1, 2] };
    const { clean, restored } = await traceCells(model, first, [{ tokens: [ids.length - 1], layer: L - 1 }], options);
    expect(restored[0]![0]).toBeCloseTo(clean, 12);
  });

  it("places begin at the subject; windows are cut at the ends", () => {
    expect(cellsOf(text, 2).slice(0, 3)).toEqual([
      { tokens: [3], layer: 0 },
      { tokens: [3], layer: 1 },
      { tokens: [4], layer: 0 },
    ]);
    expect(windowOf(0, { kind: "mlp", window: 10 }, 30)).toEqual([0, 5]);
    expect(windowOf(15, { kind: "attn", window: 10 }, 30)).toEqual([10, 20]);
    expect(windowOf(29, { kind: "mlp", window: 10 }, 30)).toEqual([24, 30]);
    expect(windowOf(7, { kind: "mlp", window: 1 }, 30)).toEqual([7, 8]);
    expect(windowOf(7, { kind: "hidden", window: 10 }, 30)).toEqual([7, 8]);
  });

  it("noise has the spread that is asked for, and the same seed gives the same", async () => {
    const [one] = drawNoise(rng("x"), 1, 20_000, 3);
    expect(Math.sqrt(one!.reduce((s, x) => s + x * x, 0) / one!.length)).toBeCloseTo(3, 1);
    expect(drawNoise(rng("x"), 2, 8, 3)[1]).toEqual(drawNoise(rng("x"), 3, 8, 3)[1]);
    const table = model.weights.get("embed")!.data as Float32Array;
    const numbers = text.subject.flatMap((i) => [...table.subarray(ids[i]! * D, (ids[i]! + 1) * D)]);
    const middle = numbers.reduce((a, b) => a + b, 0) / numbers.length;
    const spread = Math.sqrt(numbers.reduce((s, x) => s + (x - middle) ** 2, 0) / numbers.length);
    expect(await embeddingSpread(model, [text], options)).toBeCloseTo(spread, 9);
  });

  it("stops between passes, and refuses what is no number", async () => {
    const stop = new AbortController();
    const ctx = defaultContext({ signal: stop.signal, log: () => stop.abort() });
    await expect(traceCells(model, text, cellsOf(text, L), { ...options, budget: 1, ctx })).rejects.toMatchObject({ trouble: "aborted" });
    await expect(traceCells(model, text, cells, { ...options, noise: [noise[0]!.map(() => NaN)] })).rejects.toThrow(/no number/);
  });
});
