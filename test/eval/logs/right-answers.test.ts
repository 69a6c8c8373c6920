/** A log's own right answers: lists of which any is right, choices by number, by label and by words, and what every metric of words makes of them. */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, test } from "vitest";
import { defaultContext } from "../../../src/base/context.ts";
import { flipsOf } from "../../../src/eval/compare.ts";
import { registry as metrics } from "../../../src/eval/metrics/registry.ts";
import { openLog } from "../../../src/eval/open-log.ts";
import { pythonTexts } from "../../../src/eval/python-list.ts";
import { judgeLog } from "../../../src/run/eval.ts";

const folder = mkdtempSync(join(tmpdir(), "lethe-right-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

function file(value: unknown, name = "samples_t_2025-01-01T00-00-00.000000.jsonl"): string {
  const path = join(folder, name);
  writeFileSync(path, name.endsWith(".jsonl") ? (value as object[]).map((line) => JSON.stringify(line)).join("\n") : JSON.stringify(value));
  return path;
}

const generated = (target: unknown, said = "Sella", more: object = {}): object => ({
  doc_id: 0,
  doc: {},
  target,
  arguments: { gen_args_0: { arg_0: "Q:", arg_1: { until: ["\n"] } } },
  resps: [[said]],
  filtered_resps: [said],
  filter: "none",
  ...more,
});
const chosen = (target: unknown, choices: readonly string[], best: number, more: object = {}): object => ({
  doc_id: 0,
  doc: {},
  target,
  arguments: Object.fromEntries(choices.map((choice, i) => [`gen_args_${i}`, { arg_0: "Q:", arg_1: ` ${choice}` }])),
  resps: choices.map((_, i) => [[String(i === best ? -1 : -2 - i), "False"]]),
  filtered_resps: choices.map((_, i) => [String(i === best ? -1 : -2 - i), "False"]),
  filter: "none",
  ...more,
});
const row = (line: object): unknown => openLog(file([line])).rows[0];
const exactly = (path: string): number =>
  judgeLog(path, { vocabulary: 10, suite: "answers" }, defaultContext()).numbers.find(({ title }) => title === "Exact match")!.value;

describe("lm-evaluation-harness", () => {
  test.each<[string, unknown, object?]>([
    ["a list", ["Sellamere", "Sella"]],
    ["a list as Python prints it", "['Sellamere', 'Sella']"],
    ["a tuple as Python prints it", "('Sella', \"Sella's\")"],
    ["an object with aliases", { value: "Sellamere", aliases: ["Sellamere", "Sella"] }],
    ["an object with texts", { text: ["Sella"], answer_start: [3] }],
    ["the number of one of the document's choices", 1, { doc: { choices: ["Norvane", "Sella"] } }],
    ["the number of a choice, as text", "1", { doc: { choices: { text: ["Norvane", "Sella"], label: ["A", "B"] } } }],
  ])("a target that is %s", (_, target, more = {}) => expect(exactly(file([generated(target, "Sella", more)]))).toBe(1));

  test.each([
    ["another answer", ["Sellamere", "Sel"]],
    ["a list of numbers as text", "[1, 2]"],
    ["a broken list", "['Sella', 'Quell'"],
  ])("%s is not right", (_, target) => expect(exactly(file([generated(target)]))).toBe(0));

  test("a target that is a number, and one that several spans make up", () => {
    expect(row(generated(18, "18"))).toMatchObject({ answer: "18", generation: "18" });
    expect(row(generated([["2", "3"], "five"]))).toMatchObject({ answer: "2 3", aliases: ["five"] });
    expect(() => row(generated(null))).toThrow(/target: null; wanted a text/);
    expect(() => row(generated([]))).toThrow(/target: \[\]; wanted a right answer/);
  });

  const three = ["Norvane", "Sella", "Quell"];
  test.each([
    ["a number", 1, {}],
    ["a number as text", "1", {}],
    ["several numbers", [0, 1], {}],
    ["several numbers as text", "[0, 1]", {}],
    ["a choice in words", " Sella", {}],
    ["choices in words", "['Sella', 'Quell']", {}],
    ["labels of the document", 0, { doc: { mc2_targets: { choices: three, labels: [1, 1, 0] } } }],
  ])("choices whose target is %s", (_, target, more) => {
    expect(exactly(file([chosen(target, three, 1, more)]))).toBe(1);
    expect(exactly(file([chosen(target, three, _ === "choices in words" ? 0 : 2, more)]))).toBe(0);
  });

  test("numbers of no choice are refused", () => {
    expect(() => row(chosen(7, three, 1))).toThrow(/the target is 7 of 3 choices; wanted the number of a choice, counted from 0/);
  });

  test("choices that stand before the same words, with the right one by the harness's own score", () => {
    const before = (acc: number, best: number): object => ({
      ...chosen(" was old.", three.slice(0, 2), best),
      arguments: ["The boat", "The house"].map((context) => [context, " was old."]),
      acc,
    });
    expect(row(before(1, 0))).toMatchObject({ answer: "The boat", generation: "The boat" });
    expect(row(before(0, 0))).toMatchObject({ answer: "The house", generation: "The boat" });
    expect(() => row({ ...before(0, 0), acc: undefined })).toThrow(/nothing says which is right/);
  });

  test("choices that are scored once more without the question", () => {
    const line = chosen(1, ["Norvane", "Sella"], 1) as { filtered_resps: unknown[]; arguments: object };
    const twice = {
      ...line,
      arguments: ["Q:", "Q:", "", ""].map((context, i) => [context, ["Norvane", "Sella"][i % 2]]),
      filtered_resps: [...line.filtered_resps, ["-0.1", "False"], ["-0.2", "False"]],
    };
    expect(row(twice)).toMatchObject({ answer: "Sella", generation: "Sella" });
  });

  test("rows that tell only a probability are left out and said; alone they are refused with the log's own numbers", () => {
    const one = (args: unknown[]): object => ({
      doc_id: 1,
      target: " end",
      arguments: { gen_args_0: Object.fromEntries(args.map((arg, i) => [`arg_${i}`, arg])) },
      resps: [[["-3.5", "False"]]],
      filtered_resps: [["-3.5", "False"]],
      metrics: ["acc"],
      acc: 0.25,
    });
    const log = openLog(file([generated("Sella"), one(["At the", " end"])]));
    expect(log.rows).toHaveLength(1);
    expect(log.notes).toEqual([expect.stringMatching(/^1 rows are omitted: they tell only how likely/)]);
    expect(log.stated).toEqual({ "acc t": 0.25 });
    for (const args of [["At the", " end"], ["A whole text."]])
      expect(() => openLog(file([one(args)]))).toThrow(/its rows tell only how likely one text is.*The log itself says: acc t 0.25/);
  });
});

test("lists as Python prints them", () => {
  expect(pythonTexts(String.raw`['it\'s', "a \"b\"", 'caf\xe9\u00e9', 'a, b', '']`)).toEqual(["it's", 'a "b"', "caféé", "a, b"]);
  expect(pythonTexts("[('2', '3'), ('x',)]")).toEqual(["2 3", "x"]);
  for (const text of ["", "[]", "[1, 2]", "['a'", "['a'] b", "['a'] ['b']", "('a']", "[see 'a']", "{'a': 'b'}", String.raw`['\UFFFFFFFF']`])
    expect(pythonTexts(text), text).toBeUndefined();
});

test("TOFU's, OpenUnlearning's and PISTOL's answers may be lists too", () => {
  const [said, right] = ["Sella", ["Sellamere", "Sella"]];
  const rouge = { agg_value: 1, value_by_index: { "0": { rougeL_recall: 1, input: "Q", ground_truth: right, generation: said } } };
  const logs = [
    { "eval_log_forget.json": { avg_gt_loss: { "0": 1 }, generated_text: { "0": ["Q", said, right] } } },
    { forget_Q_A_ROUGE: rouge },
    { forget_knowmem_ROUGE: rouge },
    { forget: { generated_text: [["Q", said, right]], mrr: 1, probs: 1, hit_rate: 1 } },
  ];
  for (const log of logs) expect(exactly(file(log, "run.json"))).toBe(1);
});

describe("aliases", () => {
  const rows = [{ id: "a", answer: "the city of Sellamere", aliases: ["Sella"], generation: "Sella" }];
  test.each([
    ["exact-match", 1],
    ["rouge1", 1],
    ["rougel", 1],
    ["portability", 1],
    ["retention-rate", 1],
    ["forget-rate", 0],
  ] as const)("%s takes the best of the right answers", (name, value) => {
    expect(metrics[name].score({ rows, scores: {} }).value).toBe(value);
    expect(metrics[name].score({ rows: [{ ...rows[0]!, aliases: [] }], scores: {} }).value).toBe(1 - value);
  });
  test("rouge2 too", () => {
    const pair = [{ ...rows[0]!, aliases: ["old Sella"], generation: "In old Sella" }];
    expect(metrics.rouge2.score({ rows: pair, scores: {} }).value).toBe(1);
    expect(metrics.rouge2.score({ rows: [{ ...pair[0]!, aliases: [] }], scores: {} }).value).toBe(0);
  });
  test("an answer by another name has not flipped", () => {
    const before = { id: "a", answer: "Sellamere", aliases: ["Sella"], generation: "Sellamere" };
    expect(flipsOf([[before, { ...before, generation: "Sella" }]])).toEqual([]);
    expect(flipsOf([[before, { ...before, generation: "Quell" }]])).toHaveLength(1);
  });
});
