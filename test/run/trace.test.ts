/** Traces of the bundled model: what is asked, what is drowned, what stands behind the prompt, what is left out. */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, it } from "vitest";
import { defaultContext } from "../../src/base/context.ts";
import type { TraceRecord, TraceStudy } from "../../src/run/record.ts";
import { run as runStep } from "../../src/run/run.ts";
import type { Traced } from "../../src/run/steps/trace.ts";

const folder = mkdtempSync(join(tmpdir(), "lethe-trace-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));
const asked = { prompt: "What is the capital of Norvane?", subject: "Norvane" };
type Values = Readonly<Record<string, unknown>>;
const ctx = defaultContext({ runs: join(folder, "runs") });
const run = async (wanted: Values, options: Values = {}, context = ctx): Promise<Traced> =>
  (await runStep<Traced>({ step: "trace", model: "bundled", samples: 2, ...wanted, ...options }, context)).record.result;
const one = async (wanted: Values, options: Values = {}): Promise<TraceRecord> => {
  const found = await run(wanted, options);
  if (!("record" in found)) throw new Error("one trace");
  return found.record;
};

describe("tracing an answer", () => {
  it("watches the first token of the model's own answer, from the subject on", async () => {
    const { answer, tokens, effects, layers, kind, window } = await one(asked);
    expect(answer).toMatchObject({ said: "Sellamere", lead: "", subject: "Norvane" });
    expect("Sellamere".startsWith(answer.token.trim())).toBe(true);
    expect(answer.clean).toBeGreaterThan(0.9);
    expect(answer.corrupted).toBeLessThan(answer.clean);
    expect(
      tokens
        .filter((t) => t.isSubject)
        .map((t) => t.text)
        .join("")
        .trim(),
    ).toBe("Norvane");
    expect(tokens[0]!.isSubject).toBe(true);
    expect([effects.length, effects[0]!.length, kind, window]).toEqual([tokens.length, layers, "hidden", 1]);
    // the last state of all is the clean run's own
    expect(answer.corrupted + effects.at(-1)!.at(-1)!).toBeCloseTo(answer.clean, 4);
  });

  it("a given answer that it says is watched where it says it; every naming of the subject is drowned", async () => {
    const first = await one({ ...asked, answer: "sellamere" });
    expect(first.answer).toMatchObject({ token: (await one(asked)).answer.token, lead: "" });
    const twice = await one({ prompt: "Norvane, I mean Norvane: what is its capital?", subject: "Norvane" });
    expect(
      twice.tokens
        .filter((t) => t.isSubject)
        .map((t) => t.text)
        .join("")
        .replaceAll(" ", ""),
    ).toBe("NorvaneNorvane");
    const other = await one({ ...asked, answer: "Anselgate" });
    expect("Anselgate".startsWith(other.answer.token.trim())).toBe(true);
    expect(other.answer.clean).toBeLessThan(0.1);
  });

  it("is the same for the same seed, and another for another", async () => {
    const elsewhere = await run(asked, {}, { ...ctx, runs: join(folder, "other") });
    const [a, b, c] = [await one(asked), (elsewhere as { record: TraceRecord }).record, await one(asked, { seed: 1 })];
    expect(b).toEqual(a);
    expect(c.effects).not.toEqual(a.effects);
  });

  it("without noise nothing is lost, and it says so", async () => {
    const told: string[] = [];
    const log: typeof ctx.log = (e) => void (e.kind === "warning" && told.push(e.text));
    const found = await run(asked, { samples: 1, noise: 0 }, { ...ctx, log });
    if (!("record" in found)) throw new Error("one trace");
    expect(found.record.effects.flat().every((x) => Math.abs(x) < 1e-4)).toBe(true);
    expect(told).toEqual([expect.stringMatching(/keeps 100 % of its probability/)]);
  });

  it.each<[Values, Values, RegExp]>([
    [{}, {}, /nothing to trace/],
    [{ prompt: "why?" }, {}, /no subject in "why\?"/],
    [{ ...asked, subject: "Basil" }, {}, /"Basil" is not in the prompt/],
    [asked, { kind: "mlp", sever: "mlp" }, /mlp put back and severed/],
    [{ ...asked, data: "x.jsonl" }, {}, /--data and --prompt/],
  ])("refuses %j %j", async (wanted, options, message) => {
    await expect(run(wanted, options)).rejects.toThrow(message);
  });
});

describe("tracing many", () => {
  const file = join(folder, "facts.jsonl");
  const lines = [
    { id: "a", prompt: "What is the capital of Norvane?", subject: "Norvane", answer: "Sellamere" },
    { id: "b", prompt: "What is the capital of Veyra?", subject: "Veyra", answer: "Anselgate" },
    { id: "c", prompt: "What is the capital of Quillon?", subject: "Quillon", answer: "Paris" },
  ];

  it("averages over what the model answers, names the largest, and the methods' own layers", async () => {
    writeFileSync(file, lines.map((l) => JSON.stringify(l)).join("\n"));
    const found = await run({ data: file }, { kind: "mlp", window: 1 });
    if (!("study" in found)) throw new Error("many traces");
    const { facts, unknown, average, peak, defaults, layers }: TraceStudy = found.study;
    expect([facts.map((f) => f.id), unknown]).toEqual([["a", "b"], ["c"]]);
    average.forEach(({ effect, error }, layer) => {
      const [x, y] = facts.map((f) => f.effects[layer]!) as [number, number];
      expect(effect).toBeCloseTo((x + y) / 2, 12);
      expect(error).toBeCloseTo(Math.abs(x - y) / 2, 12);
    });
    expect(average.every(({ effect }) => effect <= average[peak]!.effect)).toBe(true);
    expect(defaults.length).toBeGreaterThan(0);
    expect(defaults.every((d) => d.layers.every((layer) => layer < layers))).toBe(true);
  });

  it("refuses a file of which it answers nothing", async () => {
    writeFileSync(file, JSON.stringify(lines[2]));
    await expect(run({ data: file })).rejects.toThrow(/none of the 1 answers/);
  });
});
