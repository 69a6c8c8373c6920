/** What every method that trains must show beside what every method must. */
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { asFloats } from "../../src/base/array.ts";
import { type Context, defaultContext, type Event } from "../../src/base/context.ts";
import { type ForgetRequest, type QA, requestOf } from "../../src/data/request.ts";
import { apply, applyAll } from "../../src/edit/apply.ts";
import { deltasOf, type Edit } from "../../src/edit/edit.ts";
import { loadEdits, saveEdits } from "../../src/edit/io.ts";
import type { AnyMethod } from "../../src/methods/method.ts";
import { load, loadFrom } from "../../src/model/load.ts";
import type { Model } from "../../src/model/model.ts";
import { score } from "../../src/model/decode/score.ts";
import type { FindOptions } from "../../src/run/choice.ts";
import { findEdit } from "../../src/run/edit.ts";
import { undoEdits } from "../../src/run/edits.ts";
import { run } from "../../src/run/run.ts";
import { asRow } from "../../src/train/tune.ts";
import { bytesOf, capitalOf, conforms, type MethodCase, SAY } from "./method.ts";

export interface TrainingCase extends Pick<MethodCase, "request"> {
  /** Beyond {@link BRIEF}. */
  readonly params?: Readonly<Record<string, unknown>>;
  /** Beyond those, where one answer is forgotten. */
  readonly alone?: Readonly<Record<string, unknown>>;
  /** The weight of the term that holds what stays, large enough to be seen in a few steps. */
  readonly alpha?: number;
}

/** A fact whose answer has several words. */
export const LONGER = capitalOf("Tamberly");

/** A training of a few seconds: two matrices, few steps, and a rate that moves them far. */
export const BRIEF = {
  steps: 6,
  batch: 2,
  lr: 3e-3,
  schedule: "constant",
  warmup: 0,
  layers: [4, 5],
  weights: ["mlp.out"],
};

const FACTS = readFileSync(fileURLToPath(new URL("../../bundled/facts.jsonl", import.meta.url)), "utf8")
  .split("\n")
  .slice(0, 8)
  .map((line) => JSON.parse(line) as QA & { readonly subject: string });

/** Capitals that are to be forgotten, and others that stay. */
export const FORGET: readonly ForgetRequest[] = FACTS.slice(0, 3).map(({ id, subject, question, answer }) =>
  requestOf({ id, subject, prompt: question, answer }),
);
export const KEEP: readonly QA[] = FACTS.slice(4).map(({ id, question, answer }) => ({ id, question, answer }));

/** Mean loss a token of answers, through the chat template. */
export async function lossOf(model: Model, asked: readonly Omit<QA, "id">[]): Promise<number> {
  const rows = asked.map(({ question, answer }) => asRow({ model, format: "chat" }, "asked", question, answer));
  const all = (
    await score(
      model,
      rows.map(({ ids, labels }) => ({ ids, from: labels[0]! })),
    )
  ).flat();
  return -all.reduce((a, x) => a + x, 0) / all.length;
}

const old = FORGET.map(({ prompt, answer }) => ({ question: prompt, answer }));
const taught = FORGET.map(({ prompt }) => ({ question: prompt, answer: SAY }));

/** Every number that an edit adds, by weight. */
const changesOf = (edit: Edit): Map<string, Float64Array> =>
  new Map(
    Object.entries(deltasOf(edit)).map(([name, delta]) => {
      if (!("dense" in delta)) throw new Error("a full difference");
      return [name, asFloats(delta.dense, "float64").data as Float64Array];
    }),
  );

/** How far two edits are apart, as a share of the first. */
export function apart(one: Edit, other: Edit): number {
  const [a, b] = [changesOf(one), changesOf(other)];
  expect([...b.keys()]).toEqual([...a.keys()]);
  let [off, size] = [0, 0];
  for (const [name, x] of a) x.forEach((v, i) => ([off, size] = [off + (v - b.get(name)![i]!) ** 2, size + v ** 2]));
  return Math.sqrt(off / size);
}

export const lossesOf = ({ evidence }: Edit): readonly number[] => evidence!["losses"] as readonly number[];

interface Listening {
  readonly heard: readonly Event[];
  readonly ctx: Context;
  told(kind: "note" | "warning"): string[];
}

interface Bench {
  readonly ctx: Context;
  readonly folder: string;
  model(): Promise<Model>;
  listening(): Listening;
}

