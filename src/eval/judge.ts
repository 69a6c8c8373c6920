/** Applies a suite's metrics to rows: each metric once, after the metrics that it reads, to the rows of its group. */
import { defaultContext } from "../base/context.ts";
import { onShelf, type Plugged } from "../base/plugin.ts";
import { type Field, type Metric, type SampleRecord, type Score, unknownQuirk } from "./metric.ts";
import { registry } from "./metrics/registry.ts";

/** A number of a report: a metric over the rows of one group, of several (`forget+holdout`), or of all. */
export interface Column {
  readonly title: string;
  /** A metric's id. */
  readonly metric: string;
  readonly group?: string;
  /** Which value is better in this column, if it differs from the metric: for answers to forget, a lower one; for some, that of the comparison run. */
  readonly better?: Wish;
}
export type Wish = "higher" | "lower" | "reference";

/** A suite: its columns in the order in which they are published. */
export interface Suite {
  readonly name: string;
  /** Its purpose, in one line. */
  readonly doc: string;
  readonly columns: readonly Column[];
  /** Fields that are measured although no column reads them, so that the same answers can be judged with quirks too. */
  readonly fields?: readonly Field[];
  /** The default comparison run of a measured model: `base`, the same model without its edits. */
  readonly against?: "base";
}

export interface JudgeOptions {
  /** The rows of the comparison run. */
  readonly reference?: readonly SampleRecord[];
  /** Quirks of the published code; each is passed to the metrics that declare it. */
  readonly compat?: readonly string[];
  /** Whose plugins may bring metrics. */
  readonly ctx?: Plugged;
}

/** A column's score, or why there is none. */
export type Verdict = { readonly column: Column; readonly metric: Metric; readonly compat: readonly string[]; readonly rows: number } & (
  | { readonly score: Score }
  | { readonly missing: string }
);

/** Every metric by its id. */
export const metricsOf = (ctx: Plugged): Readonly<Record<string, Metric>> => onShelf<Metric>("metric", registry, ctx);

/**
 * The scores of the columns, in order. A column is omitted, with a reason, if the log has none of its rows, lacks its field in all rows, or
 * has no comparison run that the metric needs. A row that lacks a field that other rows have is refused; so is an undeclared compat name.
 */
export function judge(rows: readonly SampleRecord[], columns: readonly Column[], options: JudgeOptions = {}): Verdict[] {
  const { reference, compat = [], ctx = defaultContext() } = options;
  const metrics = metricsOf(ctx);
  checkCompat(columns, compat, ctx);
  const done = new Map<string, Score | string>();

  /** The score under a key, or why there is none. */
  const scoreOf = (key: string): Score | string => {
    const before = done.get(key);
    if (before !== undefined) return before;
    const made = scored(key);
    done.set(key, made);
    return made;
  };
  const scored = (key: string): Score | string => {
    const [name, group] = key.split("@") as [string, string | undefined];
    const metric = metrics[name]!;
    const own = ofGroup(rows, group);
    if (metric.reads.length > 0 && own.length === 0) return group === undefined ? "there are no rows" : `there are no rows of ${group}`;
    const field = metric.reads.find((name) => own.length > 0 && own.every((row) => row[name] === undefined));
    if (field) return `the rows have no ${field}`;
    if (metric.compares === true && !reference) return "there is no comparison run";
    const scores: Record<string, Score> = {};
    for (const other of metric.after) {
      const score = scoreOf(other);
      if (typeof score === "string") return `there is no ${other}: ${score}`;
      scores[other] = score;
    }
    return metric.score({
      rows: own,
      scores,
      compat: quirksOf(metric, compat),
      ...(reference && metric.compares && { reference: ofGroup(reference, group) }),
    });
  };

  return columns.map((column) => {
    const metric = metrics[column.metric]!;
    const result = scoreOf(keyOf(column));
    const about = {
      column,
      metric,
      compat: quirksBefore(column.metric, compat, metrics),
      rows: metric.reads.length === 0 ? rows.length : ofGroup(rows, column.group).length,
    };
    return typeof result === "string" ? { ...about, missing: result } : { ...about, score: result };
  });
}

/** Refuses a compat name that no column declares. */
export function checkCompat(columns: readonly Column[], compat: readonly string[], ctx: Plugged): void {
  const known = [...new Set(metricsIn(columns, ctx).flatMap((metric) => Object.keys(metric.compat ?? {})))];
  for (const quirk of compat) if (!known.includes(quirk)) unknownQuirk("--compat", quirk, known);
}

/** The groups of a suite's columns; empty if the columns use all rows. */
export const groupsOf = ({ columns }: Suite): string[] => [...new Set(columns.flatMap(({ group }) => group?.split("+") ?? []))];

/** The names of the metrics of a suite's columns, the metrics before them included. */
export const metricNamesOf = ({ columns }: Pick<Suite, "columns">, ctx: Plugged): string[] => [
  ...new Set(metricsIn(columns, ctx).map(({ name }) => name)),
];

/** The fields that are measured for a suite: those that its metrics read, those before them included, its own, and those of the quirks. */
export function fieldsOf({ columns, fields = [] }: Suite, compat: readonly string[], ctx: Plugged): Field[] {
  const metrics = metricsIn(columns, ctx);
  const ofQuirks = metrics.flatMap(({ compatReads = {} }) => compat.flatMap((quirk) => compatReads[quirk] ?? []));
  return [...new Set([...metrics.flatMap(({ reads }) => reads), ...fields, ...ofQuirks])];
}

const keyOf = ({ metric, group }: Column): string => (group === undefined ? metric : `${metric}@${group}`);

function ofGroup(rows: readonly SampleRecord[], group: string | undefined): readonly SampleRecord[] {
  if (group === undefined) return rows;
  const names = group.split("+");
  return rows.filter((row) => row.group !== undefined && names.includes(row.group));
}

const quirksOf = (metric: Metric, compat: readonly string[]): string[] =>
  compat.filter((quirk) => Object.hasOwn(metric.compat ?? {}, quirk));

type Metrics = Readonly<Record<string, Metric>>;

/** A metric and all that it comes after. */
const withThoseBefore = (name: string, metrics: Metrics): string[] => [
  name,
  ...metrics[name]!.after.flatMap((key) => withThoseBefore(key.split("@")[0]!, metrics)),
];

/** The metrics of some columns, those before them included. */
function metricsIn(columns: readonly Column[], ctx: Plugged): Metric[] {
  const metrics = metricsOf(ctx);
  return columns.flatMap(({ metric }) => withThoseBefore(metric, metrics)).map((name) => metrics[name]!);
}

/** The quirks that went into a metric's number, its own and those of what it reads. */
const quirksBefore = (name: string, compat: readonly string[], metrics: Metrics): string[] => [
  ...new Set(withThoseBefore(name, metrics).flatMap((other) => quirksOf(metrics[other]!, compat))),
];
