/** What is known of every step of a grid: from the index where it answers, otherwise by resolving the step. Nothing is run. */
import { existsSync, statSync } from "node:fs";
import { join } from "node:path";
import { checkAbort, type Context } from "../../base/context.ts";
import { translated } from "../../base/errno.ts";
import { isAborted, LetheError } from "../../base/fail.ts";
import { hash } from "../../base/hash.ts";
import { isRecord } from "../../base/store.ts";
import { buildStamp } from "../build.ts";
import { given, type NestedSpec } from "../fields.ts";
import { finishedIn, RECORD, recordIn, secondsOf, timingsIn, writeChosen } from "../folder.ts";
import type { Finished, RunRecord } from "../record.ts";
import { codeFor, prepare, type Ready } from "../run.ts";
import { newShared, type Shared } from "../shared.ts";
import type { Resolved } from "../step.ts";
import { Addresses } from "./address.ts";
import { type Cost, type Entry, INDEX, IndexFile } from "./index-file.ts";
import { kindOf } from "./kinds.ts";
import type { Unit } from "./unfold.ts";

/** What is known of a step. */
export interface Known {
  readonly state: "finished" | "failed" | "begun" | "open";
  /** Why there is no result. */
  readonly reason?: string;
  /** It cannot be resolved, so no run of it exists. */
  readonly isRefused?: true;
  /** It was not tried, because a step that it needs failed. */
  readonly isSkipped?: true;
  /** The run, if it is finished. */
  readonly run?: Found;
  /** The code of an older build that finished it, if this build has not. */
  readonly older?: string;
  /** The training that it does, for the estimate of memory. */
  readonly training?: Resolved<unknown>["training"];
}

/** Whether a step is still to be done. */
export const isTodo = ({ state }: Known): boolean => state === "open" || state === "begun";

/** A finished run. */
export interface Found {
  readonly id: string;
  readonly path: string;
  readonly code: string;
  /** The hash of its results, and their names. */
  readonly gives: string;
  readonly results: readonly string[];
  readonly cost: Cost;
  /** Whether every result is there; committed records have no weights. */
  readonly isWhole: boolean;
}

/** A line of an index, the files behind its code, and their present code. */
export interface Listed {
  readonly entry: Entry;
  readonly files: readonly string[];
  readonly now: string | undefined;
}

/** Where a board looks. */
export interface BoardOptions {
  /** Folders of committed records, which are read and never written. */
  readonly records?: readonly string[];
  /** Whether a run of an older code counts, by its code and the present one. */
  readonly counts?: (old: string, now: string | undefined) => boolean;
}

const NOT_RUN = "it has not been run to its end";

/** The steps of a grid with their states. */
export class Board {
  readonly units: readonly Unit[];
  private readonly byKey: ReadonlyMap<string, Unit>;
  readonly ctx: Context;
  readonly shared: Shared = newShared();
  readonly index: IndexFile;
  readonly addresses: Addresses;
  /** Steps that were resolved, because the index did not answer. */
  resolved = 0;
  private readonly options: Required<BoardOptions>;
  private readonly committed: readonly IndexFile[];
  private readonly states = new Map<string, Known>();
  private readonly checked = new Set<string>();
  /** Present codes by the list of files. */
  private readonly codes = new Map<readonly string[], string>();
  private readonly build = buildStamp();

  constructor(units: readonly Unit[], ctx: Context, { records = [], counts = () => false }: BoardOptions = {}) {
    [this.units, this.ctx] = [units, ctx];
    this.byKey = new Map(units.map((unit) => [unit.key, unit]));
    this.options = { records, counts };
    this.index = new IndexFile(join(ctx.runs, INDEX.runs));
    this.committed = records.map((folder) => new IndexFile(join(folder, INDEX.records)));
    this.addresses = new Addresses(ctx, this.shared, this.index);
  }

  /** What is known of a step that was looked at. */
  of(key: string): Known {
    return this.states.get(key)!;
  }

  set(key: string, known: Known): void {
    this.states.set(key, known);
  }

