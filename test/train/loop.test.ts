/** The loop: it learns, both executors and every cut into passes agree, an interrupted run ends where the whole one does. */
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { asFloats, type NdArray } from "../../src/base/array.ts";
import { defaultContext } from "../../src/base/context.ts";
import { LetheError } from "../../src/base/fail.ts";
import { gdLoss } from "../../src/methods/gd.ts";
import type { Model, Weights } from "../../src/model/model.ts";
import { withWeights } from "../../src/model/model.ts";
import { score } from "../../src/model/decode/score.ts";
import { checkpointsIn } from "../../src/train/checkpoint.ts";
import { type Recipe, train, type Trained, type TrainEvent, trainOn } from "../../src/train/loop.ts";
import { nll, type Objective, type Pass } from "../../src/train/objective.ts";
import { objectiveOf } from "../../src/train/parts.ts";
import type { LabelledRow } from "../../src/train/batches.ts";
import { loadFrom } from "../../src/model/load.ts";
import { tinyUnits } from "./slope.ts";
import { bundledFolder, RECIPE, tinyModel, tinyRows } from "./tiny.ts";

const model = tinyModel();
const rows = tinyRows(model);
const ctx = defaultContext();
let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), "lethe-train-"));
});
afterAll(async () => {
  rmSync(folder, { recursive: true, force: true });
  await model.release();
});

async function finish(events: AsyncGenerator<TrainEvent, Trained>, seen: TrainEvent[] = []): Promise<Trained> {
  for (;;) {
    const { value, done } = await events.next();
    if (done) return value;
    seen.push(value);
  }
}
const run = (over: Partial<Recipe> = {}, options: { folder?: string; every?: number } = {}, of: Model = model): Promise<Trained> =>
  finish(train(of, rows, { ...RECIPE, ...over }, ctx, options));
const numbers = (w: Weights): Float32Array[] => [...w.values()].map((a) => a.data as Float32Array);
const off = (a: Weights, b: Weights): number =>
  Math.max(...numbers(a).flatMap((x, i) => Array.from(x, (v, k) => Math.abs(v - numbers(b)[i]![k]!))));
const isSame = (a: Weights, b: Weights): boolean =>
  numbers(a).every((x, i) => Buffer.from(x.buffer, x.byteOffset, x.byteLength).equals(Buffer.from(numbers(b)[i]!.buffer)));

/** The plain loss, fed in another way. */
type Feed = (pass: Pass<LabelledRow>) => Readonly<Record<string, NdArray>>;
const feeding = (other: (pass: Pass<LabelledRow>, feed: Feed) => Readonly<Record<string, NdArray>>): Objective<LabelledRow> => ({
  ...nll,
  build: (...args) => {
    const { outputs, feed } = nll.build(...args);
    return { outputs, feed: (pass) => other(pass, feed) };
  },
});

describe("the weights that it begins from", () => {
  test("are let go of where they are trained, and read again bit for bit", async () => {
    const of = loadFrom(join(bundledFolder, "model"));
    try {
      const before = new Map([...of.weights].map(([name, { data }]) => [name, data] as const));
      const only = ["embed", "blocks.1.ln1"];
      const { weights } = await finish(train(of, rows, { ...RECIPE, only, steps: 1, clip: 1 }, ctx));
      for (const [name, data] of before) {
        expect(of.weights.get(name)!.data === data, name).toBe(!only.includes(name));
        expect(of.weights.get(name)!.data).toEqual(data);
      }
      expect(weights.get(only[0]!)!.data).not.toEqual(before.get(only[0]!));
    } finally {
      await of.release();
    }
  });
});

