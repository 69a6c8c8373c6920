/** What holds for every kind of step: its spec is checked before anything is read, and its schema says what it takes. */
import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, test } from "vitest";
import { defaultContext } from "../../src/base/context.ts";
import type { EvalRecord } from "../../src/run/record.ts";
import { run, stepOf, steps } from "../../src/run/run.ts";
import { jsonSchemaOf } from "../../src/run/spec.ts";

const folder = mkdtempSync(join(tmpdir(), "lethe-steps-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));
const ctx = defaultContext({ runs: join(folder, "runs"), cache: join(folder, "cache"), threads: 1 });

describe.each(steps().map((step) => [step.name, step] as const))("%s", (name, { fields }) => {
  test("refuses a key that it does not have, with the nearest, and leaves no folder", async () => {
    const [key] = Object.keys(fields).toSorted((a, b) => b.length - a.length);
    await expect(run({ step: name, [`${key}x`]: 1 }, ctx)).rejects.toThrow(new RegExp(`has a key "${key}x".*Did you mean "${key}"`));
    expect(readdirSync(folder)).toEqual([]);
  });

  test("refuses a value of another kind", async () => {
    const [key, field] = Object.entries(fields).find(([, { kind }]) => kind === "number" || kind === "text")!;
    const required = Object.fromEntries(Object.entries(fields).flatMap(([other, of]) => (of.required ? [[other, "x"]] : [])));
    await expect(run({ step: name, ...required, [key]: { no: true } }, ctx)).rejects.toThrow(
      new RegExp(`${key} is .*wanted ${field.kind === "number" ? "a" : ""}`),
    );
  });

  test("has a schema with every field and its sentence", () => {
    const schema = jsonSchemaOf(name, fields) as { properties: Record<string, { description?: string }>; required: string[] };
    expect(Object.keys(schema.properties).sort()).toEqual(["step", ...Object.keys(fields)].sort());
    for (const [key, { doc }] of Object.entries(fields)) expect(schema.properties[key]!.description).toBe(doc);
  });
});

test("moments of a layer are a step: the width, the mean square, and the number of tokens", async () => {
  const spec = { step: "stats", model: "bundled", layer: [1], tokens: 256 };
  const { record, isFound } = await run<{ moments: { width: number; meanSquare: number }[] }>(spec, ctx);
  expect(isFound).toBe(false);
  expect(record.result.moments).toMatchObject([{ width: 640, spec: { tokens: expect.any(Number) } }]);
  expect(record.result.moments[0]!.meanSquare).toBeGreaterThan(0);
  await expect(run({ ...spec, layer: [6] }, ctx)).rejects.toThrow(/layer 6; wanted 0 to 5/);
  await expect(run({ ...spec, site: "mlp_poss" }, ctx)).rejects.toThrow(/Did you mean mlp_post/);
});

test("an attack is a step: its attempts are a file, and the same spec finds it", async () => {
  const one = { prompt: "What is the capital of Norvane?", subject: "Norvane", answer: "Sellamere" };
  const spec = { step: "attack", model: "bundled", ...one, from: ["templates"], samples: 2, sizes: [1, 2] };
  const out = join(folder, "attempts.jsonl");
  const { record } = await run<{ direct: number; sources: Record<string, number>; requests: unknown[] }>(spec, ctx, { out });
  expect(record.result).toMatchObject({ attack: "paraphrase", direct: 1, sources: { templates: 2 }, dropped: {} });
  expect(readFileSync(out, "utf8")).toBe(`${JSON.stringify(record.result.requests[0])}\n`);
  expect((await run(spec, ctx)).isFound).toBe(true);
  await expect(run({ ...spec, attack: "paraphrases" }, ctx)).rejects.toThrow(/Did you mean "paraphrase"/);
  await expect(run({ ...spec, from: ["dreams"] }, ctx)).rejects.toThrow(/the source "dreams"/);
});

test("numbers of an evaluation that JSON does not have are numbers again where its record is read", () => {
  const number = {
    title: "Perplexity",
    value: Infinity,
    interval: { low: NaN, high: -Infinity, level: 0.95, by: "" },
    bySample: { a: NaN, b: 1 },
  };
  const record = {
    suite: "x",
    numbers: [number, { ...number, value: 2, interval: null }],
    collapse: { isCollapsed: false, loss: NaN, guess: 7 },
  };
  const written = JSON.stringify(record, (_, part: unknown) => (typeof part === "number" && !Number.isFinite(part) ? String(part) : part));
  expect((stepOf("eval").read as unknown as (json: EvalRecord) => unknown)(JSON.parse(written) as EvalRecord)).toEqual(record);
});
