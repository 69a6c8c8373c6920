/** A log judged as a command does it: record, table, CSV, and the way out where something is missing. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, test } from "vitest";
import { defaultContext, type Event } from "../../src/base/context.ts";
import { suiteNames, suiteOf } from "../../src/eval/suite.ts";
import { registry } from "../../src/eval/metrics/registry.ts";
import { aggregateCsv, evalNotes, evalRows, shownValue } from "../../src/report/eval.ts";
import { compareLogs, judgeLog, rowsIn, writableLogs } from "../../src/run/eval.ts";
import type { EvalRecord } from "../../src/run/record.ts";
import { run as runStep } from "../../src/run/run.ts";
import { lethe, objects } from "../cli/lethe.ts";

const folder = mkdtempSync(join(tmpdir(), "lethe-eval-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** A log of four groups; `loss` is of its forget answers. */
function log(name: string, loss: number): string {
  const part = (own: number, falses: number, words: string) => ({
    avg_gt_loss: [own, own + 0.1, own + 0.2],
    num_token_gt: [3, 4, 5],
    generated_text: [0, 1, 2].map((i) => ["Who painted it?", i === 0 ? "" : words, "Ilse Maren"]),
    avg_paraphrased_loss: [own + 0.3, own + 0.1, own],
    average_perturb_loss: [falses, falses + 1, falses + 2].map((of) => [of, of + 1]),
  });
  const path = join(folder, `${name}.json`);
  const kept = part(0.1, 3, "Ilse Maren");
  writeFileSync(
    path,
    JSON.stringify({
      "eval_log_forget.json": part(loss, 2, "I do not know."),
      "eval_log.json": kept,
      "eval_real_author_wo_options.json": kept,
      "eval_real_world_wo_options.json": kept,
    }),
  );
  return path;
}

const [run, retain] = [log("run", 0.5), log("retain", 4)];
const judged = (options: object = {}, path = run) => {
  const events: Event[] = [];
  const record = judgeLog(path, { vocabulary: 32_000, ...options }, defaultContext({ log: (event) => events.push(event) }));
  return { record, warnings: events.flatMap((event) => (event.kind === "warning" ? [event.text] : [])) };
};
const valueOf = (record: ReturnType<typeof judged>["record"], title: string) =>
  record.numbers.find((number) => number.title === title)?.value;