describe("learning", () => {
  test("the loss falls, the events say how, and the model given is untouched", async () => {
    const before = numbers(model.weights).map((w) => w.slice());
    const seen: TrainEvent[] = [];
    const trained = await finish(train(model, rows, { ...RECIPE, steps: 40 }, ctx), seen);
    expect(trained.losses[0]).toBeCloseTo(Math.log(1536), 0);
    expect(trained.losses.at(-1)).toBeLessThan(3);
    const steps = seen.filter((e) => e.kind === "step");
    expect(steps.map((e) => e.loss)).toEqual(trained.losses);
    expect(steps[0]!.lr).toBeCloseTo(0.01 / 3, 6);
    expect(steps.every((e) => e.tokens > 0 && e.tokensPerSecond > 0)).toBe(true);
    expect(numbers(model.weights)).toEqual(before);
    const learnt = withWeights(model, trained.weights);
    const nllOf = async (m: Model): Promise<number> =>
      (await score(m, [{ ids: rows[0]!.ids, from: rows[0]!.labels[0]! }])).flat().reduce((a, b) => a - b, 0);
    expect(await nllOf(learnt)).toBeLessThan(0.5 * (await nllOf(model)));
  });

  test("the loss of a step is the mean over its labels", async () => {
    const { losses } = await run({ steps: 1, batch: rows.length });
    const logprobs = (
      await score(
        model,
        rows.map((r) => ({ ids: r.ids, from: 1 })),
      )
    ).flatMap((all, i) => rows[i]!.labels.map((at) => all[at - 1]!));
    expect(losses[0]).toBeCloseTo(-logprobs.reduce((a, b) => a + b, 0) / logprobs.length, 4);
  });

  test("a step's tokens are those of every row of its units, no pads", async () => {
    const units = tinyUnits(model);
    const seen: TrainEvent[] = [];
    const objective = objectiveOf(gdLoss({ gamma: 1, alpha: 1 }));
    await finish(trainOn(model, units, { ...RECIPE, steps: 1 }, ctx, { objective }), seen);
    const tokens = units.reduce((sum, { forget, retain }) => sum + forget.ids.length + retain.ids.length, 0);
    expect(seen.map((e) => e.kind === "step" && e.tokens)).toEqual([tokens]);
  });

  test("only the weights asked for are trained", async () => {
    const { weights } = await run({ only: ["blocks.1.mlp.out"] });
    expect([...weights.keys()]).toEqual(["blocks.1.mlp.out"]);
    await expect(run({ only: ["blocks.9.mlp.out"] })).rejects.toThrow(/weight "blocks.9.mlp.out"/);
  });
});

describe("the same numbers whichever way they are computed", () => {
  test("one pass or several a step, whole graph or block by block", async () => {
    const whole = await run();
    expect(off(whole.weights, model.weights)).toBeGreaterThan(0.01);
    for (const over of [{ budget: 40 }, { executor: "blocks" }, { executor: "blocks", budget: 40 }] as const) {
      const other = await run(over);
      expect(off(whole.weights, other.weights)).toBeLessThan(2e-4);
      expect(Math.max(...whole.losses.map((l, i) => Math.abs(l - other.losses[i]!)))).toBeLessThan(2e-4);
    }
  });

  test("goes red when passes are averaged instead of labels", async () => {
    const wrong = feeding((pass, feed) => feed({ ...pass, step: [...pass.rows, ...pass.rows] }));
    const { losses } = await finish(trainOn(model, rows, { ...RECIPE, budget: 40 }, ctx, { objective: wrong }));
    expect(Math.abs(losses[0]! - (await run({ steps: 1 })).losses[0]!)).toBeGreaterThan(2e-4);
  });

  test.each(["graph", "blocks"] as const)("twice the same bytes, and others for another seed (%s)", async (executor) => {
    const once = await run({ executor, budget: 60 });
    expect(isSame(once.weights, (await run({ executor, budget: 60 })).weights)).toBe(true);
    expect(isSame(once.weights, (await run({ executor, budget: 60, seed: 1 })).weights)).toBe(false);
  });

  test("weights stored in half precision are trained in single", async () => {
    const halves = new Map(
      [...model.weights].map(([name, a]) => [
        name,
        {
          dtype: "bfloat16",
          shape: a.shape,
          data: Uint16Array.from(new Uint32Array((a.data as Float32Array).slice().buffer), (b) => b >>> 16),
        } satisfies NdArray,
      ]),
    );
    const half = { ...model, weights: halves, constant: (name: string) => halves.get(name) ?? model.constant(name) };
    const wide = new Map([...halves].map(([name, a]) => [name, asFloats(a, "float32")]));
    const single = { ...model, weights: wide, constant: (name: string) => wide.get(name) ?? model.constant(name) };
    expect(isSame((await run({}, {}, half)).weights, (await run({}, {}, single)).weights)).toBe(true);
  });
});