  /** Looks at every step. */
  async lookAll(): Promise<void> {
    const { units, ctx } = this;
    for (const [i, unit] of units.entries()) {
      checkAbort(ctx, "grid");
      this.set(unit.key, await this.look(unit));
      if (i % 50 === 0) ctx.log({ kind: "progress", stage: "looking for what is done", done: i, total: units.length, unit: "steps" });
    }
    ctx.log({ kind: "progress", stage: "looking for what is done", done: units.length, total: units.length, unit: "steps" });
    this.index.flush();
  }

  /** Looks at a step whose needs were looked at. */
  async look(unit: Unit): Promise<Known> {
    const address = await this.addresses.of(unit);
    const needs = unit.needs.map((key) => this.of(key));
    const failed = needs.find(({ state }) => state === "failed");
    if (failed) return { state: "failed", isSkipped: true, reason: failed.reason! };
    const isReady = needs.every(({ run }) => run);
    const listed = address === undefined || !isReady ? undefined : await this.listed(address, this.from(unit));
    if (listed) return { state: "finished", run: listed };
    const older = address === undefined ? undefined : await this.olderAt(address);
    const told = isReady && needs.every(({ run }) => run!.isWhole) ? await this.resolve(unit) : { state: "open" as const, reason: NOT_RUN };
    return told.run || older === undefined ? told : { ...told, older };
  }

  /** Resolves a step from the results of its needs. */
  ready({ spec, keys }: Unit, ctx: Context, force = true): Promise<Ready> {
    const make = async (nested: NestedSpec): Promise<Finished> => this.load(keys.get(nested)!);
    return prepare(spec, ctx, { force, shared: this.shared, make });
  }

  /** The hashes of the results that a step is made from. */
  private from(unit: Unit): string[] {
    return unit.needs.map((key) => this.of(key).run!.gives);
  }

  /** A finished run with its record. Its files are checked once. */
  async load(key: string): Promise<Finished> {
    const { run } = this.of(key);
    if (!run) throw new Error("a step before it is not finished");
    const isChecked = this.checked.has(run.path) || !run.isWhole;
    const record = isChecked ? recordIn(run.path) : await finishedIn(run.path);
    if (!record) throw new LetheError("grid", `${run.path} was changed`, "the result of a run", "Run the grid again.", "unavailable");
    this.checked.add(run.path);
    return { record, path: run.path, isFound: true };
  }

  /** Takes in a run that has just ended. */
  async note(unit: Unit, ready: Ready, { record, path }: Pick<Finished, "record" | "path">): Promise<Found> {
    const found = foundAt(path, record);
    this.checked.add(path);
    await this.enter(unit, ready, found);
    this.set(unit.key, { state: "finished", run: found });
    this.index.flush();
    return found;
  }

  /** Writes a finished run into the index. A run whose work must be done each time is not written. */
  private async enter(unit: Unit, { code, files, resolved }: Ready, { id, gives, results, cost, path, isWhole }: Found): Promise<void> {
    const of = await this.addresses.of(unit);
    if (of === undefined || resolved.isRepeated) return;
    const rows = this.rowsOf(unit);
    this.index.add({ code, files });
    this.index.add({
      of,
      id,
      code,
      from: this.from(unit),
      gives,
      results,
      kind: kindOf(unit.spec),
      cost,
      ...(rows !== undefined && { rows }),
      ...(isWhole && given({ stamp: stampOf(path, results) })),
    });
  }

  /**
   * The number of rows that a step works on, as far as the steps that make its data and its limit tell it. A sequence that goes on where another
   * one ended works on the new rows alone. Questions that are merged are one row.
   */
  rowsOf(unit: Unit): number | undefined {
    const own = this.rowsGiven(unit);
    const earlier = isRecord(unit.spec["continue"]) ? this.byKey.get(unit.keys.get(unit.spec["continue"]) ?? "") : undefined;
    const before = earlier && this.rowsGiven(earlier);
    const rows = own === undefined || before === undefined ? own : Math.max(0, own - before);
    const { merge } = unit.spec;
    return rows !== undefined && typeof merge === "number" ? Math.ceil(rows / merge) : rows;
  }

