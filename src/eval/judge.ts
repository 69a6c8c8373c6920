/** Rows through a suite's metrics: each asked once, after those it reads, of the rows it is for. */
import { type Field, type Metric, type SampleRecord, type Score, unknownQuirk } from "./metric.ts";
import { type Name, registry } from "./metrics/registry.ts";

/** A number of a report: a metric, of the rows of one group, of several (`forget+holdout`), or of all. */
export interface Column {
  readonly title: string;
  readonly metric: Name;
  readonly group?: string;
  /** What to wish of the number here, where it is not what the metric says: of an answer that must go, less; of some, what the reference has. */
  readonly better?: Wish;
}
export type Wish = "higher" | "lower" | "reference";

/** A suite: its columns in the order in which they are published. */
export interface Suite {
  readonly name: string;
  /** What it is for, in a line. */
  readonly doc: string;
  readonly columns: readonly Column[];
  /** What a measured model is compared with where nothing else is named: `base`, the same model without its edits. */
  readonly against?: "base";
}

export interface JudgeOptions {
  /** The rows of the model to compare with. */
  readonly reference?: readonly SampleRecord[];
  /** References' quirks to reproduce; each goes to the metrics that declare it. */
  readonly compat?: readonly string[];
}

/** A column's score, or why there is none. */
export type Verdict = { readonly column: Column; readonly metric: Metric; readonly compat: readonly string[]; readonly rows: number } & (
  | { readonly score: Score }
  | { readonly missing: string }
);

const METRICS: Readonly<Record<string, Metric>> = registry;

/**
 * The scores of the columns, in order. A column whose rows or field the log does not have at all, or whose metric needs a reference and has
 * none, is left out and says why; a row that lacks what its neighbours have is refused, and so is a compat name that no column declares.
 */
export function judge(rows: readonly SampleRecord[], columns: readonly Column[], { reference, compat = [] }: JudgeOptions = {}): Verdict[] {
  checkCompat(columns, compat);
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
    const { metric, group } = parsed(key);
    const own = ofGroup(rows, group);
    if (metric.reads.length > 0 && own.length === 0) return group === undefined ? "there are no rows" : `there are no rows of ${group}`;
    const field = metric.reads.find((name) => own.length > 0 && own.every((row) => row[name] === undefined));
    if (field) return `the rows have no ${field}`;
    if (metric.compares === true && !reference) return "there is no reference";
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
    const metric = METRICS[column.metric]!;
    const result = scoreOf(keyOf(column));
    const about = {
      column,
      metric,
      compat: quirksBefore(column.metric, compat),
      rows: metric.reads.length === 0 ? rows.length : ofGroup(rows, column.group).length,
    };
    return typeof result === "string" ? { ...about, missing: result } : { ...about, score: result };
  });
}

/** Refuses a compat name that no column declares. */
export function checkCompat(columns: readonly Column[], compat: readonly string[]): void {
  const known = [
    ...new Set(columns.flatMap(({ metric }) => withThoseBefore(metric)).flatMap((name) => Object.keys(METRICS[name]!.compat ?? {}))),
  ];
  for (const quirk of compat) if (!known.includes(quirk)) unknownQuirk("--compat", quirk, known);
}

/** The groups that a suite's columns are of; none where they are of all rows. */
export const groupsOf = ({ columns }: Suite): string[] => [...new Set(columns.flatMap(({ group }) => group?.split("+") ?? []))];

/** The metrics that a suite's columns need, those before them included. */
export const metricsOf = ({ columns }: Suite): string[] => [...new Set(columns.flatMap(({ metric }) => withThoseBefore(metric)))].sort();

/** The fields that a suite's metrics read, those before them included. */
export const fieldsOf = ({ columns }: Suite): Field[] => [
  ...new Set(columns.flatMap(({ metric }) => withThoseBefore(metric)).flatMap((name) => METRICS[name]!.reads)),
];

const keyOf = ({ metric, group }: Column): string => (group === undefined ? metric : `${metric}@${group}`);

function parsed(key: string): { metric: Metric; group: string | undefined } {
  const [name, group] = key.split("@");
  return { metric: METRICS[name!]!, group };
}

function ofGroup(rows: readonly SampleRecord[], group: string | undefined): readonly SampleRecord[] {
  if (group === undefined) return rows;
  const names = group.split("+");
  return rows.filter((row) => row.group !== undefined && names.includes(row.group));
}

const quirksOf = (metric: Metric, compat: readonly string[]): string[] =>
  compat.filter((quirk) => Object.hasOwn(metric.compat ?? {}, quirk));

/** A metric and all that it comes after. */
const withThoseBefore = (name: string): string[] => [name, ...METRICS[name]!.after.flatMap((key) => withThoseBefore(key.split("@")[0]!))];

/** The quirks that went into a metric's number, its own and those of what it reads. */
const quirksBefore = (name: string, compat: readonly string[]): string[] => [
  ...new Set(withThoseBefore(name).flatMap((other) => quirksOf(METRICS[other]!, compat))),
];
