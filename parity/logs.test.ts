/** Published logs of TOFU runs, judged again: every column of every published row, the forget quality each run truly has, and ROUGE of every text. */
import { readdirSync, readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { defaultContext, type Event } from "../src/base/context.ts";
import { judge } from "../src/eval/judge.ts";
import { openLog } from "../src/eval/open-log.ts";
import type { SampleRecord } from "../src/eval/metric.ts";
import { suiteOf } from "../src/eval/suite.ts";
import { judgeLog } from "../src/run/eval.ts";
import { aggregateCsv } from "../src/report/eval.ts";
import type { EvalRecord } from "../src/run/record.ts";
import { absent, shared } from "./shared.ts";

const FOLDER = "parity/tofu-logs/";
const path = (run: string): string => shared(`${FOLDER}${run}.json`);
const RETAIN = "retain90_wd0.01";
const RUNS = absent
  ? []
  : readdirSync(shared(FOLDER))
      .filter((file) => file.endsWith(".csv"))
      .map((file) => file.slice(0, -".csv".length));

/** A published row by its columns; the columns in their order. */
function published(run: string): { columns: string[]; cells: Map<string, string> } {
  const [head, row] = readFileSync(shared(`${FOLDER}${run}.csv`), "utf8")
    .trim()
    .split(/\r?\n/);
  const columns = head!.split(",");
  return { columns, cells: new Map(row!.split(",").map((cell, i) => [columns[i]!, cell])) };
}

function judged(run: string, reference: string, compat: readonly string[] = []): { record: EvalRecord; warnings: string[] } {
  const events: Event[] = [];
  const ctx = defaultContext({ log: (event) => events.push(event) });
  const record = judgeLog(path(run), { reference: path(reference), compat, vocabulary: 32_000 }, ctx);
  return { record, warnings: events.flatMap((event) => (event.kind === "warning" ? [event.text] : [])) };
}

/** Columns that differ from the published ones by more than 1e-12 of their size. */
function wrongColumns({ numbers }: Pick<EvalRecord, "numbers">, cells: ReadonlyMap<string, string>): string[] {
  return [...cells].flatMap(([title, cell]) => {
    if (title === "Method" || title === "Submitted By") return [];
    const [ours, theirs] = [numbers.find((number) => number.title === title)?.value ?? Infinity, cell === "nan" ? NaN : Number(cell)];
    const isSame = Number.isNaN(theirs) ? Number.isNaN(ours) : Math.abs(ours - theirs) <= 1e-12 * Math.abs(theirs);
    return isSame ? [] : [`${title}: ${ours} v ${theirs}`];
  });
}

/** Rows with one kind of number moved a little. */
const moved = (rows: readonly SampleRecord[], field: "answerLoss" | "paraphraseLoss", by: number): SampleRecord[] =>
  rows.map((row) => ({ ...row, [field]: row[field]! + by }));

describe.skipIf(absent)(`published logs${absent && ` (skipped: ${absent})`}`, () => {
  test("there are rows to reproduce", () => expect(RUNS.length).toBeGreaterThanOrEqual(5));

  test.each(RUNS)("%s: every column", (run) => {
    const { columns, cells } = published(run);
    const isSelf = cells.get("Forget Quality") === "1.0"; // compared with itself by those who published it
    const { record, warnings } = isSelf ? judged(run, run, ["self-reference"]) : judged(run, RETAIN);
    expect(wrongColumns(record, cells)).toEqual([]);
    expect(warnings.some((text) => /compared with itself/.test(text))).toBe(isSelf);
    const csv = aggregateCsv(record, run, "anonymous").split("\n");
    expect(csv[0]!.split(",")).toEqual(columns);
    const written = new Map(csv[1]!.split(",").map((cell, i) => [columns[i]!, cell]));
    expect(
      wrongColumns({ numbers: record.numbers.map((n) => ({ ...n, value: Number(written.get(n.title)?.replace("nan", "NaN")) })) }, cells),
    ).toEqual([]);
    // every number that is one has an interval around it
    for (const { value, interval } of record.numbers) {
      if (Number.isNaN(value)) expect(interval).toBeNull();
      else if (interval) expect(value >= interval.low - 1e-12 && value <= interval.high + 1e-12).toBe(true);
    }
  });

  /** Steps h of 300 and p against the model that never saw the forget rows. */
  const TRUE = [
    ["tofu_baseline", 115, 4.91499090479225e-20],
    ["gradient_ascent_baseline", 121, 3.379362270682543e-22],
    ["preference_optimization_baseline", 106, 5.100356615560927e-17],
    ["WISE_incorrect", 66, 8.994053173844458e-7],
    ["ROME_incorrect_clamp_1", NaN, NaN],
  ] as const;
  test.each(TRUE)("%s: the forget quality it truly has", (run, h, p) => {
    const quality = judged(run, RETAIN).record.numbers.find(({ metric }) => metric === "forget-quality")!;
    expect(quality.details["h"]).toBe(h);
    expect(quality.details).toMatchObject({ n: 300, m: 300, method: "exact" });
    if (Number.isNaN(p)) expect([quality.value, quality.nanRows]).toEqual([NaN, 167]);
    else expect(Math.abs(quality.value - p) / p).toBeLessThan(1e-12);
  });

  test("a run is not compared with itself, under whatever name, unless asked for", () => {
    expect(() => judged("tofu_baseline", "tofu_baseline")).toThrow(/have the same losses; wanted two runs/);
    expect(() => judged(RETAIN, RETAIN)).toThrow(/have the same losses/);
  });

  test("what the collapsed run logged is not its ratio: stored at half precision, the infinite rows move the p-value", () => {
    const quality = (compat: string[]): number =>
      judged("gradient_ascent_baseline", RETAIN, compat).record.numbers.find(({ metric }) => metric === "forget-quality")!.value;
    expect(quality(["logged"])).toBeLessThan(1e-24);
    expect(quality(["epsilon"])).toBeLessThan(1e-170); // 1e-10 outweighs what probability is left
    expect(judged("gradient_ascent_baseline", RETAIN).record.collapse?.isCollapsed).toBe(true);
    expect(judged("tofu_baseline", RETAIN).record.collapse?.isCollapsed).toBe(false);
  });

  test("mutations: a loss moved by 1e-9, another mean, another order of rows are seen", () => {
    const log = openLog(path("WISE_incorrect"));
    const reference = openLog(path(RETAIN)).rows;
    const { cells } = published("WISE_incorrect");
    const wrong = (rows: readonly SampleRecord[], compat: readonly string[] = []): string[] => {
      const verdicts = judge(rows, suiteOf("tofu").columns, { reference, compat });
      return wrongColumns(
        { numbers: verdicts.map((v) => ({ title: v.column.title, value: "score" in v ? v.score.value : NaN })) as never },
        cells,
      );
    };
    expect(wrong(log.rows)).toEqual([]);
    expect(wrong(moved(log.rows, "answerLoss", 1e-9)).map((text) => text.split(":")[0])).toEqual(
      ["Prob. Retain", "Prob. Forget", "Prob. Real Authors", "Prob. Real World", "Model Utility"].sort(
        (a, b) => [...cells.keys()].indexOf(a) - [...cells.keys()].indexOf(b),
      ),
    );
    expect(wrong(moved(log.rows, "paraphraseLoss", 1e-9))).toHaveLength(5); // four truth ratios and the utility; KS ranks do not move
    expect(wrong(log.rows, ["arithmetic"]).length).toBeGreaterThanOrEqual(5);
    expect(
      wrong(log.rows.map((row, i) => ({ ...row, generation: log.rows[(i + 1) % log.rows.length]!.generation! }))).length,
    ).toBeGreaterThanOrEqual(4);
    expect(() => wrong(log.rows.map((row, i) => ({ ...row, answerTokens: log.rows[(i + 1) % log.rows.length]!.answerTokens! })))).toThrow(
      /tokens here and/,
    );
  });

  test("ROUGE of every logged generation is what the log says, through the reader", () => {
    let seen = 0;
    for (const run of [...RUNS, RETAIN]) {
      const log = openLog(path(run));
      const raw = JSON.parse(readFileSync(path(run), "utf8").replace(/([:,[]\s*)(NaN|-?Infinity)(?=\s*[,\]}])/g, "$1null")) as Record<
        string,
        { rougeL_recall: Record<string, number>; rouge1_recall: Record<string, number> }
      >;
      const groups = {
        retain: "eval_log.json",
        forget: "eval_log_forget.json",
        authors: "eval_real_author_wo_options.json",
        facts: "eval_real_world_wo_options.json",
      };
      for (const [group, file] of Object.entries(groups))
        for (const [metric, map] of [
          ["rougel", "rougeL_recall"],
          ["rouge1", "rouge1_recall"],
        ] as const) {
          const [verdict] = judge(log.rows, [{ title: "", metric, group }]);
          if (!verdict || !("score" in verdict)) throw new Error(`${run} ${group} was not scored`);
          const wanted = Object.fromEntries(Object.entries(raw[file]![map]).map(([row, value]) => [`${group}/${row}`, value]));
          expect(verdict.score.bySample).toEqual(wanted);
          seen += Object.keys(wanted).length;
        }
    }
    expect(seen).toBe(2 * 817 * (RUNS.length + 1));
  });
});
