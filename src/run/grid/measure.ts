/** The rows by which methods are chosen, made from the records of a grid: edits, and the evaluations that judged them. */
import { existsSync } from "node:fs";
import { basename, join } from "node:path";
import { groupsBy, mean } from "../../base/array.ts";
import { canonical } from "../../base/hash.ts";
import { isRecord } from "../../base/store.ts";
import type { Change } from "../../edit/edit.ts";
import type { NestedSpec } from "../fields.ts";
import { resultIn, secondsOf, timingsIn } from "../folder.ts";
import type { MeasuredRow } from "../measured.ts";
import { everyNeed } from "../needed.ts";
import { readEdits } from "../open.ts";
import type { EvalRecord, RunTimings } from "../record.ts";
import type { Finished } from "../run.ts";
import { forgetSpec } from "../specs/forget.ts";
import type { Forgotten } from "../steps/forget.ts";
import type { Board } from "./board.ts";
import { intervalOf, layersOf, numbersIn } from "./numbers.ts";
import type { Unit } from "./unfold.ts";

/** The titles of the numbers in the suite for forgetting. */
const TITLES = { target: "Target Forget", gone: "Gone Forget", rephrased: "Gone Rephrased", others: "Known Others" } as const;

/** Digits of a code's hash, as reports show it. */
const CODE = 12;

/** An edit that was judged. */
interface Judged {
  readonly spec: NestedSpec;
  readonly edit: Finished;
  readonly forgotten: Forgotten;
  readonly judged: Finished;
}

/** A row for each method, mode, number of requests, settings and model that the finished steps of a grid judged. */
export async function measuredRows(from: string, board: Board): Promise<MeasuredRow[]> {
  const all: Judged[] = [];
  const specs = new Map(board.units.map(({ key, spec }) => [key, spec]));
  for (const unit of board.units) {
    const key = editOf(unit);
    if (key === undefined || board.of(unit.key).state !== "finished") continue;
    const spec = specs.get(key)!;
    const [edit, judged] = [await board.load(key), await board.load(unit.key)];
    if (isAlone(spec) && numbersOf(judged).some(({ title }) => title === TITLES.gone))
      all.push({ spec, edit, forgotten: edit.record.result as Forgotten, judged });
  }
  return [...groupsBy(all, subjectOf).values()].map((group) => rowOf(from, group));
}

/** The unit of the edit that an evaluation judges, if it judges one edit. */
function editOf({ spec, keys }: Unit): string | undefined {
  const { edit, suite } = spec;
  const [one, ...others] = suite !== undefined && Array.isArray(edit) ? (edit as unknown[]) : [];
  return others.length === 0 && isRecord(one) && one["step"] === forgetSpec.name ? keys.get(one) : undefined;
}

/** Whether an edit was made for the unedited model, with a question in each request. */
const isAlone = ({ edit, merge }: NestedSpec): boolean => merge === undefined && (!Array.isArray(edit) || edit.length === 0);

const numbersOf = ({ record }: Finished): EvalRecord["numbers"] => (record.result as EvalRecord).numbers;

const sizeOf = ({ forgotten }: Judged): number => forgotten.edits[0]!.requests.length;

/** What a row is about. */
const subjectOf = (one: Judged): string => {
  const { method, mode, model } = one.edit.record.spec;
  return canonical([method, mode, model, sizeOf(one), settingsOf(one.spec)]);
};

/** Parameters and quirks that the grid gave. */
function settingsOf({ set, compat }: NestedSpec): Record<string, unknown> {
  const quirks = Array.isArray(compat) && compat.length > 0 ? { compat } : {};
  return { ...(isRecord(set) ? set : {}), ...quirks };
}