  /** The rows that a step is given: those of the steps that make its data, and at most its limit. */
  private rowsGiven({ spec, keys }: Unit): number | undefined {
    const told: number[] = [];
    const visit = (part: unknown): void => {
      if (Array.isArray(part)) return part.forEach(visit);
      if (!isRecord(part)) return;
      const key = keys.get(part);
      if (key === undefined) return Object.values(part).forEach(visit);
      const rows = this.of(key).run?.cost.rows ?? this.limitOf(key);
      if (rows !== undefined) told.push(rows);
    };
    visit(spec["data"]);
    const limit = typeof spec["limit"] === "number" ? spec["limit"] : undefined;
    if (told.length === 0) return limit;
    const sum = told.reduce((total, rows) => total + rows, 0);
    return limit === undefined ? sum : Math.min(sum, limit);
  }

  /** The number of rows that a step makes at most, if its limit tells it. */
  private limitOf(key: string): number | undefined {
    const limit = this.byKey.get(key)?.spec["limit"];
    return typeof limit === "number" ? limit : undefined;
  }

  /** The run that the index has for an address, made from these results, by this build or one that counts. */
  private async listed(address: string, from: readonly string[]): Promise<Found | undefined> {
    const entries = this.entriesAt(address).filter(
      ({ entry }) => entry.from.length === from.length && entry.from.every((one, i) => one === from[i]),
    );
    const current = entries.find(({ entry, now }) => now === entry.code);
    const chosen = current ?? entries.find(({ entry, now }) => this.options.counts(entry.code, now));
    return chosen && this.thereAt(chosen.entry);
  }

  /** The line of the index for a finished step, with the files and the present code behind it. */
  async entryOf(unit: Unit): Promise<Listed | undefined> {
    const { run } = this.of(unit.key);
    const address = await this.addresses.of(unit);
    return run && address !== undefined ? this.entriesAt(address).find(({ entry }) => entry.id === run.id) : undefined;
  }

  /** Whether an index has any run. */
  get hasRuns(): boolean {
    return [this.index, ...this.committed].some(({ isEmpty }) => !isEmpty);
  }

  /** Whether an index has a run for an address that is there, whatever it was made from and by which build. */
  hasRunAt(address: string): boolean {
    return this.entriesAt(address).some(
      ({ entry: { id } }) => existsSync(join(this.ctx.runs, id, RECORD)) || this.committedAt(id) !== undefined,
    );
  }

  private entriesAt(address: string): Listed[] {
    const found = (at: string): Listed[] =>
      [this.index, ...this.committed].flatMap((index) =>
        index.at(at).flatMap((entry) => {
          const files = index.filesOf(entry.code);
          return files ? [{ entry, files, now: this.codeNow(files) }] : [];
        }),
      );
    const older = this.addresses.older.get(address);
    return older === undefined ? found(address) : [...found(address), ...found(older).filter(({ entry, now }) => entry.code !== now)];
  }

  /** The present code of some files; undefined if one of them is gone. */
  private codeNow(files: readonly string[]): string | undefined {
    const before = this.codes.get(files);
    if (before !== undefined) return before;
    const code = this.newCode(files);
    if (code !== undefined) this.codes.set(files, code);
    return code;
  }

  private newCode(files: readonly string[]): string | undefined {
    const behind = files.join(" ");
    const known = this.index.codeIn(this.build, behind);
    if (known !== undefined) return known;
    try {
      const code = codeFor(files, this.shared);
      this.index.add({ build: this.build, behind, code });
      return code;
    } catch (error) {
      if (error instanceof LetheError) return undefined;
      throw error;
    }
  }

  /** The code of a run that another build made for an address. */
  private async olderAt(address: string): Promise<string | undefined> {
    const entries = this.entriesAt(address);
    if (entries.some(({ entry, now }) => now === entry.code)) return undefined;
    for (const { entry } of entries) if (await this.thereAt(entry)) return entry.code;
    return undefined;
  }