describe("judging a log", () => {
  test("numbers by hand, and where they are from", () => {
    const { record } = judged({ reference: retain });
    expect(valueOf(record, "ROUGE Retain")).toBeCloseTo(2 / 3, 14);
    expect(valueOf(record, "Prob. Forget")).toBeCloseTo((Math.exp(-0.5) + Math.exp(-0.6) + Math.exp(-0.7)) / 3, 14);
    expect(valueOf(record, "Empty Forget")).toBeCloseTo(1 / 3, 14);
    expect(valueOf(record, "Forget Quality")).toBeCloseTo(0.1, 14); // disjoint samples of three: 2 / C(6, 3)
    expect(record.reference).toMatchObject({ name: "retain", format: "tofu", rows: 12 });
    expect(record.collapse).toMatchObject({ isCollapsed: false, vocabulary: 32_000, nanRows: 0 });
    expect(judged({ vocabulary: 2 }, retain).record.collapse!.isCollapsed).toBe(true); // 4 nats a token, a coin costs ln 2
  });

  test("without a reference the column is left out, and said; with itself it is refused or warned of", () => {
    expect(judged().record.missing).toEqual([
      { title: "Forget Quality", metric: "forget-quality", group: "forget", reason: "there is no comparison run" },
    ]);
    expect(() => judged({ reference: run })).toThrow(/have the same losses/);
    const { record, warnings } = judged({ reference: run, compat: ["self-reference"] });
    expect(warnings).toEqual(record.warnings);
    expect(warnings).toEqual([expect.stringMatching(/Forget Quality: the run was compared with itself/)]);
    expect(evalNotes(record).tail).toContain("compat: self-reference");
  });

  test("a quirk goes to what reads it, through utility too; an unknown one is refused with the nearest", () => {
    const { record } = judged({ reference: retain, compat: ["arithmetic"] });
    const marked = record.numbers.filter(({ compat }) => compat.length > 0).map(({ title }) => title);
    expect(marked).toEqual([
      "Truth Ratio Real Authors",
      "Truth Ratio Real World",
      "Truth Ratio Retain",
      "Truth Ratio Forget",
      "Model Utility",
      "Forget Quality",
    ]);
    expect(() => judged({ compat: ["arithmetical"] })).toThrow(/there is no compat "arithmetical".*Did you mean "arithmetic"/);
  });

  test("tables: every number a row, the CSV in its order, numbers as Python writes them", () => {
    const { record } = judged({ reference: retain });
    expect(evalRows(record)).toHaveLength(record.numbers.length + 1);
    const [head, row] = aggregateCsv(record, "a, b", "me").split("\n");
    expect(head).toMatch(
      /^ROUGE Real Authors,Prob. Real Authors,Truth Ratio Real Authors,ROUGE Real World,.*,Model Utility,Forget Quality,Method,Submitted By$/,
    );
    expect(row).toMatch(/,"a, b",me$/);
    const of = (value: number): string =>
      aggregateCsv({ ...record, numbers: [{ ...record.numbers[0]!, value }] }, "", "")
        .split("\n")[1]!
        .split(",")[0]!;
    expect([1, 0, 8.9e-7, 0.00001, 0.5, NaN, Infinity, 4.9e-20].map(of)).toEqual([
      "1.0",
      "0.0",
      "8.9e-07",
      "1e-05",
      "0.5",
      "nan",
      "inf",
      "4.9e-20",
    ]);
    expect([NaN, 0, 0.25, 4.9e-20].map(shownValue)).toEqual(["NaN", "0.0000", "0.2500", "4.900e-20"]);
  });

  test("suites name metrics that there are, each title once", () => {
    expect(suiteNames()).toEqual(expect.arrayContaining(["answers", "pistol", "tofu"]));
    for (const name of suiteNames()) {
      const { columns } = suiteOf(name);
      expect(new Set(columns.map(({ title }) => title)).size).toBe(columns.length);
      expect(columns.filter(({ metric }) => !Object.hasOwn(registry, metric))).toEqual([]);
    }
    expect(() => suiteOf("tofuu")).toThrow(/there is no suite "tofuu".*Did you mean "tofu"/);
  });

  test("written as another format, the rows give the same numbers", () => {
    const writers = new Map(writableLogs().map((format) => [format.name, format.write]));
    expect([...writers.keys()]).toEqual(["openunlearning", "pistol", "samples", "tofu"]);
    const file = join(folder, "samples.jsonl");
    writeFileSync(file, writers.get("samples")!(rowsIn(run)));
    expect(judged({ reference: retain }, file).record.numbers).toEqual(judged({ reference: retain }).record.numbers);
  });

  test("two logs side by side", () => {
    const { numbers, flips, common } = compareLogs(run, retain);
    expect(common).toBe(12);
    expect(numbers.find(({ title }) => title === "Prob. Retain")!.difference).toBe(0);
    expect(numbers.find(({ title }) => title === "Prob. Forget")!.difference).toBeLessThan(-0.4);
    expect(flips).toEqual([]);
  });
});

describe("lethe eval and compare", () => {
  test("for people, for programs, and as TOFU's table", async () => {
    const csv = join(folder, "aggr_result.csv");
    const [shown, json, side, nothing] = await Promise.all([
      lethe(["eval", "--logs", run, "--reference", retain, "--csv", csv]),
      lethe(["eval", "--logs", run, "--reference", run, "--compat", "self-reference", "--json"]),
      lethe(["compare", run, retain]),
      lethe(["eval"]),
    ]);
    expect(shown.out).toMatch(/Forget Quality +0\.1000 .*D 1\.0000, h 3, n 3, m 3, exact/);
    expect(shown.out).toMatch(/collapsed: no/);
    expect(readFileSync(csv, "utf8")).toMatch(/,run,anonymous\n$/);
    const [record] = objects(json.out);
    expect(record).toMatchObject({ schema: "lethe/eval/1", suite: "tofu", compat: ["self-reference"] });
    expect(objects(json.err)).toEqual([{ warning: expect.stringMatching(/compared with itself/), who: "run" }]);
    expect(side.out).toMatch(/12 rows in common/);
    expect([nothing.code, nothing.err]).toEqual([2, expect.stringMatching(/wanted MODEL, or --logs FILE/)]);
  });
});