function rowOf(from: string, group: readonly Judged[]): MeasuredRow {
  const [first] = group as [Judged, ...Judged[]];
  const { spec, model, code } = { ...first.edit.record, model: first.edit.record.spec["model"] };
  const evaluations = new Map(group.map(({ judged }) => [judged.path, { ...judged, seed: String(spec["seed"] ?? "") }]));
  const shares = sharesOf([...evaluations.values()]);
  const edits = [...new Map(group.map((one) => [one.edit.path, one])).values()].map((one) => ({
    ...one,
    timings: timingsIn(one.edit.path),
  }));
  const times = edits.flatMap(({ timings }) => timings ?? []);
  return {
    method: spec["method"] as string,
    mode: spec["mode"] as MeasuredRow["mode"],
    requests: sizeOf(first),
    set: settingsOf(first.spec),
    given: everyNeed().flatMap(({ name }) => (first.spec[name] === undefined || first.spec[name] === null ? [] : [name])),
    ...shares,
    seconds: medianOf(
      edits.map(({ timings, forgotten }) => secondsOf(timings) / forgotten.edits.reduce((sum, { requests }) => sum + requests.length, 0)),
    ),
    peak: times.length === 0 ? null : Math.max(...times.map(({ peak }) => peak)),
    bytes: medianOf(edits.map(({ forgotten }) => forgotten.bytes / forgotten.edits.length)),
    ...changeOf(first.edit),
    model: { name: nameOf(first.spec), id: typeof model === "string" ? model : null },
    machine: machineOf(times[0]),
    code: code.slice(0, CODE),
    date:
      times
        .map(({ ended }) => ended.slice(0, 10))
        .sort()
        .at(-1) ?? null,
    from,
  };
}

type Shares = Pick<MeasuredRow, keyof typeof TITLES | "interval" | "facts">;

/** The shares over all evaluations of a row. A number that no evaluation has is null. */
function sharesOf(runs: readonly (Finished & { readonly seed: string })[]): Shares {
  const of = (title: string) =>
    numbersIn({ runs: runs.filter((run) => numbersOf(run).some((one) => one.title === title)), wanted: runs.length, absent: [] }, title)
      .found;
  const share = (title: string): number | null => {
    const values = of(title).map(({ number }) => number.value);
    return values.length === 0 || values.some(Number.isNaN) ? null : rounded(mean(values));
  };
  const others = of(TITLES.others);
  const interval = intervalOf(others, layersOf(others));
  return {
    facts: of(TITLES.gone).reduce((sum, { number }) => sum + number.rows, 0),
    target: share(TITLES.target),
    gone: share(TITLES.gone),
    rephrased: share(TITLES.rephrased),
    others: share(TITLES.others),
    interval: interval && [rounded(interval.low), rounded(interval.high)],
  };
}

/** A number with the digits that a row shows: a share in hundredths of a percent. */
const rounded = (value: number): number => Number(value.toFixed(4));

/** The kind of an edit's change, and whether it has a low rank. Null where the weights were not kept. */
function changeOf({ path, record: { layout } }: Finished): Pick<MeasuredRow, "kind" | "isLowRank"> {
  const file = layout && "file" in layout ? join(path, resultIn(layout)!) : undefined;
  if (file === undefined || !existsSync(file)) return { kind: null, isLowRank: null };
  const changes: readonly Change[] = readEdits(file).map(({ change }) => change);
  const { kind } = changes[0]!;
  const isLowRank = changes.every((change) => change.kind === "delta" && Object.values(change.weights).every((delta) => "outer" in delta));
  return { kind, isLowRank: kind === "delta" ? isLowRank : null };
}

/** The middle of some amounts, of two the larger; null if there is none, or it is 0 because it was not noted. */
function medianOf(values: readonly number[]): number | null {
  const middle = [...values].sort((a, b) => a - b)[values.length >> 1];
  return middle === undefined || !(middle > 0) ? null : rounded(middle);
}

/** The last part of a model's path or id. */
const nameOf = ({ model }: NestedSpec): string =>
  typeof model === "string"
    ? basename(model)
    : isRecord(model)
      ? `${nameOf(model as unknown as NestedSpec)}, ${String(model["step"])}`
      : "unknown";

const machineOf = (timings: RunTimings | undefined): string | null => {
  if (timings === undefined) return null;
  const { processor, cores, threads } = timings.machine;
  return `${cores} core${cores === 1 ? "" : "s"} of ${processor}, ${threads} thread${threads === 1 ? "" : "s"}`;
};
