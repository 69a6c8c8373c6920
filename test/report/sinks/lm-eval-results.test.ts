/** The results of lm-evaluation-harness: its keys, its samples, and that our own reader of its logs takes them. */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { afterAll, describe, expect, test } from "vitest";
import { parseJson } from "../../../src/base/json.ts";
import { openLog } from "../../../src/eval/open-log.ts";
import { registry } from "../../../src/report/sinks/registry.ts";
import type { Evaluation } from "../../../src/report/sinks/sink.ts";
import { ASSERTED, EVALUATION, HOSTILE, number } from "./evaluation.ts";

const folder = mkdtempSync(join(tmpdir(), "lethe-lm-eval-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const DATE = "2026-03-04T05-06-07.089000";
const written = (over: Partial<Evaluation> = {}): Record<string, string> =>
  registry["lm-eval-results"].write({ ...EVALUATION, ...over }).files as Record<string, string>;
const results = (over: Partial<Evaluation> = {}): Record<string, Record<string, unknown>> =>
  parseJson(Object.entries(written(over)).find(([path]) => path.includes("/results_"))![1], "results", "test", {
    nonFinite: true,
  }) as never;

describe("results", () => {
  test("files lie as the harness lays them", () => {
    expect(Object.keys(written())).toEqual([
      `org__model/results_${DATE}.json`,
      `org__model/samples_forget_${DATE}.jsonl`,
      `org__model/samples_retain_${DATE}.jsonl`,
    ]);
    expect(Object.keys(written({ asked: { model: "../.." } }))[0]).toBe(`..__../results_${DATE}.json`);
    expect(Object.keys(written({ asked: { model: ".." } }))[0]).toBe(`__/results_${DATE}.json`);
    expect(Object.keys(written({ asked: {} }))[0]).toBe(`e1/results_${DATE}.json`);
  });

  test("each group is a task, and so is what has no group; a standard error only for a mean", () => {
    const of = results()["results"]!;
    expect(of["forget"]).toEqual({
      alias: "forget",
      "rouge1,none": 0.5,
      "rouge1_stderr,none": expect.closeTo(0.5 / Math.sqrt(3), 14) as number, // values 0, 0.5 and 1 have a deviation of 0.5
      "exact-match,none": 1 / 3,
      "exact-match_stderr,none": expect.closeTo(1 / 3, 14) as number, // variance 1/3 over three values
    });
    expect(of["retain"]).toEqual({ alias: "retain", "rouge1,none": NaN, "rouge1_stderr,none": "N/A" });
    expect(of["tofu"]).toEqual({ alias: "tofu", "model-utility,none": 1e-5, "model-utility_stderr,none": "N/A" });
    const [hostile] = Object.keys(of).filter((name) => !["forget", "retain", "tofu"].includes(name));
    expect(hostile).not.toMatch(/["<>:/|\\?*[\]]/);
    const far = number({ metric: "rouge1", group: "forget", value: 0.7, bySample: { a: 0, b: 1 } }); // a number that is not the mean of its rows
    expect(results({ record: { ...EVALUATION.record, numbers: [far] } })["results"]!["forget"]).toMatchObject({
      "rouge1_stderr,none": "N/A",
    });
  });

  test("the tables beside it have the same tasks", () => {
    const all = results({ asserted: ASSERTED });
    const tasks = Object.keys(all["results"]!);
    for (const key of ["configs", "versions", "n-shot", "higher_is_better", "n-samples", "group_subtasks"])
      expect([key, Object.keys(all[key]!)]).toEqual([key, tasks]);
    expect(all["n-samples"]!["forget"]).toEqual({ original: 3, effective: 3 });
    expect(all["higher_is_better"]).toMatchObject({ forget: { rouge1: false, "exact-match": false }, retain: { rouge1: true } });
    expect(Object.values(all["higher_is_better"]!).at(-1)).toEqual({ rouge1: null });
    expect(all["configs"]!["forget"]).toMatchObject({
      task: "forget",
      output_type: "generate_until",
      num_fewshot: 0,
      generation_kwargs: { do_sample: false, until: [], max_gen_toks: 20 },
      metric_list: [
        { metric: "rouge1", aggregation: "mean", higher_is_better: false },
        { metric: "exact-match", aggregation: "mean", higher_is_better: false },
      ],
    });
    expect(all).toMatchObject({
      config: {
        model: "lethe",
        model_args: { model: "org/model", edit: '["edits/e1"]', suite: "tofu", limit: 5 },
        batch_size: "32",
        limit: 5,
        model_dtype: "float32",
      },
      date: EVALUATION.ended / 1000 - 65.25,
      total_evaluation_time_seconds: "65.25",
      model_name: "org/model",
      model_name_sanitized: "org__model",
      lethe: { version: "1.2.3", missing: EVALUATION.record.missing, assertions: ASSERTED },
    });
  });
});

describe("samples", () => {
  const lines = (path: string): Record<string, unknown>[] =>
    written()
      [path]!.trimEnd()
      .split("\n")
      .map((line) => parseJson(line, "line", "test", { nonFinite: true }) as Record<string, unknown>);

  test("a line for each row with an answer of the model, with the values of the metrics", () => {
    const [first, second, ...more] = lines(`org__model/samples_forget_${DATE}.jsonl`);
    expect(more).toEqual([]); // the third row has no answer
    expect(first).toMatchObject({
      doc_id: 0,
      doc: { id: "a", question: "Who?", answer: "Ilse", aliases: ["Maren's", 'the "one"'] },
      target: `["Ilse", "Maren's", "the \\"one\\""]`,
      arguments: { gen_args_0: { arg_0: "Who?", arg_1: { do_sample: false, until: [], max_gen_toks: 20 } } },
      resps: [["No\none.\u2028"]],
      filtered_resps: ["No\none.\u2028"],
      filter: "none",
      metrics: ["rouge1", "exact-match"],
      rouge1: 0,
      "exact-match": 0,
    });
    expect(second).toMatchObject({ doc_id: 1, doc: { target: "I do not know." }, target: "Here", rouge1: 0.5 });
    for (const key of ["doc_hash", "prompt_hash", "target_hash"]) expect(first![key]).toMatch(/^[0-9a-f]{64}$/);
    expect(lines(`org__model/samples_retain_${DATE}.jsonl`)).toMatchObject([{ doc_id: 0, rouge1: NaN }]);
  });

  test("the reader of the harness's logs reads them again: questions, answers, and what was said", () => {
    const path = join(folder, `samples_forget_${DATE}.jsonl`);
    mkdirSync(dirname(path), { recursive: true });
    writeFileSync(path, written()[`org__model/samples_forget_${DATE}.jsonl`]!);
    const { format, rows, stated } = openLog(path);
    expect(format.name).toBe("lm-eval");
    expect(rows).toEqual([
      {
        id: "forget/0",
        group: "forget",
        question: "Who?",
        answer: "Ilse",
        aliases: ["Maren's", 'the "one"'],
        generation: "No\none.\u2028",
      },
      { id: "forget/1", group: "forget", question: "Where?", answer: "Here", generation: "Here" },
    ]);
    expect(stated).toEqual({ "rouge1 forget": 0.25, "exact-match forget": 0 });
  });

  test("a metric cannot replace a key of the harness", () => {
    const record = { ...EVALUATION.record, numbers: [number({ metric: "target", group: "forget", value: 0, bySample: { b: 7 } })] };
    expect(written({ record })[`org__model/samples_forget_${DATE}.jsonl`]).toContain('"target": "Here"');
  });

  test("rows without groups belong to the suite", () => {
    const record = { ...EVALUATION.record, numbers: [number({ metric: "rouge1", group: null, value: 0, bySample: { a: 0, b: 0, d: 0 } })] };
    expect(Object.keys(written({ record }))).toEqual([`org__model/results_${DATE}.json`, `org__model/samples_tofu_${DATE}.jsonl`]);
    expect(HOSTILE).toContain("/");
  });
});
