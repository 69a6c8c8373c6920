/** Evaluation: computes a suite's metrics over the rows of a log, and returns a record. */
import { existsSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import { mean } from "../base/array.ts";
import { type Context, defaultContext } from "../base/context.ts";
import { readJson } from "../base/store.ts";
import { type Column, judge, type Suite, type Verdict } from "../eval/judge.ts";
import { type Log, openLog } from "../eval/open-log.ts";
import { registry as formats } from "../eval/logs/registry.ts";
import type { LogFormat } from "../eval/logs/log.ts";
import type { SampleRecord } from "../eval/metric.ts";
import { suiteNames, suiteOf } from "../eval/suite.ts";
import { differencesOf, flipsOf, pairsOf } from "../eval/compare.ts";
import type { Collapse, CompareRecord, EvalRecord, JudgedNumber, LogCard, Measured } from "./record.ts";

export interface EvalOptions {
  /** The log of the model that the judged one is compared with. */
  readonly reference?: string;
  readonly compat?: readonly string[];
  /** A suite other than the log's own. */
  readonly suite?: string;
  /** The size of the vocabulary, for the loss of a random guess. */
  readonly vocabulary: number;
  /** Everything that the rows depend on, if Lethe measured them. */
  readonly run?: Measured;
}

/** All suites, each with its purpose. */
export const suites = (ctx: Context): { readonly name: string; readonly doc: string }[] => suiteNames().map((name) => suiteOf(name, ctx));

/** The files of a measured run as `-o` names them. In the run's own folder the record is {@link EVALUATION}. */
export const [SAMPLES, RECORD, SPEC] = ["samples.jsonl", "record.json", "spec.json"];
export const EVALUATION = "evaluation.json";

/** The number of a text beside the questions (`--text`). */
export const TEXT_COLUMN: Column = { title: "Perplexity", metric: "perplexity", group: "text" };

/** The default suite of a log: the one for which its rows were measured, otherwise that of its format. */
function suiteFor({ path, format }: Log, name: string | undefined, ctx: Context): Suite {
  const spec = join(basename(path) === SAMPLES ? dirname(path) : path, SPEC);
  const own = name === undefined && existsSync(spec) ? (readJson(spec, "log") as Partial<Measured>).suite : name;
  return suiteOf(own ?? format.suite, ctx);
}

/** Judges the log of another tool's run. A doubt about a number is logged as a warning and is stored in the record. */
export function judgeLog(path: string, { reference, ...options }: EvalOptions, ctx: Context): EvalRecord {
  const log = openLog(path);
  return judgeRows(log, reference === undefined ? undefined : openLog(reference), options, ctx);
}

/** Judges rows from any source. */
export function judgeRows(
  log: Log,
  reference: Log | undefined,
  options: Omit<EvalOptions, "reference" | "suite"> & { readonly suite?: string | Suite },
  ctx: Context,
): EvalRecord {
  const { compat = [], vocabulary } = options;
  const suite = typeof options.suite === "object" ? options.suite : suiteFor(log, options.suite, ctx);
  const verdicts = judge(log.rows, suite.columns, { compat, ctx, ...(reference && { reference: reference.rows }) });
  const said = verdicts.flatMap((verdict) =>
    "score" in verdict ? (verdict.score.warnings ?? []).map((text) => `${verdict.column.title}: ${text}`) : [],
  );
  const warnings = [...log.notes, ...said];
  for (const text of warnings) ctx.log({ kind: "warning", who: log.name, text });
  return {
    suite: suite.name,
    run: options.run ?? null,
    log: cardOf(log),
    reference: reference ? cardOf(reference) : null,
    compat: [...compat],
    numbers: verdicts.flatMap(numberOf),
    missing: verdicts.flatMap((verdict) => ("missing" in verdict ? [{ ...placeOf(verdict.column), reason: verdict.missing }] : [])),
    ...(Object.keys(log.omitted).length > 0 && { omitted: log.omitted }),
    collapse: collapseOf(log.rows, vocabulary),
    stated: log.stated,
    warnings,
  };
}

const cardOf = ({ name, path, format, hash, rows }: Log): LogCard => ({ name, path, format: format.name, hash, rows: rows.length });

const placeOf = ({ title, metric, group }: Column): Pick<JudgedNumber, "title" | "metric" | "group"> => ({
  title,
  metric,
  group: group ?? null,
});

/** A verdict as a number of a record; none if there is no score. */
export function numberOf(verdict: Verdict): JudgedNumber[] {
  if ("missing" in verdict) return [];
  const { column, metric, score, compat, rows } = verdict;
  const { value, interval, bySample, details = {} } = score;
  return [
    {
      ...placeOf(column),
      rows,
      value,
      interval,
      better: column.better ?? metric.better,
      caveat: metric.caveat,
      compat,
      details,
      nanRows: Object.values(bySample).filter(Number.isNaN).length,
      bySample,
    },
  ];
}

/** Rows without a number are left out of the mean. Their count is stored next to it. */
function collapseOf(rows: readonly SampleRecord[], vocabulary: number): Collapse | null {
  const all = rows.flatMap(({ group, answerLoss }) => (group === "forget" && answerLoss !== undefined ? [answerLoss] : []));
  const losses = all.filter((loss) => !Number.isNaN(loss));
  if (losses.length === 0) return null;
  const [loss, guess] = [mean(losses), Math.log(vocabulary)];
  return { isCollapsed: loss > guess, loss, guess, vocabulary, nanRows: all.length - losses.length };
}

/** Two logs over the same rows, in the columns of the first one's suite or of another. */
export function compareLogs(first: string, second: string, suiteName?: string, ctx: Context = defaultContext()): CompareRecord {
  const [a, b] = [openLog(first), openLog(second)];
  const suite = suiteFor(a, suiteName, ctx);
  const pairs = pairsOf(a.rows, b.rows);
  return {
    suite: suite.name,
    a: cardOf(a),
    b: cardOf(b),
    common: pairs.length,
    numbers: differencesOf(pairs, suite.columns, ctx).map(({ column, ...rest }) => ({ ...placeOf(column), ...rest })),
    flips: flipsOf(pairs).map(({ id, kind, surprise, a: mine, b: other }) => ({
      id,
      kind,
      surprise,
      question: mine.question ?? "",
      answer: mine.answer ?? "",
      a: mine.generation ?? "",
      b: other.generation ?? "",
    })),
  };
}

/** A log format that can be written. */
export type WritableLog = LogFormat & Required<Pick<LogFormat, "write">>;

/** The log formats in which rows can be written. */
export const writableLogs = (): WritableLog[] =>
  Object.values<LogFormat>(formats).filter((format): format is WritableLog => format.write !== undefined);

/** The rows of a log. */
export const rowsIn = (path: string): readonly SampleRecord[] => openLog(path).rows;