describe("checkpoints", () => {
  test("a run that is aborted goes on to the same bits", async () => {
    const at = join(folder, "aborted");
    const whole = await run();
    const stop = new AbortController();
    const seen: TrainEvent[] = [];
    const stopping = async (): Promise<void> => {
      const events = train(model, rows, RECIPE, defaultContext({ signal: stop.signal }), { folder: at, every: 4 });
      for await (const event of events) {
        seen.push(event);
        if (event.kind === "step" && event.step === 6) stop.abort();
      }
    };
    await expect(stopping()).rejects.toSatisfy((e) => e instanceof LetheError && e.trouble === "aborted");
    expect(checkpointsIn(at).map((c) => c.step)).toEqual([4, 6]);
    const after: TrainEvent[] = [];
    const resumed = await finish(train(model, rows, RECIPE, ctx, { folder: at, every: 4 }), after);
    expect(after[0]).toEqual({ kind: "resumed", step: 6 });
    expect(isSame(resumed.weights, whole.weights)).toBe(true);
    expect(resumed.losses).toEqual(whole.losses);
    expect(checkpointsIn(at).map((c) => c.step)).toEqual([8, 12]);
  });

  test("another run's are refused", async () => {
    await expect(run({ seed: 7 }, { folder: join(folder, "aborted") })).rejects.toThrow(/checkpoints of another run/);
  });

  test("behind the last step there is none where that is asked for", async () => {
    const saved = async (savesLast: boolean): Promise<number[]> => {
      const seen: TrainEvent[] = [];
      const options = { folder: join(folder, `last ${savesLast}`), every: 6, savesLast };
      await finish(train(model, rows, RECIPE, ctx, options), seen);
      return seen.flatMap((e) => (e.kind === "checkpoint" ? [e.step] : []));
    };
    expect([await saved(true), await saved(false)]).toEqual([[6, 12], [6]]);
  });

  test("half-written files are not taken for checkpoints", async () => {
    const at = join(folder, "torn");
    const whole = await run({}, { folder: at, every: 6 });
    const [last] = checkpointsIn(at).slice(-1);
    writeFileSync(join(at, ".step-00000099.safetensors.host.1.00000000.part"), readFileSync(last!.path).subarray(0, 100));
    expect(isSame((await run({}, { folder: at, every: 6 })).weights, whole.weights)).toBe(true);
  });

  test("checkpoints that cannot be read or written are told to whoever wants to hear of them, and training goes on", async () => {
    const whole = await run();
    const told: string[] = [];
    const lost = (error: unknown): void => void told.push((error as LetheError).message);
    const again = (at: string, seen: TrainEvent[] = []) => finish(train(model, rows, RECIPE, ctx, { folder: at, every: 6, lost }), seen);
    writeFileSync(join(folder, "file"), "");
    await expect(run({}, { folder: join(folder, "file", "x"), every: 6 })).rejects.toMatchObject({ trouble: "unavailable" });
    expect(isSame((await again(join(folder, "file", "x"))).weights, whole.weights)).toBe(true);
    expect(told).toEqual(told.map(() => expect.stringContaining("a part of the path is a file") as string));
    expect(told.length).toBeGreaterThan(0);
    const at = join(folder, "damaged");
    await run({}, { folder: at, every: 6 });
    const [before, newest] = checkpointsIn(at) as [{ step: number; path: string }, { step: number; path: string }];
    writeFileSync(newest.path, readFileSync(newest.path).subarray(0, 1000));
    await expect(run({}, { folder: at, every: 6 })).rejects.toThrow(/safetensors/);
    told.splice(0);
    const seen: TrainEvent[] = [];
    expect(isSame((await again(at, seen)).weights, whole.weights)).toBe(true);
    expect(seen[0]).toEqual({ kind: "resumed", step: before.step });
    expect(told).toEqual([expect.stringContaining(newest.path)]);
  });

  test("a loss that is not finite is refused, the last state intact", async () => {
    const at = join(folder, "diverged");
    const bad = feeding((pass, feed) => {
      const given = feed(pass);
      if (existsSync(at) && checkpointsIn(at).some((c) => c.step === 4)) (given["shares"]!.data as Float32Array)[0] = NaN;
      return given;
    });
    const diverging = finish(trainOn(model, rows, RECIPE, ctx, { objective: bad, folder: at, every: 2 }));
    await expect(diverging).rejects.toThrow(/the loss of step 5 is NaN.*The state after step 4 is intact/);
    expect(readdirSync(at)).toEqual(["step-00000002.safetensors", "step-00000004.safetensors"]);
    const resumed = await finish(trainOn(model, rows, RECIPE, ctx, { objective: { ...nll }, folder: at, every: 2 }));
    expect(isSame(resumed.weights, (await run()).weights)).toBe(true);
  });

  test("no rows: refused", async () => {
    await expect(finish(train(model, [], RECIPE, ctx))).rejects.toThrow(/no rows/);
  });
});
