/** Requests in sequence by every method that edits: the bytes of applying all earlier drafts anew, in one go and after any stop. */
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, it } from "vitest";
import { asFloats, floats, type NdArray } from "../../src/base/array.ts";
import { defaultContext } from "../../src/base/context.ts";
import { hash } from "../../src/base/hash.ts";
import { arraysOf, type Carried, type Change, type Delta, type Draft, wordsOf } from "../../src/edit/edit.ts";
import { saveEdits } from "../../src/edit/io.ts";
import { load } from "../../src/model/load.ts";
import { type Model, withWeights } from "../../src/model/model.ts";
import type { FindOptions } from "../../src/run/choice.ts";
import { choose } from "../../src/run/choose.ts";
import { findEdit, findEdits } from "../../src/run/edit.ts";
import { equip } from "../../src/run/equip.ts";
import { capitalOf, SAY } from "../conformance/method.ts";
import { asIfAtOnce } from "../edit/at-once.ts";

const REQUESTS = ["Norvane", "Veyra", "Quillon"].map(capitalOf);
const EDITING: readonly (readonly [method: string, params: Record<string, unknown>])[] = [
  ["rome", { steps: 3, contrast: 4 }],
  ["memit", { steps: 3 }],
  ["alphaedit", { steps: 3 }],
  ["ft", { steps: 3 }],
  ["grace", { steps: 3, others: 8 }],
  ["hush", { steps: 3, others: 8, polish: 2 }],
  ["wise", { steps: 2, shard: 2, period: 4, locality: 8 }],
  ["ike", {}],
];

/** What a draft does to a matrix, after those before it: side by side, or added up. */
function inTurn(earlier: Delta | undefined, delta: Delta): Delta {
  if (!earlier) return delta;
  if ("outer" in delta && "outer" in earlier) {
    const [a, b] = [earlier.outer, delta.outer].map(([l, r]) => [asFloats(l, "float64"), asFloats(r, "float64")] as const);
    const [rows, columns] = [a![0].shape[0]!, a![1].shape[1]!];
    const [m, n] = [a![0].shape[1]!, b![0].shape[1]!];
    const left = Array.from({ length: rows }, (_, i) => [...a![0].data.slice(i * m, (i + 1) * m), ...b![0].data.slice(i * n, (i + 1) * n)]);
    return { outer: [floats(left.flat(), [rows, m + n]), floats([...a![1].data, ...b![1].data], [m + n, columns])] };
  }
  if (!("dense" in delta) || !("dense" in earlier)) throw new Error("products or differences");
  return {
    dense: floats(
      (earlier.dense.data as Float32Array).map((x, i) => x + Number(delta.dense.data[i])),
      delta.dense.shape,
    ),
  };
}

/** Drafts as one by hand: for every request, all that was found before is applied to the model anew. */
async function byHand(model: Model, options: FindOptions): Promise<Draft> {
  const chosen = await equip(model, choose(REQUESTS, options, options), options);
  const drafts: Draft[] = [];
  let whole: Change | undefined;
  for (const request of chosen.aimed) {
    const given = new Map<string, Delta[]>();
    for (const { change } of drafts)
      if (change.kind === "delta")
        for (const [name, delta] of Object.entries(change.weights)) given.set(name, [...(given.get(name) ?? []), delta]);
    const weights = [...given].map(([name, deltas]): [string, NdArray] => [name, asIfAtOnce(model.weights.get(name)!, deltas)]);
    const [latest] = drafts.slice(-1);
    const previous: Carried = {
      ...(latest?.memory && { memory: latest.memory }),
      ...(latest?.change.kind === "adapter" && { adapter: latest.change }),
    };
    const { method, params, compat, format, seed, brought, ctx } = chosen;
    const running = { dtype: "float32", executor: "graph" } as const;
    const rest = { ...brought, params: params as never, compat, format, seed, running, ctx, ...(latest && { previous }) };
    const draft = await method.edit({
      ...rest,
      model: weights.length > 0 ? withWeights(model, new Map(weights)) : model,
      requests: [request],
    });
    const { change } = draft;
    if (!whole || change.kind === "adapter") whole = change;
    else if (whole.kind === "prompt" && change.kind === "prompt") whole = { ...whole, entries: [...whole.entries, ...change.entries] };
    else if (whole.kind === "delta" && change.kind === "delta") {
      const { weights: earlier } = whole;
      whole = {
        kind: "delta",
        weights: Object.fromEntries(Object.entries(change.weights).map(([name, delta]) => [name, inTurn(earlier[name], delta)])),
      };
    }
    drafts.push(draft);
  }
  const { memory } = drafts.at(-1)!;
  return { change: whole!, ...(memory && { memory }), evidence: { sequence: drafts.map((d) => d.evidence) } };
}

