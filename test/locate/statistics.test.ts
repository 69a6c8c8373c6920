/** Samples and second moments: kept by all they depend on, resumed to the same bytes, and made once where the cache cannot be written. */
import { existsSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, it } from "vitest";
import type { NdArray } from "../../src/base/array.ts";
import { type Context, defaultContext } from "../../src/base/context.ts";
import { hash } from "../../src/base/hash.ts";
import { secondMoments, statisticsOf, type StatisticsSpec } from "../../src/locate/covariance.ts";
import { generatedQuestions, generatedRows } from "../../src/locate/generated-text.ts";
import { load } from "../../src/model/load.ts";
import { type Model, withWeights } from "../../src/model/model.ts";

const folder = mkdtempSync(join(tmpdir(), "lethe-statistics-"));
const loaded = load("bundled", defaultContext());
afterAll(async () => {
  await (await loaded).release();
  rmSync(folder, { recursive: true, force: true });
});

/** A context with a cache of its own, and how often each stage was begun. */
function listening(name: string, over: Partial<Context> = {}): { ctx: Context; warnings: string[]; begun: (stage: string) => number } {
  const [warnings, stages]: [string[], string[]] = [[], []];
  const ctx = defaultContext({
    cache: join(folder, name),
    threads: 1,
    log: (e) => {
      if (e.kind === "warning") warnings.push(e.text);
      if (e.kind === "progress") stages.push(e.stage);
    },
    ...over,
  });
  return { ctx, warnings, begun: (stage) => stages.filter((s) => s === stage).length };
}
/** The model with every number of one weight changed. */
const changedBy = (model: Model, name: string, change: (x: number) => number): Model => {
  const before = model.weights.get(name)!;
  return withWeights(model, new Map([[name, { ...before, data: (before.data as Float32Array).map(change) } as NdArray]]));
};
const entries = (ctx: Context, kind: string): string[] =>
  existsSync(join(ctx.cache, kind)) ? readdirSync(join(ctx.cache, kind), { recursive: true }).map(String) : [];
const TEXT: StatisticsSpec = { text: "README.md", tokens: 3000, length: 128, seed: 0 };

