/** Logs that others wrote: what is read of each format, that what is written is read again, and that broken ones end in clear errors. */
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { afterAll, describe, expect, test } from "vitest";
import { z } from "zod";
import { LetheError } from "../../../src/base/fail.ts";
import { registry } from "../../../src/eval/logs/registry.ts";
import { FIELDS, type Kind, type SampleRecord } from "../../../src/eval/metric.ts";
import { type Log, openLog } from "../../../src/eval/open-log.ts";

const folder = mkdtempSync(join(tmpdir(), "lethe-logs-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** The log in a file of that text. */
function read(text: string, name = "run.json"): Log {
  const path = join(folder, name);
  writeFileSync(path, text);
  return openLog(path);
}

const texts = { question: "Who?", generation: "Ilse.", answer: "Ilse Maren" };
const rows: SampleRecord[] = ["forget", "retain"].flatMap((group) =>
  [0, 1].map((i) => ({
    id: `${group}/${i}`,
    group,
    ...texts,
    answerLoss: 0.5 + i,
    answerTokens: 4,
    paraphraseLoss: 1,
    wrongLosses: [2, 3],
  })),
);

const TOFU = `{"eval_log_forget.json": {"avg_gt_loss": {"0": 0.5, "7": NaN}, "num_token_gt": {"0": 4, "7": 5},
 "generated_text": {"0": ["Who?", "NaN is no answer", "Ilse"], "7": ["Who?", "", "Ilse"]},
 "avg_paraphrased_loss": {"0": Infinity, "7": 1}, "average_perturb_loss": {"0": [1, -Infinity], "7": [1, 2]}, "rouge1_recall": {"0": 1}}}`;

describe("TOFU", () => {
  test("rows keep their numbers; bare NaN and infinities are read where a number stands, and texts that speak of NaN stay", () => {
    expect(read(TOFU).rows).toEqual([
      {
        id: "forget/0",
        group: "forget",
        answerLoss: 0.5,
        answerTokens: 4,
        question: "Who?",
        generation: "NaN is no answer",
        answer: "Ilse",
        paraphraseLoss: Infinity,
        wrongLosses: [1, -Infinity],
      },
      {
        id: "forget/7",
        group: "forget",
        answerLoss: NaN,
        answerTokens: 5,
        question: "Who?",
        generation: "",
        answer: "Ilse",
        paraphraseLoss: 1,
        wrongLosses: [1, 2],
      },
    ]);
  });

  test("a folder of its files is one log; a file by another name does not say which rows it contains", () => {
    const part = (loss: number): string => JSON.stringify({ avg_gt_loss: [loss] });
    const dir = join(folder, "run");
    mkdirSync(dir);
    writeFileSync(join(dir, "eval_log.json"), part(1));
    writeFileSync(join(dir, "eval_log_forget.json"), part(2));
    writeFileSync(join(dir, "args.json"), "{}");
    const log = openLog(dir);
    expect(log.rows).toEqual([
      { id: "retain/0", group: "retain", answerLoss: 1 },
      { id: "forget/0", group: "forget", answerLoss: 2 },
    ]);
    for (const name of ["one.json", "two.json"]) writeFileSync(join(dir, name), TOFU);
    expect(() => openLog(dir)).toThrow(/one.json, two.json: one folder contains 2 logs; wanted one log. Name the file/);
    expect(() => read(part(1), "other.json")).toThrow(
      /other.json: the file's name does not say which rows it contains; wanted one of eval_/,
    );
  });
});

describe("samples.jsonl", () => {
  /** A value of each field, and one that it cannot have. */
  const VALUES: Record<Kind, readonly [good: unknown, bad: unknown]> = {
    text: ["NaN", 1],
    number: ["Infinity", "infinite"],
    numbers: [[0.5, "NaN", "-Infinity"], [null]],
    texts: [["a", ""], "a"],
  };
  const fields = Object.entries(FIELDS).map(([name, [kind]]) => [name, ...VALUES[kind]] as const);
  const schema = z.fromJSONSchema(
    JSON.parse(readFileSync(new URL("../../../docs/samples.schema.json", import.meta.url), "utf8")) as z.core.JSONSchema.JSONSchema,
  );
  const isRead = (row: object): boolean => {
    try {
      return read(JSON.stringify(row), "s.jsonl").rows.length === 1;
    } catch (error) {
      if (error instanceof LetheError) return false;
      throw error;
    }
  };
  test("the published schema takes what the reader takes and refuses what it refuses", () => {
    const whole = { id: "a", ...Object.fromEntries(fields.map(([name, good]) => [name, good])) };
    const cases: [row: object, isGood: boolean][] = [
      [whole, true],
      [{ id: "a" }, true],
      [{ group: "forget" }, false],
      [{ ...whole, loss: 1 }, false],
      ...fields.map(([name, , bad]): [object, boolean] => [{ ...whole, [name]: bad }, false]),
    ];
    for (const [row, isGood] of cases) {
      expect(schema.safeParse(row).success, JSON.stringify(row)).toBe(isGood);
      expect(isRead(row), JSON.stringify(row)).toBe(isGood);
    }
  });
});

describe("PISTOL", () => {
  const group = (mrr: number): object => ({
    generated_text: [["[INST] Who? [/INST]", "Ilse", "Ilse"]],
    mrr,
    hit_rate: 1,
    probs: 0.5,
    rouge1_recall: 1,
  });
  test("five groups, one of them left out, and the means that its texts do not give again", () => {
    const log = read(
      JSON.stringify({ forget: group(0.25), all_retained_edge: group(0.5), retained_indepenent_sales_edge: "N/A", factual_data: group(1) }),
    );
    expect(log.format.name).toBe("pistol");
    expect(log.rows.map(({ id }) => id)).toEqual(["forget/0", "retain/0", "facts/0"]);
    expect(log.stated).toMatchObject({ "mrr forget": 0.25, "hit_rate facts": 1 });
    expect(Object.keys(log.stated).some((name) => name.startsWith("rouge"))).toBe(false);
  });
});

describe("OpenUnlearning", () => {
  const log = {
    forget_Q_A_Prob: { agg_value: 0.5, value_by_index: { "3": { prob: 0.5, avg_loss: 0.7 }, "4": { prob: null, avg_loss: null } } },
    forget_Q_A_PARA_Prob: { agg_value: 0.5, value_by_index: { "3": { prob: [0.5], avg_loss: [1, 3] }, "4": { prob: 1, avg_loss: 1 } } },
    forget_Q_A_PERT_Prob: { agg_value: 0.5, value_by_index: { "3": { prob: [1, 1], avg_loss: [1, 2] }, "4": null } },
    forget_Q_A_ROUGE: {
      agg_value: 1,
      value_by_index: { "3": { rougeL_recall: 1, input: "Who?", ground_truth: "Ilse", generation: "Ilse" } },
    },
    ra_Q_A_Prob: { agg_value: 1, value_by_index: { "0": { prob: 1, avg_loss: 0.1 } } },
    privleak: { agg_value: -12.5 },
    forget_quality: { agg_value: null },
  };
  test("rows are put together from the metrics; rows without a value are left out and said", () => {
    const { rows: got, notes, stated } = read(JSON.stringify(log));
    expect(got).toEqual([
      {
        id: "forget/3",
        group: "forget",
        answerLoss: 0.7,
        paraphraseLoss: 2,
        wrongLosses: [1, 2],
        question: "Who?",
        answer: "Ilse",
        generation: "Ilse",
      },
      { id: "authors/0", group: "authors", answerLoss: 0.1, paraphraseLoss: 0.1 },
    ]);
    expect(notes).toEqual([expect.stringMatching(/1 rows without a value are omitted; the first is "forget\/4"/)]);
    expect(stated).toEqual({ privleak: -12.5 });
  });
  test("a summary has no rows to judge", () => {
    expect(() => read(JSON.stringify({ forget_quality: 0.1, model_utility: 0.6 }))).toThrow(
      /it is a summary without rows; wanted TOFU_EVAL.json/,
    );
  });
});

describe("lm-evaluation-harness", () => {
  test("what was written, and the likeliest of several choices", () => {
    const lines = [
      {
        doc_id: 0,
        target: "Paris",
        arguments: [["Where?", { until: [] }]],
        resps: [["In Paris."]],
        filtered_resps: ["In Paris."],
        filter: "none",
      },
      {
        doc_id: 1,
        target: "1",
        arguments: { gen_args_0: { arg_0: "Which?", arg_1: " A" }, gen_args_1: { arg_0: "Which?", arg_1: " B" } },
        resps: [],
        filtered_resps: [
          ["-1.5", "False"],
          ["-0.5", "True"],
        ],
      },
    ];
    const log = read(lines.map((line) => JSON.stringify(line)).join("\n"), "samples_geo_2025-01-02T03-04-05.6.jsonl");
    expect(log.format.name).toBe("lm-eval");
    expect(log.rows).toEqual([
      { id: "geo/0", group: "geo", question: "Where?", answer: "Paris", generation: "In Paris." },
      { id: "geo/1", group: "geo", question: "Which?", answer: "B", generation: "B" },
    ]);
  });
});

describe("samples.jsonl", () => {
  test("a misspelt field, a wrong type and an id said twice are refused by line", () => {
    const line = (row: object): string => JSON.stringify({ id: "a", ...row });
    expect(() => read(line({ anserLoss: 1 }), "s.jsonl")).toThrow(
      /s.jsonl line 1: field "anserLoss" is not known.*Did you mean "answerLoss"/,
    );
    expect(() => read(line({ wrongLosses: ["x"] }), "s.jsonl")).toThrow(/s.jsonl line 1 wrongLosses item 0: "x"; wanted a number/);
    expect(() => read(`${line({})}\n\n${line({})}`, "s.jsonl")).toThrow(/line 3: the id "a" is also at s.jsonl line 1/);
  });
});

describe("every format that can be written", () => {
  const kept: Readonly<Record<string, readonly string[]>> = {
    pistol: ["id", "group", "question", "generation", "answer"],
    openunlearning: ["id", "group", "question", "generation", "answer", "answerLoss", "paraphraseLoss", "wrongLosses"],
  };
  test.each(Object.values(registry).filter((format) => "write" in format))("$name is read again as it was", (format) => {
    const odd = rows.map((row, i) => (i === 0 ? { ...row, answerLoss: NaN, paraphraseLoss: Infinity } : row));
    const log = read(format.write(odd), format.name === "samples" ? "again.jsonl" : "again.json");
    expect(log.format.name).toBe(format.name);
    const fields = kept[format.name];
    const wanted = odd.map((row) => (fields ? Object.fromEntries(Object.entries(row).filter(([name]) => fields.includes(name))) : row));
    expect([...log.rows].sort((a, b) => a.id.localeCompare(b.id))).toEqual(
      wanted.sort((a, b) => String(a["id"]).localeCompare(String(b["id"]))),
    );
  });

  test("broken logs end in an error that names the file", () => {
    const whole = Object.values(registry).flatMap((format) => ("write" in format ? [[format.name, format.write(rows)] as const] : []));
    fc.assert(
      fc.property(
        fc.constantFrom(...whole),
        fc.nat(),
        fc.constantFrom("", "NaN", "null", "{", "]", '"', "1e999", ",", "\u0000", "x"),
        (given, at, put) => {
          const [name, text] = given;
          const place = at % text.length;
          const file = name === "samples" ? "broken.jsonl" : "broken.json";
          try {
            read(text.slice(0, place) + put + text.slice(place + 1), file);
          } catch (error) {
            expect(error).toBeInstanceOf(LetheError);
            expect((error as LetheError).message).toContain(file);
          }
        },
      ),
      { numRuns: 400, seed: 7 },
    );
  });

  test.each([
    ["[1, 2", /broken.json is not JSON: it ends too early at line 1, column 6/],
    ["{NaN: 1}", /is not JSON.*line 1, column 2/],
    ['{"a": NaNa}', /is not JSON/],
    ['{"a": -NaN}', /is not JSON/],
    ['{"a": 1}', /its content matches no known format; wanted a log of .*TOFU/],
    ['{"eval_log.json": {"avg_gt_loss": {"0": "x"}}}', /broken.json eval_log.json avg_gt_loss row 0: "x"; wanted a number/],
    [
      '{"eval_log.json": {"avg_gt_loss": {"0": 1, "1": 2}, "num_token_gt": {"0": 3}}}',
      /row "1" is only in one of avg_gt_loss and num_token_gt/,
    ],
    ['{"eval_log.json": {"avg_gt_loss": {}}}', /it has no rows/],
  ])("%s", (text, complaint) => expect(() => read(text, "broken.json")).toThrow(complaint));

  test("what is not there is said", () => {
    expect(() => openLog(join(folder, "nothing.json"))).toThrow(/nothing.json: there is no such file/);
  });
});