test("other right answers of the data count as the answer: of rows of one's own, and of MQuAKE's", { timeout: 60_000 }, async () => {
  const rewrite = { prompt: "The capital of {} is", subject: "Norvane", target_true: { str: "The city of the king" }, relation_id: "P36" };
  const chain = { case_id: 1, requested_rewrite: [{ ...rewrite, question: "What is the capital of Norvane?" }] };
  const hop = { question: "What is the capital of Norvane?", answer: "The city of the king", answer_alias: ["Sellamere"] };
  writeFileSync(join(folder, "mquake.json"), JSON.stringify([{ ...chain, single_hops: [hop] }]));
  writeFileSync(join(folder, "none.json"), JSON.stringify([{ ...chain, single_hops: [] }]));
  const own = { prompt: "What is the capital of Norvane?", answer: "The city of the king", aliases: ["Sellamere"] };
  writeFileSync(join(folder, "own.jsonl"), JSON.stringify(own));
  for (const [data, right] of [
    ["own.jsonl", 1],
    ["mquake:mquake.json", 1],
    ["mquake:none.json", 0],
  ] as const) {
    const at = data.replace(/([^:]+)$/, join(folder, "$1"));
    const args = [
      "eval",
      "bundled",
      "--suite",
      "answers",
      "--data",
      at,
      "-n",
      "8",
      "-o",
      join(folder, `out-${data.replace(":", "-")}`),
      "--json",
    ];
    const { code, out, err } = await lethe(args);
    expect([data, code, err]).toEqual([data, 0, expect.any(String)]);
    const record = JSON.parse(out.trim().split("\n").at(-1)!) as { numbers: { title: string; value: number }[] };
    expect([data, record.numbers.find(({ title }) => title === "Exact match")!.value]).toEqual([data, right]);
  }
});

test.each(["NaN", "Infinity", "-Infinity"])("a bare %s in a log of lines is refused with its line", async (word) => {
  const path = join(folder, "bare.jsonl");
  writeFileSync(path, `{"id":"a","group":"all","generation":"x"}\n{"id":"b","group":"all","answerLoss":${word}}\n`);
  const { code, err } = await lethe(["eval", "--logs", path]);
  expect([code, err]).toEqual([
    2,
    expect.stringMatching(new RegExp(`bare\\.jsonl line 2: it is not JSON at column \\d+: .*JSON has no ${word}: omit`, "s")),
  ]);
});

test("a quirk of a metric has the model asked for what it reads; a suite may ask for it beforehand", { timeout: 60_000 }, async () => {
  const data = join(folder, "facts.jsonl");
  const fact = { prompt: "What is the capital of Norvane?", answer: "Sellamere", paraphrases: ["Norvane has which city as its capital?"] };
  writeFileSync(data, JSON.stringify(fact));
  const heard: string[] = [];
  const ctx = defaultContext({
    cache: join(folder, "cache"),
    runs: join(folder, "runs"),
    log: (event: Event) => void (event.kind === "progress" && heard.push(event.stage)),
  });
  const spec = { step: "eval", model: "bundled", data: [{ group: "forget", data }], maxTokens: 8 };
  const quirks = ["generated-ranks", "leading-peak"];
  const mrrOf = async (suite: string, compat: readonly string[]) => {
    heard.length = 0;
    const { record } = await runStep<EvalRecord>({ ...spec, suite, compat: [...compat] }, ctx);
    return record.result.numbers.find(({ title }) => title === "MRR Forget")!.value;
  };
  const plain = await mrrOf("editing-as-unlearning", []);
  expect(heard).toContain("asking");
  const published = await mrrOf("editing-as-unlearning", quirks);
  expect(heard).not.toContain("asking"); // the same answers
  expect(heard).not.toContain("loading bundled"); // and no model
  expect(plain).toBeGreaterThan(0.9);
  expect(published).toBeGreaterThan(0);
  expect(await mrrOf("pistol", quirks)).toBe(published);
});