  /** The run of an entry, if it is there and its files are as they were. Files that were written since are checked by their hashes. */
  private async thereAt(entry: Entry): Promise<Found | undefined> {
    const { id, code, gives, results, cost, stamp } = entry;
    const own = join(this.ctx.runs, id);
    const now = stampOf(own, results);
    if (now === undefined) return this.committedAt(id);
    if (now !== stamp) {
      const record = await finishedIn(own);
      if (!record || hashOf(record) !== gives) return undefined;
      this.index.add({ ...entry, stamp: now });
    }
    this.checked.add(own);
    return { id, path: own, code, gives, results, cost, isWhole: true };
  }

  /** A committed record: every file that is there has its hash. */
  private committedAt(id: string): Found | undefined {
    for (const folder of this.options.records) {
      const path = join(folder, id);
      const record = recordIn(path);
      if (record?.status === "success") return foundAt(path, record);
    }
    return undefined;
  }

  private async resolve(unit: Unit): Promise<Known> {
    this.resolved++;
    try {
      const ready = await this.ready(unit, { ...this.ctx, log: () => {} });
      const known = await this.knownAt(ready);
      if (known.run) await this.enter(unit, ready, known.run);
      if (known.run?.path === ready.path && ready.chosen) writeChosen(ready.path, ready.chosen); // it may have been run by the method's name
      return known.run ? known : { ...known, ...given({ training: ready.resolved.training }) };
    } catch (error) {
      return { state: "failed", isRefused: true, reason: reasonOf(error) };
    }
  }

  /** The record of a run that was found finished. */
  async recordAt({ path, id }: Pick<Ready, "path" | "id">): Promise<Pick<Finished, "record" | "path">> {
    const at = recordIn(path) ? path : this.committedAt(id)!.path;
    return { record: recordIn(at)!, path: at };
  }

  /** What the folder of a resolved step says. */
  async knownAt({ path, id }: Pick<Ready, "path" | "id">): Promise<Known> {
    const record = recordIn(path);
    if (record?.status === "error") return { state: "failed", reason: record.error!.message };
    const kept = await finishedIn(path);
    if (kept) {
      this.checked.add(path);
      return { state: "finished", run: foundAt(path, kept) };
    }
    const committed = this.committedAt(id);
    if (committed) return { state: "finished", run: committed };
    return { state: record ? "begun" : "open", reason: NOT_RUN };
  }
}

/** The message of an error. An abort ends the grid. */
export function reasonOf(error: unknown): string {
  if (isAborted(error)) throw error;
  const told = translated(error) ?? error;
  return told instanceof LetheError ? told.message : String(told);
}

/** The hash of a run's results. */
const hashOf = ({ outputs }: RunRecord): string => hash(outputs).slice(0, 32);

/** A run with what it took. */
function foundAt(path: string, record: RunRecord): Found {
  const { id, code, outputs } = record;
  const isWhole = Object.keys(outputs).every((name) => existsSync(join(path, name)));
  return { id, path, code, gives: hashOf(record), results: Object.keys(outputs), cost: costOf(path, record), isWhole };
}

function costOf(path: string, { result, outputs }: RunRecord): Cost {
  const timings = timingsIn(path);
  const told = isRecord(result) ? result : {};
  const sizes = Object.keys(outputs).map((name) => statSync(join(path, name), { throwIfNoEntry: false })?.size ?? 0);
  const there = sizes.reduce((sum, size) => sum + size, statSync(join(path, RECORD)).size);
  const bytes = typeof told["bytes"] === "number" ? Math.max(told["bytes"], there) : there;
  const rows = typeof told["rows"] === "number" ? told["rows"] : undefined;
  return { seconds: secondsOf(timings), peak: timings?.peak ?? 0, bytes, ...(rows !== undefined && { rows }) };
}

/** The sizes and times of a run's files, which change when one of them is written; undefined if there is no record. */
function stampOf(path: string, results: readonly string[]): string | undefined {
  const record = statSync(`${path}/${RECORD}`, { throwIfNoEntry: false });
  if (!record) return undefined;
  let told = `${record.size} ${record.mtimeMs}`;
  for (const name of results) {
    const stat = statSync(`${path}/${name}`, { throwIfNoEntry: false });
    told += stat ? `, ${stat.size} ${stat.mtimeMs}` : ", -";
  }
  return told;
}
