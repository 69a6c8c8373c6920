/** Steps of a sequence on disk: one line and one file for each step. The file holds only the arrays that are new in this step. */
import { copyFileSync, existsSync, mkdirSync, readdirSync, rmdirSync, rmSync, statSync } from "node:fs";
import { join } from "node:path";
import { z } from "zod";
import type { NdArray } from "../base/array.ts";
import { type Growth, growthOf, isSame, joined, partOf } from "../base/blocks.ts";
import { fail } from "../base/fail.ts";
import { canonical, type Hash, hash } from "../base/hash.ts";
import { appendLine, openSafetensors, readLines, writeAtomic, writeSafetensors } from "../base/store.ts";
import type { Step } from "./sequence.ts";

const LINES = "steps.jsonl";
/** The files that a log writes, and what a killed process leaves of them. */
const OURS = /^(\.(steps\.jsonl|\d{6}\.safetensors)\..+\.part|steps\.jsonl|\d{6}\.safetensors)$/;
const fileOf = (index: number): string => `${String(index).padStart(6, "0")}.safetensors`;

const head = z.object({ about: z.string() });
const row = z.object({
  label: z.unknown(),
  /** null: those of the step before. */
  words: z.unknown(),
  evidence: z.record(z.string(), z.unknown()).optional(),
  replaces: z.literal(true).optional(),
  /** The names of its own arrays. */
  own: z.array(z.string()),
  /** Standing arrays that changed: complete, or only the part by which they grew. The others are unchanged. */
  stands: z.record(z.string(), z.union([z.literal("whole"), z.object({ axis: z.int().min(0), side: z.enum(["head", "tail"]) })])),
  /** The names of standing arrays that were removed. */
  gone: z.array(z.string()),
});
type Row = z.infer<typeof row>;

/**
 * A standing array, and the steps whose files hold it. The first file has the complete array, and each later file has a part by which it
 * grew.
 */
interface Standing {
  array: NdArray | undefined;
  readonly files: number[];
  grows?: Growth;
}

/**
 * The finished steps of a sequence in a folder, in order. When `append` returns, its step is on disk, whole. A process that is killed before
 * that leaves the steps before it. An array that a later step replaced is deleted, so that the folder grows by what is new alone.
 */
export class StepLog {
  /** How many steps it holds. */
  length = 0;
  private readonly folder: string;
  private readonly about: string;
  private readonly standing = new Map<string, Standing>();
  /** The number of arrays in a step's file that are still needed. */
  private readonly uses = new Map<number, number>();
  private words = "";
  private isBegun = false;

  private constructor(folder: string, about: string) {
    [this.folder, this.about] = [folder, about];
  }

  /**
   * The log in a folder and its steps, as far as `accepts` takes their labels. Only the last step has its `standing`. Steps that were kept
   * about something else do not count. Where an array is missing, no step counts.
   */
  static open(folder: string, about: string, accepts: (label: unknown, index: number) => boolean): { log: StepLog; steps: Step[] } {
    const [first, ...lines] = existsSync(join(folder, LINES)) ? readLines(join(folder, LINES)) : [];
    const log = new StepLog(folder, about);
    if (head.safeParse(first).data?.about !== about) return { log, steps: [] };
    const rows: Row[] = [];
    for (const [i, line] of lines.entries()) {
      const { data } = row.safeParse(line);
      if (!data)
        return fail(
          "journal",
          `${join(folder, LINES)} line ${i + 2}`,
          "a line that Lethe wrote",
          "Remove the folder and run again.",
          "unavailable",
        );
      if (!accepts(data.label, i)) break;
      log.note(data);
      rows.push(data);
    }
    const isThere = [...log.uses.keys()].every((index) => existsSync(log.file(index)));
    return isThere ? { log, steps: log.read(rows) } : { log: new StepLog(folder, about), steps: [] };
  }

  /** Stores one more step, with a label that identifies it. */
  append({ words, evidence, replaces, own, standing }: Step, label: unknown): void {
    this.begin();
    const arrays: [string, NdArray][] = [...own].map(([name, array]) => [`own/${name}`, array]);
    const stands: Row["stands"] = {};
    for (const [name, array] of standing) {
      const known = this.standing.get(name);
      if (known && isSame(known.array!, array)) continue;
      const growth = known && growthOf(known.array!, array);
      const isGrown = growth && (!known.grows || canonical(known.grows) === canonical(growth));
      stands[name] = isGrown ? growth : "whole";
      arrays.push([`standing/${name}`, isGrown ? newPart(known.array!, array, growth) : array]);
    }
    const gone = [...this.standing.keys()].filter((name) => !standing.has(name));
    const said = canonical(words);
    const line: Row = {
      label,
      words: said === this.words ? null : words,
      ...(evidence && { evidence: evidence as Record<string, unknown> }),
      ...(replaces && { replaces }),
      own: [...own.keys()],
      stands,
      gone,
    };
    if (arrays.length > 0) writeSafetensors(this.file(this.length), arrays);
    appendLine(join(this.folder, LINES), line);
    this.words = said;
    for (const index of this.note(line)) rmSync(this.file(index), { force: true });
    for (const [name, array] of standing) this.standing.get(name)!.array = array;
  }

  /** The number of steps of a log; 0 if the folder has none. */
  static lengthOf(folder: string): number {
    return existsSync(join(folder, LINES)) ? Math.max(0, readLines(join(folder, LINES)).length - 1) : 0;
  }

