/** What a sink is: a format in which another tool reads an evaluation. */
import { visible } from "../../base/visible.ts";
import { findingOf } from "../assertions.ts";
import { shownValue } from "../eval.ts";
import { type Asserted, type EvalRecord, type JudgedNumber, nameOf, type SampleRecord } from "../../run/record.ts";

/** An evaluation as sinks see it. */
export interface Evaluation {
  readonly record: EvalRecord;
  readonly asserted: readonly Asserted[];
  readonly rows: readonly SampleRecord[];
  /** 32 hexadecimal digits: the id of the run, or of the log and how it was judged. */
  readonly id: string;
  /** Its name for people. */
  readonly name: string;
  /** What was asked for on the command line, by field. */
  readonly asked: Readonly<Record<string, unknown>>;
  /** When it ended, in milliseconds since 1970, and how many seconds it took. */
  readonly ended: number;
  readonly seconds: number;
  /** The version of Lethe. */
  readonly version: string;
}

/** The content of files by their paths, with `/` between the parts. */
export type Files = Readonly<Record<string, string | Uint8Array>>;

/** What a sink writes below a folder. */
export interface Written {
  /** The folder that belongs to this evaluation alone, below the destination; what is there is replaced. */
  readonly own?: { readonly path: string; readonly files: Files };
  /** Files that other evaluations may share; they are written only if they are not there. */
  readonly shared?: Files;
  /** Other files; they are replaced. */
  readonly files?: Files;
}

/** A sink writes one file, or files below a folder. */
export type Sink = {
  readonly name: string;
  /** The tool that reads it. */
  readonly title: string;
  readonly doc: string;
} & (
  | { readonly to: "FILE"; readonly write: (evaluation: Evaluation) => string }
  | { readonly to: "FOLDER"; readonly write: (evaluation: Evaluation, folder: string) => Written }
);

/** Declares a sink. */
export const defineSink = <S extends Sink>(sink: S): S => sink;

/** How a tool limits names. */
export interface Naming {
  /** Characters that are replaced. */
  readonly bad: RegExp;
  readonly instead: string;
  /** The bytes that a part between slashes may have. */
  readonly most: number;
}

/**
 * Names that a tool accepts, in the order of the given ones. No two are alike where upper and lower case are one, and none is the folder of
 * another: `a` beside `a/b` becomes `a/all`. A part that would be empty or only dots gets the replacement.
 */
export function namesFor(names: readonly string[], naming: Naming): string[] {
  const plain = names.map((name) => plainName(name, naming));
  const folders = new Set(plain.flatMap(foldersOf));
  const taken = new Set<string>();
  return plain.map((name) => {
    const flat = name.replaceAll("/", naming.instead);
    let free = folders.has(name) ? `${name}/all` : name;
    for (let times = 1; isTaken(free, taken); times++) free = times === 1 ? flat : `${flat}${naming.instead}${times}`;
    const key = free.toLowerCase();
    for (const at of [key, ...foldersOf(key).map((folder) => `${folder}/`)]) taken.add(at);
    return free;
  });
}

function plainName(name: string, { bad, instead, most }: Naming): string {
  const parts = visible(name)
    .split("/")
    .map((part) => clipped(part.replaceAll(bad, instead), most));
  return parts.map((part) => (/^\.*$/.test(part) ? instead : part)).join("/");
}

/** Whether a name is there, is a folder of one that is there, or lies below one. Folders end in `/`. */
function isTaken(name: string, taken: ReadonlySet<string>): boolean {
  const key = name.toLowerCase();
  return taken.has(key) || taken.has(`${key}/`) || foldersOf(key).some((folder) => taken.has(folder));
}

/** The folders of a name: `a` and `a/b` of `a/b/c`. */
const foldersOf = (name: string): string[] =>
  name
    .split("/")
    .slice(0, -1)
    .map((_, i, parts) => parts.slice(0, i + 1).join("/"));

/** The first characters of a text that fit into so many bytes of UTF-8. */
function clipped(text: string, most: number): string {
  let [fits, bytes] = ["", 0];
  for (const character of text) {
    bytes += Buffer.byteLength(character);
    if (bytes > most) break;
    fits += character;
  }
  return fits;
}

/** A number with its name, and the bounds of its interval as names and numbers. */
export interface Measure {
  readonly name: string;
  readonly value: number;
}

/** Every number of an evaluation and its bounds, each with its name and the given endings for the bounds. */
export function measuresOf({ numbers }: EvalRecord, lower: string, upper: string): Measure[] {
  const unlike = new Map(numbers.map((number) => [nameOf(number), number])); // a suite may have a number twice, under two titles
  return [...unlike].flatMap(([name, { value, interval }]) => [
    { name, value },
    ...(interval
      ? [
          { name: `${name}${lower}`, value: interval.low },
          { name: `${name}${upper}`, value: interval.high },
        ]
      : []),
  ]);
}

/** What decides an evaluation, by name: what was asked for, and the ids and hashes of what was used. */
export function settingsOf({ record, asked, id, version }: Evaluation): Record<string, unknown> {
  const { suite, run, log, reference, compat } = record;
  const all = {
    ...asked,
    suite,
    compat,
    run_id: id,
    lethe: version,
    model_id: run?.model,
    edit_ids: run?.edits,
    questions: run?.samples,
    dtype: run?.dtype,
    log: `${log.format}, ${log.rows} rows, ${log.hash}`,
    reference: reference ? `${reference.name}, ${reference.rows} rows, ${reference.hash}` : undefined,
  };
  return Object.fromEntries(
    Object.entries(all).filter(([, value]) => value !== undefined && !(Array.isArray(value) && value.length === 0)),
  );
}

/** What a reader must know beside the numbers: assertions, what is left out, warnings, and how each metric can mislead. */
export function noteOf({ record, asserted }: Evaluation): string {
  const { missing, warnings, numbers, collapse } = record;
  const caveats = new Map(numbers.map(({ metric, caveat }) => [metric, caveat]));
  return [
    ...asserted.map((one) => `${one.holds ? "holds" : "FAILS"}: ${one.assertion} (${findingOf(one)})`),
    ...(collapse?.isCollapsed ? ["The model has collapsed: it is worse on the forget rows than a guess."] : []),
    ...missing.map(({ title, reason }) => `Left out: ${title}, ${reason}.`),
    ...warnings.map((text) => `Warning: ${text}`),
    ...[...caveats].map(([metric, caveat]) => `${metric}: ${caveat}`),
  ].join("\n\n");
}

/** A number with its interval as a text. */
export const valueLine = ({ value, interval, rows }: JudgedNumber): string =>
  `${shownValue(value)}${interval ? ` (${shownValue(interval.low)} to ${shownValue(interval.high)})` : ""}, ${rows} row${rows === 1 ? "" : "s"}`;

/** The whole record with its assertions as a JSON file; numbers that JSON does not have are texts. */
export const recordFile = ({ record, asserted }: Evaluation): string =>
  `${JSON.stringify({ ...record, assertions: asserted }, (_, of: unknown) => (typeof of === "number" && !Number.isFinite(of) ? String(of) : of), 1)}\n`;