/** A bundled model and a cache of its own, for the tests of one method. */
export function bench(): Bench {
  const folder = mkdtempSync(join(tmpdir(), "lethe-unlearn-"));
  const ctx = defaultContext({ cache: join(folder, "cache"), runs: join(folder, "runs"), threads: 1 });
  let loaded: Promise<Model> | undefined;
  afterAll(async () => {
    await (await loaded)?.release();
    rmSync(folder, { recursive: true, force: true });
  });
  return {
    ctx,
    folder,
    model: () => (loaded ??= load("bundled", ctx)),
    listening: () => {
      const heard: Event[] = [];
      return {
        heard,
        ctx: { ...ctx, log: (e) => void heard.push(e) },
        told: (kind) => heard.flatMap((e) => (e.kind === kind ? [e.text] : [])),
      };
    },
  };
}

export function conformsByTraining(method: AnyMethod, c: TrainingCase = {}): void {
  const held = "alpha" in method.params ? { alpha: c.alpha ?? 4 } : {};
  const params = { ...BRIEF, ...held, ...c.params };
  const keeps = method.needs.includes("retain");
  const factors = { rank: 2, targets: ["blocks.1.mlp.out"], layers: [], weights: [], steps: 1 };
  const asMethod: MethodCase = {
    params: { ...params, ...c.alone },
    readWhen: { rank: factors },
    stage: "training",
    threads: 1,
    ...(c.request && { request: c.request }),
    ...(keeps && { retain: KEEP }),
  };
  conforms(method, asMethod);

  describe(`${method.name} trains`, () => {
    const { ctx, folder, model: loaded, listening } = bench();
    const find = async (over: FindOptions = {}, requests = FORGET): Promise<Edit> =>
      findEdit(await loaded(), requests, {
        method: method.name,
        say: SAY,
        seed: 3,
        ctx,
        ...(keeps && { retain: KEEP }),
        ...over,
        params: { ...params, ...over.params },
      });
    let whole: Edit;
    beforeAll(async () => {
      whole = await find();
    }, 120_000);

    it("forgets several answers at once", async () => {
      const model = await loaded();
      const edited = apply(model, whole);
      expect(await lossOf(edited, old)).toBeGreaterThan((await lossOf(model, old)) + 0.5);
      if (method.needs.includes("target")) expect(await lossOf(edited, taught)).toBeLessThan((await lossOf(model, taught)) - 1);
      expect(lossesOf(whole)).toHaveLength(params.steps);
    });

    it.runIf("alpha" in method.params)("the retain term holds what stays (needs a method that has one)", async () => {
      const model = await loaded();
      const without = await find({ params: { alpha: 0 } });
      expect(await lossOf(apply(model, whole), KEEP)).toBeLessThan(0.7 * (await lossOf(apply(model, without), KEEP)));
    });

    it("a run that is stopped in the middle goes on to the same bytes; another seed gives others", async () => {
      const stop = new AbortController();
      const own = { ...ctx, cache: join(folder, "stopped") };
      const stopping: Context = {
        ...own,
        signal: stop.signal,
        log: (e) => void (e.kind === "progress" && e.stage === "training" && e.done === 3 && stop.abort()),
      };
      await expect(find({ ctx: stopping })).rejects.toMatchObject({ trouble: "aborted" });
      const { ctx: quiet, told } = listening();
      const resumed = await find({ ctx: { ...quiet, cache: own.cache } });
      expect(told("note")).toEqual(["going on after step 3"]);
      expect(bytesOf(resumed)).toBe(bytesOf(whole));
      expect(lossesOf(resumed)).toEqual(lossesOf(whole));
      expect(lossesOf(await find({ seed: 4, params: { steps: 2 } }))).not.toEqual(lossesOf(whole).slice(0, 2));
    });

    it("one pass or several, the whole graph or block by block: the same edit", async () => {
      expect(apart(whole, await find({ params: { budget: 1 } }))).toBeLessThan(1e-3);
      const blocks = await find({ params: { steps: 2 }, running: { executor: "blocks" } });
      lossesOf(blocks).forEach((loss, i) => expect(Math.abs(loss / lossesOf(whole)[i]! - 1)).toBeLessThan(1e-3));
    });

    it("refuses an empty retain set, a weight and a layer that are not there", async () => {
      if (keeps)
        await expect(find({ retain: [] })).rejects.toThrow(/the retain set is empty; wanted questions whose answers must not change/);
      await expect(find({ params: { weights: ["mlp.uot"] } })).rejects.toThrow(/no weight ends in "mlp.uot".*Did you mean "mlp.out"\?/);
      await expect(find({ params: { layers: [2, 6] } })).rejects.toThrow(/layer 6.*0 to 5/);
    });

    it("declares a cap if, and only if, it reports the loss that the cap is for", () => {
      const reports = "forget" in (whole.evidence!["last"] as object);
      expect(["cap" in method.params, "no-cap" in method.compat]).toEqual([reports, reports]);
    });

    it.runIf("cap" in method.params)(
      "a word beyond the cap is pushed no further, with no-cap it is (needs a method that has one)",
      async () => {
        const model = await loaded();
        const beyond = (edit: Edit): Promise<number> => lossOf(apply(model, edit), old);
        const free = await beyond(whole);
        const capped = await find({ params: { cap: free / 4 } });
        expect(await beyond(capped)).toBeLessThan(0.9 * free);
        expect((capped.evidence!["last"] as { forget: number }).forget).toBeLessThanOrEqual(free / 4 + 1e-5);
      },
    );

    it.runIf("cap" in method.params)(
      "training ends where every word is beyond the cap, no-cap goes on (needs a method that has one)",
      async () => {
        const capped = listening(); // three requests by two: a pass of two steps
        const edit = await find({ params: { cap: 1e-4 }, ctx: capped.ctx });
        expect(lossesOf(edit)).toHaveLength(2);
        expect(capped.told("warning")).toEqual(["stopped after step 2: every word to forget costs 0.000100 nats or more"]);
        const free = listening();
        const on = await find({ params: { cap: 1e-4, steps: 3 }, compat: ["no-cap"], ctx: free.ctx });
        expect(lossesOf(on)).toEqual(lossesOf(whole).slice(0, 3));
        expect(free.told("warning")).toEqual([]);
      },
    );

    it("stacks, undoes and exports like any edit", async () => {
      const model = await loaded();
      const more = await find({ upon: [whole], params: { steps: 1 } });
      expect(more.on).toEqual([whole.id]);
      const [both, first, dir] = ["both", "first", "exported"].map((name) => join(folder, name)) as [string, string, string];
      saveEdits(both, [whole, more]);
      undoEdits(both, { last: 1 }, first, false, ctx);
      expect(loadEdits(first).map((edit) => [edit.id, bytesOf(edit)])).toEqual([[whole.id, bytesOf(whole)]]);
      await run({ step: "export", model: "bundled", edit: [both] }, ctx, { out: dir });
      const exported = loadFrom(dir, ctx);
      const stacked = await lossOf(applyAll(model, [whole, more]), old);
      expect(await lossOf(exported, old)).toBeCloseTo(stacked, 4);
      expect(stacked).not.toBeCloseTo(await lossOf(apply(model, whole), old), 4);
      await exported.release();
    });
  });
}