describe("second moments", () => {
  it("are found by whoever asks for the same, and by nobody else", async () => {
    const model = await loaded;
    const { ctx, begun } = listening("found");
    const first = await statisticsOf(model, TEXT, ctx).secondMoment(2, "mlp_post");
    const steps = begun("second moments");
    expect(steps).toBeGreaterThan(0);
    const again = await statisticsOf(model, TEXT, ctx).secondMoment(2, "mlp_post");
    expect([hash(again), begun("second moments")]).toEqual([hash(first), steps]);
    const others = [
      statisticsOf(model, { ...TEXT, tokens: 2000 }, ctx),
      statisticsOf(model, TEXT, { ...ctx, threads: 2 }),
      statisticsOf(model, TEXT, ctx, "blocks"),
      statisticsOf(
        changedBy(model, "blocks.0.mlp.out", (x) => x / 2),
        TEXT,
        ctx,
      ),
    ];
    for (const statistics of others) await statistics.secondMoment(2, "mlp_post");
    expect(entries(ctx, "statistics")).toHaveLength(1 + others.length);
  });

  it("that were stopped go on where they were, to the same bytes, and leave no partial state", async () => {
    const model = await loaded;
    const whole = await statisticsOf(model, TEXT, listening("whole").ctx).secondMoment(1, "mlp_post");
    const stop = new AbortController();
    const done: number[] = [];
    const stopping: Context = {
      ...listening("stopped").ctx,
      signal: stop.signal,
      log: (e) => void (e.kind === "progress" && done.push(e.done) === 2 && stop.abort()),
    };
    await expect(statisticsOf(model, TEXT, stopping).prepare([1, 2], "mlp_post")).rejects.toMatchObject({ trouble: "aborted" });
    expect(entries(stopping, "statistics")).toEqual([expect.stringMatching(/\.part$/), expect.stringMatching(/\.part.*\.safetensors$/)]);
    const on: number[] = [];
    const going = { ...listening("stopped").ctx, log: ((e) => void (e.kind === "progress" && on.push(e.done))) as Context["log"] };
    const statistics = statisticsOf(model, TEXT, going);
    await statistics.prepare([1, 2], "mlp_post");
    expect(on[0]).toBeGreaterThan(done[1]!);
    expect(hash(await statistics.secondMoment(1, "mlp_post"))).toBe(hash(whole));
    expect(entries(going, "statistics").map((name) => name.replace(/^\w+/, ""))).toEqual([".safetensors", ".safetensors"]);
  });

  it("are made in one pass, once, where the cache cannot be written", async () => {
    const model = await loaded;
    writeFileSync(join(folder, "file"), "");
    const { ctx, warnings, begun } = listening("file/cache");
    const statistics = statisticsOf(model, TEXT, ctx);
    await statistics.prepare([1, 2], "mlp_post");
    const steps = begun("second moments");
    const [one, two] = [await statistics.secondMoment(1, "mlp_post"), await statistics.secondMoment(2, "mlp_post")];
    await statistics.prepare([1, 2], "mlp_post");
    expect(begun("second moments")).toBe(steps);
    expect(warnings).toEqual([expect.stringMatching(/^the cache cannot be written/)]);
    const written = statisticsOf(model, TEXT, listening("written").ctx);
    await written.prepare([1, 2], "mlp_post");
    expect([hash(one), hash(two)]).toEqual([
      hash(await written.secondMoment(1, "mlp_post")),
      hash(await written.secondMoment(2, "mlp_post")),
    ]);
  });

  it.each(["graph", "blocks"] as const)("of rows that begin alike are those of each row read alone (%s)", async (executor) => {
    const model = await loaded;
    const { ctx } = listening("alike");
    const start = model.tokenizer.encode("In the town of Orvil there is a tower which", { special: false }).ids;
    const ends = ["stands", "is old and tall", "was built by", "nobody"].map(
      (text) => model.tokenizer.encode(text, { special: false }).ids,
    );
    const rows = ends.map((ids) => ({ ids: [...start, ...ids], from: start.length }));
    const options = { dtype: "float64", executor, ctx } as const;
    const together = (await secondMoments(model, rows, [1, 3], "mlp_post", options)).get(3)!;
    const tokens = ends.reduce((n, ids) => n + ids.length, 0);
    const sum = new Float64Array(together.data.length);
    for (const row of rows) {
      const alone = (await secondMoments(model, [row], [1, 3], "mlp_post", options)).get(3)!;
      alone.data.forEach((x, i) => void (sum[i]! += (x * (row.ids.length - row.from)) / tokens));
    }
    const most = (values: Float64Array): number => values.reduce((a, x) => Math.max(a, Math.abs(x)), 0);
    expect(most(sum.map((x, i) => x - together.data[i]!))).toBeLessThan(1e-12 * most(sum));
  });

  it("of a broken model are refused with the weight, and not kept", async () => {
    const broken = changedBy(await loaded, "blocks.0.mlp.out", () => NaN);
    const { ctx } = listening("overflow");
    await expect(statisticsOf(broken, TEXT, ctx).secondMoment(1, "mlp_post")).rejects.toThrow(
      /^model: the activations are not finite: blocks\.0\.mlp\.out holds NaN/,
    );
    expect(entries(ctx, "statistics")).toEqual([]);
  });
});

describe("generated text", () => {
  it("are kept batch by batch, and shared by all who ask for more or fewer of the same", async () => {
    const model = await loaded;
    const { ctx, begun } = listening("generated text");
    const few = await generatedRows(model, 600, 64, 3, ctx);
    const made = entries(ctx, "samples");
    const steps = begun("generated text");
    expect(await generatedRows(model, 600, 64, 3, ctx)).toEqual(few);
    expect([entries(ctx, "samples"), begun("generated text")]).toEqual([made, steps]);
    const more = await generatedRows(model, 2400, 64, 3, ctx);
    expect(entries(ctx, "samples").length).toBeGreaterThan(made.length);
    expect(more.slice(0, 2)).toEqual(few.slice(0, 2));
    for (const kept of made) expect(entries(ctx, "samples")).toContain(kept);
  });

  it("of a model that was changed are its own", async () => {
    const model = await loaded;
    const { ctx } = listening("changed");
    const own = await generatedQuestions(model, 8, 3, ctx);
    const other = changedBy(model, "blocks.5.mlp.out", (x) => -x);
    const alone = await generatedQuestions(other, 8, 3, listening("alone").ctx);
    expect(await generatedQuestions(other, 8, 3, ctx)).toEqual(alone);
    expect(alone).not.toEqual(own);
  });
});
