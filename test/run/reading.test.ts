/** A text's perplexity beside an evaluation: the same number as of the text alone, resumed to the same bytes, and data of groups as objects. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type Context, defaultContext, type Event } from "../../src/base/context.ts";
import { readLines } from "../../src/base/store.ts";
import { perplexity } from "../../src/eval/metrics/perplexity.ts";
import { openLog } from "../../src/eval/open-log.ts";
import { measureText } from "../../src/eval/text.ts";
import { load } from "../../src/model/load.ts";
import type { EvalRecord } from "../../src/run/record.ts";
import { type Finished, run } from "../../src/run/run.ts";
import { lethe, objects } from "../cli/lethe.ts";

const folder = mkdtempSync(join(tmpdir(), "lethe-reading-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));
const [data, text] = [join(folder, "facts.jsonl"), join(folder, "text.txt")];
/** Ten rows of 512 tokens and a part of one, in two windows. */
const TOKENS = 5300;

beforeAll(() => {
  const facts = ["Norvane", "Veyra"].map((name) => ({ prompt: `What is the capital of ${name}?`, answer: "Veld" }));
  writeFileSync(data, facts.map((fact) => JSON.stringify(fact)).join("\n"));
  const words = Array.from({ length: 6000 }, (_, i) => `the lamp of keeper ${i % 97} is ${i % 7 === 0 ? "lit" : "dark"}`);
  writeFileSync(text, words.join(". "));
});

const spec = { step: "eval", model: "bundled", suite: "answers", data: [{ data }], maxTokens: 4, text, textTokens: TOKENS };
const at = (name: string, over: Partial<Context> = {}): Context => defaultContext({ runs: join(folder, name), ...over });
const evaluated = (ctx: Context, over: object = {}): Promise<Finished<EvalRecord>> => run<EvalRecord>({ ...spec, ...over }, ctx);
const numberOf = ({ record }: Finished<EvalRecord>) => record.result.numbers.find(({ title }) => title === "Perplexity")!;

describe("eval with a text", () => {
  test("one more number, of the text's rows, and none of them among the samples", async () => {
    const done = await evaluated(at("whole"));
    const model = await load("bundled", at("whole"));
    const rows = await measureText(model, text, { tokens: TOKENS });
    await model.release();
    const number = numberOf(done);
    expect(number.rows).toBe(11);
    expect(number.value).toBe(perplexity.score({ rows, scores: {} }).value);
    expect(number).toMatchObject({ metric: "perplexity", group: "text", better: "lower" });
    expect(number.interval!.low).toBeLessThan(number.value);
    expect(openLog(join(done.path, "samples.jsonl")).rows).toHaveLength(2);
    expect(done.record.result.run!.text).toMatchObject({ tokens: TOKENS, length: 512 });
  });

  test("stopped while it reads, it goes on to the same bytes", async () => {
    const stop = new AbortController();
    const log = (event: Event): void => void (event.kind === "progress" && event.stage === "reading the text" && stop.abort());
    await expect(evaluated(at("stopped", { signal: stop.signal, log }))).rejects.toMatchObject({ trouble: "aborted" });
    const again: Event[] = [];
    const done = await evaluated(at("stopped", { log: (event) => again.push(event) }));
    const read = again.flatMap((event) => (event.kind === "progress" && event.stage === "reading the text" ? [event.done] : []));
    expect(read).toEqual([11]); // the first window was kept
    const whole = await evaluated(at("whole"));
    expect(done.record).toEqual(whole.record);
    expect(readFileSync(join(done.path, "text/rows.jsonl"))).toEqual(readFileSync(join(whole.path, "text/rows.jsonl")));
  });

  test("without a text there is no such number, and the run is another one", async () => {
    const { record } = await evaluated(at("whole"), { text: undefined, textTokens: undefined });
    expect(record.result.numbers.map(({ title }) => title)).not.toContain("Perplexity");
    expect(record.id).not.toBe((await evaluated(at("whole"))).record.id);
    await expect(evaluated(at("whole"), { text: undefined })).rejects.toThrow(/--text-tokens 5300 without a text/);
  });

  test("on the command line, and judged again from its folder", async () => {
    const out = join(folder, "out");
    const flags = ["--suite", "answers", "--data", data, "-n", "4", "--text", text, "--text-tokens", "600", "-o", out, "--json"];
    const { code, out: said, err } = await lethe(["eval", "bundled", ...flags], { env: { LETHE_HOME: join(folder, "home") } });
    expect(err).not.toMatch(/error/);
    expect(code).toBe(0);
    const [record] = objects(said) as unknown as EvalRecord[];
    expect(record!.numbers.at(-1)).toMatchObject({ title: "Perplexity", rows: 2 });
    expect(readLines(join(out, "text/rows.jsonl"))).toHaveLength(2);
    const again = await lethe(["eval", "--logs", out, "--json"]);
    expect((objects(again.out) as unknown as EvalRecord[])[0]!.log.rows).toBe(2);
  });
});

describe("data of groups", () => {
  const forgetting = (parts: readonly unknown[]): Promise<Finished<EvalRecord>> =>
    run<EvalRecord>({ step: "eval", model: "bundled", suite: "forgetting", maxTokens: 4, data: parts }, at("groups"));

  test("an object names its group apart; the same rows as GROUP=SPEC, and as what a step makes", async () => {
    const [flat, object, made] = [
      await forgetting([`others=${data}`]),
      await forgetting([{ group: "others", data }]),
      await forgetting([{ group: "others", data: { step: "select", data } }]),
    ];
    expect(object.record.id).toBe(flat.record.id);
    expect(made.record.id).toBe(flat.record.id);
    expect(flat.record.result.numbers.map(({ title }) => title)).toEqual(["Known Others", "ROUGE-1 Others"]);
    expect(flat.record.result.missing.map(({ title }) => title)).toContain("Target Forget");
  });

  test("a group that the suite does not have is refused", async () => {
    await expect(forgetting([{ group: "other", data }])).rejects.toThrow(
      /the group "other"; wanted one of forget, rephrased, neighbours, others/,
    );
    await expect(forgetting([{ data }])).rejects.toThrow(/wanted GROUP=/);
  });
});