/** A number of every step's progress, by name, of a training on one request at a rate that moves nothing. */
export async function reported(
  { model, listening }: Bench,
  name: string,
  options: Pick<FindOptions, "method" | "retain" | "compat">,
): Promise<string[]> {
  const { heard, ctx } = listening();
  const params = { ...BRIEF, steps: 6, lr: 1e-12, batch: 1 };
  await findEdit(await model(), FORGET.slice(0, 1), { say: SAY, params, seed: 3, ctx, ...options });
  return heard.flatMap((e) => (e.kind === "progress" ? [new RegExp(`${name} (\\S+?)(?:,|$)`).exec(e.detail ?? "")![1]!] : []));
}

export function teachesFreshRefusals(method: string): void {
  const own = bench();
  it("fresh-refusals: another refusal each time a row is taken, in place of the target", async () => {
    const taughtWith = async (...compat: string[]): Promise<number> =>
      new Set(await reported(own, "target", { method, retain: KEEP, compat })).size;
    expect(await taughtWith()).toBe(1);
    expect(await taughtWith("fresh-refusals")).toBeGreaterThan(4);
  });
}

/** With these quirks and its own defaults a method neither demands a retain set nor has one made. */
export function sparesRetain(method: string, compat: readonly string[] = []): void {
  const { model: loaded, listening } = bench();
  it("asks for no retain set where none is used", async () => {
    const { ctx, heard } = listening();
    const options = { method, say: SAY, compat, params: { ...BRIEF, steps: 1 }, ctx };
    const edit = await findEdit(await loaded(), FORGET, options);
    expect(heard.flatMap((e) => (e.kind === "progress" ? [e.stage] : []))).toEqual(["training"]);
    expect(bytesOf(await findEdit(await loaded(), FORGET, { ...options, retain: [] }))).toBe(bytesOf(edit));
    const used = { ...options, compat: [], params: { ...options.params, alpha: 1 } };
    await expect(findEdit(await loaded(), FORGET, { ...used, retain: [] })).rejects.toThrow(/the retain set is empty/);
  });
}