const bitsOf = (draft: Draft): unknown => ({
  words: wordsOf(draft.change),
  arrays: arraysOf(draft).map(([name, a]) => [name, a.shape, hash(a)]),
});

describe("a sequence of requests", () => {
  const folder = mkdtempSync(join(tmpdir(), "lethe-sequence-"));
  const ctx = defaultContext({ cache: join(folder, "cache") });
  const loaded = load("bundled", ctx);
  afterAll(async () => {
    await (await loaded).release();
    rmSync(folder, { recursive: true, force: true });
  });
  const optionsOf = (method: string, params: Record<string, unknown>): FindOptions => ({
    method,
    params,
    say: SAY,
    prove: "none",
    mode: "sequential",
    statistics: { tokens: 1024 },
    seed: 3,
    ctx,
  });
  const bytesOf = (edits: Parameters<typeof saveEdits>[1]): string => {
    saveEdits(join(folder, "edit"), edits);
    return hash(readFileSync(join(folder, "edit")));
  };
  /** A run that is stopped when it begins with its request `at`. */
  const stopped = async (options: FindOptions, at: number, find: (options: FindOptions) => Promise<unknown>): Promise<void> => {
    const stop = new AbortController();
    const log: typeof ctx.log = (e) => void (e.kind === "progress" && e.stage === "edits" && e.done === at && stop.abort());
    await expect(find({ ...options, ctx: { ...ctx, signal: stop.signal, log } })).rejects.toMatchObject({ trouble: "aborted" });
  };

  it.each(EDITING)("%s: as by hand, and the same again from wherever it was stopped", async (method, params) => {
    const model = await loaded;
    const options = optionsOf(method, params);
    const edit = await findEdit(model, REQUESTS, options);
    const hand = await byHand(model, options);
    expect(bitsOf(edit)).toEqual(bitsOf(hand));
    expect(edit.evidence).toEqual(JSON.parse(JSON.stringify(hand.evidence)));
    const journal = join(folder, `${method}.part`);
    for (const at of [1, 2]) {
      await stopped({ ...options, journal }, at, (o) => findEdit(model, REQUESTS, o));
      if (at === 1) continue; // stopped again, one request further
      expect(bytesOf([await findEdit(model, REQUESTS, { ...options, journal })])).toBe(bytesOf([edit]));
      // all of them are kept: none is found again
      const asked: number[] = [];
      const log: typeof ctx.log = (e) => void (e.kind === "progress" && e.stage === "edits" && asked.push(e.done));
      expect(bytesOf([await findEdit(model, REQUESTS, { ...options, journal, ctx: { ...ctx, log } })])).toBe(bytesOf([edit]));
      expect(asked).toEqual([]);
    }
  });

  it("requests each alone go on from wherever they were stopped", async () => {
    const model = await loaded;
    const options: FindOptions = { ...optionsOf("rome", { steps: 3, contrast: 4 }), mode: "single" };
    const edits = await findEdits(model, REQUESTS, options);
    const kept = { ...options, journal: join(folder, "alone.part") };
    await stopped(kept, 2, (o) => findEdits(model, REQUESTS, o));
    expect(bytesOf(await findEdits(model, REQUESTS, kept))).toBe(bytesOf(edits));
  });
});