  /** A hash of what a log holds. */
  static idOf(folder: string): Hash {
    return hash(readLines(join(folder, LINES)));
  }

  /** Copies a log, so that another sequence continues it. The lines come last: without them the copy does not count. */
  static copy(from: string, to: string): void {
    if (!existsSync(join(from, LINES))) return;
    StepLog.remove(to);
    mkdirSync(to, { recursive: true });
    for (const name of readdirSync(from)) if (OURS.test(name) && name !== LINES) copyFileSync(join(from, name), join(to, name));
    copyFileSync(join(from, LINES), join(to, LINES));
  }

  /** Deletes what a log wrote into a folder, and then the folder if it is empty. */
  static remove(folder: string): void {
    if (!existsSync(folder)) return;
    if (!statSync(folder).isDirectory()) return rmSync(folder);
    const names = readdirSync(folder);
    for (const name of names) if (OURS.test(name)) rmSync(join(folder, name), { force: true });
    if (names.every((name) => OURS.test(name))) rmdirSync(folder);
  }

  private file(index: number): string {
    return join(this.folder, fileOf(index));
  }

  /** Before the first step is appended: deletes what another log left in the folder, and what this one no longer needs. */
  private begin(): void {
    if (this.isBegun) return;
    this.isBegun = true;
    const path = join(this.folder, LINES);
    if (this.length === 0) {
      StepLog.remove(this.folder);
      appendLine(path, { about: this.about });
      return;
    }
    const lines = readLines(path);
    const kept = lines.slice(0, this.length + 1);
    if (kept.length < lines.length) writeAtomic(path, kept.map((line) => `${JSON.stringify(line)}\n`).join(""));
    const used = new Set([LINES, ...[...this.uses.keys()].map(fileOf)]);
    for (const name of readdirSync(this.folder)) if (OURS.test(name) && !used.has(name)) rmSync(join(this.folder, name), { force: true });
  }

  /** Reads one more line. Returns the steps whose files are no longer needed. */
  private note({ own, stands, gone }: Row): number[] {
    const index = this.length++;
    const before: number[] = [];
    const use = (by: number): void => void this.uses.set(index, (this.uses.get(index) ?? 0) + by);
    if (own.length > 0) use(1);
    for (const name of gone) {
      before.push(...(this.standing.get(name)?.files ?? []));
      this.standing.delete(name);
    }
    for (const [name, how] of Object.entries(stands)) {
      const known = this.standing.get(name);
      use(1);
      if (how !== "whole" && known) {
        known.files.push(index);
        known.grows = how;
      } else {
        before.push(...(known?.files ?? []));
        this.standing.set(name, { array: undefined, files: [index] });
      }
    }
    const free = new Set<number>();
    for (const file of before) {
      const left = this.uses.get(file)! - 1;
      this.uses.set(file, left);
      if (left === 0) free.add(file);
    }
    for (const file of free) this.uses.delete(file);
    return [...free];
  }

  /** The steps of the lines that were counted in, with their arrays. */
  private read(rows: readonly Row[]): Step[] {
    const wanted = new Map<number, string[]>();
    for (const [name, { files }] of this.standing) for (const index of files) wanted.set(index, [...(wanted.get(index) ?? []), name]);
    const pieces = new Map<string, NdArray[]>([...this.standing.keys()].map((name) => [name, []]));
    let words: unknown;
    const steps = rows.map((line, i): Step => {
      words = line.words ?? words;
      const names = [...line.own.map((name) => `own/${name}`), ...(wanted.get(i) ?? []).map((name) => `standing/${name}`)];
      const read = readArrays(this.file(i), names);
      for (const name of wanted.get(i) ?? []) pieces.get(name)!.push(read.get(`standing/${name}`)!);
      return {
        words: words as Step["words"],
        ...(line.evidence && { evidence: line.evidence }),
        ...(line.replaces && { replaces: line.replaces }),
        own: new Map(line.own.map((name) => [name, read.get(`own/${name}`)!])),
        standing: new Map(),
      };
    });
    this.words = canonical(words);
    const standing = [...this.standing].map(([name, place]) => {
      const parts = pieces.get(name)!;
      place.array = place.grows ? joined(place.grows.side === "tail" ? parts : parts.toReversed(), place.grows.axis) : parts[0]!;
      return [name, place.array] as const;
    });
    return steps.map((step, i) => (i === steps.length - 1 ? { ...step, standing: new Map(standing) } : step));
  }
}

/** The part by which an array grew. */
function newPart(before: NdArray, after: NdArray, { axis, side }: Growth): NdArray {
  const [was, is] = [before.shape[axis]!, after.shape[axis]!];
  return side === "tail" ? partOf(after, axis, was, is) : partOf(after, axis, 0, is - was);
}

/** Arrays of a file by name; none of a file that nobody asks for. */
function readArrays(path: string, names: readonly string[]): Map<string, NdArray> {
  if (names.length === 0) return new Map();
  const opened = openSafetensors(path);
  try {
    return new Map(names.map((name) => [name, (opened.tensors.get(name) ?? missing(path, name)).read()]));
  } finally {
    opened.close();
  }
}

const missing = (path: string, name: string): never =>
  fail("journal", `no "${name}" in ${path}`, "every array of its step", "Remove the folder and run again.", "unavailable");
