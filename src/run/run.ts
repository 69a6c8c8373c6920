/** Runs a step: the same spec, code and thread count give the same folder, which is made once and used again. */
import { cpus } from "node:os";
import { existsSync } from "node:fs";
import { join } from "node:path";
import type { Context, Event } from "../base/context.ts";
import { fail, LetheError, nearest } from "../base/fail.ts";
import { canonical, hash } from "../base/hash.ts";
import { isRecord } from "../base/store.ts";
import { ownCode } from "./code.ts";
import type { NestedSpec } from "./fields.ts";
import {
  clearWork,
  hashFile,
  hashOutputs,
  holdFolder,
  outputsIn,
  publish,
  recordIn,
  refuseOccupied,
  timingsIn,
  writeRecord,
  writeSpec,
  writeTimings,
} from "./folder.ts";
import type { Failure, RunRecord } from "./record.ts";
import { newShared, type Shared } from "./shared.ts";
import type { AnyStep, Lent, Resolved } from "./step.ts";
import { readValues } from "./spec.ts";
import { registry } from "./steps/registry.ts";

const STEPS: Readonly<Record<string, AnyStep>> = registry as unknown as Readonly<Record<string, AnyStep>>;

export interface RunOptions {
  /** Where the result goes besides the run's folder: a file or a folder, as the step has it. */
  readonly out?: string;
  /** Replace what is at `out`; go on where the memory estimate says no. */
  readonly force?: boolean;
  /** Remove unfinished work of an earlier attempt first. */
  readonly fresh?: boolean;
  /** How an error calls a field; by default its key. */
  readonly nameOf?: (key: string) => string;
  /** What steps that are run together remember. */
  readonly shared?: Shared;
}

export interface Finished<R = unknown> {
  readonly record: RunRecord & { readonly result: R };
  /** The run's folder. */
  readonly path: string;
  /** It was there already: nothing was computed. */
  readonly isFound: boolean;
}

/** A step by its name; fails with the nearest. */
export function stepOf(name: string): AnyStep {
  const near = nearest(name, Object.keys(STEPS));
  return (
    (Object.hasOwn(STEPS, name) ? STEPS[name] : undefined) ??
    fail("run", `no step "${name}"`, `one of ${Object.keys(STEPS).join(", ")}`, near ? `Did you mean "${near}"?` : "")
  );
}

/** Every step, in the order of names. */
export const steps = (): readonly AnyStep[] => Object.values(STEPS);

/** A spec that is ready to be run: resolved once, with its id. */
export interface Ready {
  readonly step: AnyStep;
  readonly resolved: Resolved<unknown>;
  readonly id: string;
  readonly code: string;
  readonly spec: RunRecord["spec"];
  readonly path: string;
}

/**
 * Runs a step, and first the steps that its spec names in the place of inputs. A run that was finished before is found; one that was
 * stopped goes on. Events go to the context's log.
 */
export async function run<R = unknown>(spec: NestedSpec, ctx: Context, options: RunOptions = {}): Promise<Finished<R>> {
  const shared = options.shared ?? newShared();
  const key = canonical(spec);
  const known = options.out === undefined ? shared.finished.get(key) : undefined;
  if (known) return known as Finished<R>;
  const ready = await prepare(spec, ctx, { ...options, shared });
  const finished = await carryOut(ready, ctx, { ...options, shared });
  shared.finished.set(key, { ...finished, isFound: true });
  return finished as Finished<R>;
}

/** How the steps that a spec names are had: they are run, unless somebody only looks. */
type Make = (spec: NestedSpec) => Promise<Finished>;

/** Resolves a spec once; the steps that it names are run first. */
export async function prepare(spec: NestedSpec, ctx: Context, options: RunOptions & { readonly make?: Make } = {}): Promise<Ready> {
  const { force = false, nameOf, shared = newShared() } = options;
  const { make = (nested) => run(nested, ctx, { force, shared }) } = options;
  const step = stepOf(spec.step);
  const made = new Map<string, string>();
  const values = readValues(step.name, step.fields, (await withMade(spec, make, made)) as NestedSpec, nameOf);
  const lent: Lent = { ctx, force, madeBy: (path) => made.get(path), shared };
  const resolved = await step.resolve(values as never, lent);
  const code = codeFor([`run/steps/${step.name}`, ...resolved.uses], shared);
  const identity: RunRecord["spec"] = {
    step: step.name,
    ...resolved.identity,
    threads: ctx.threads,
    ...(resolved.plugins?.length && { plugins: resolved.plugins }),
  };
  const id = hash(identity, code).slice(0, 32);
  return { step, resolved, id, code, spec: identity, path: join(ctx.runs, id) };
}

/** The hash of the code behind some files, worked out once. */
function codeFor(files: readonly string[], { codes }: Shared): string {
  const key = files.join(" ");
  const code = codes.get(key) ?? ownCode(files);
  codes.set(key, code);
  return code;
}

/** Specs inside a spec replaced by the paths of what they make. */
async function withMade(value: unknown, make: Make, made: Map<string, string>, isTop = true): Promise<unknown> {
  if (Array.isArray(value)) {
    const parts: unknown[] = [];
    for (const part of value) parts.push(await withMade(part, make, made, false)); // one after the other: each may fill the machine
    return parts;
  }
  if (!isRecord(value)) return value;
  if (!isTop && typeof value["step"] === "string") {
    const { record, path } = await make(value as unknown as NestedSpec);
    const layout = record.layout!;
    const at = "file" in layout ? join(path, layout.file) : "folder" in layout ? join(path, layout.folder) : path;
    made.set(at, record.id);
    return at;
  }
  const parts: [string, unknown][] = [];
  for (const [key, part] of Object.entries(value)) parts.push([key, await withMade(part, make, made, false)]);
  return Object.fromEntries(parts);
}

/** Does the work of a spec that is ready, or finds it done, and puts the result at `out`. */
export async function carryOut(ready: Ready, ctx: Context, options: RunOptions = {}): Promise<Finished> {
  const { out, force = false, fresh = false, shared = newShared() } = options;
  const { path, step } = ready;
  if (out !== undefined) await refuseOccupied(out, recordIn(path), path, force, step.name);
  const { folder, release } = holdFolder(path, step.name);
  try {
    const kept = ready.resolved.isRepeated ? undefined : await finishedIn(path);
    if (fresh) clearWork(path);
    const record = kept ?? (await work(ready, folder, ctx, { force, shared }));
    if (out !== undefined) publish(path, record.layout!, out);
    return { record, path, isFound: kept !== undefined };
  } finally {
    release();
  }
}

/** What is known of a spec before anything is run. */
export type Looked =
  | { readonly state: "finished"; readonly finished: Finished }
  /** It failed when it was run last; it is tried again. */
  | { readonly state: "failed"; readonly record: RunRecord }
  /** It was begun and stopped, or never begun. */
  | { readonly state: "begun" | "open" };

/** Looks for the run of a spec, and for those that it names; runs nothing. Fails as the step's resolution does. */
export async function look(spec: NestedSpec, ctx: Context, shared: Shared): Promise<Looked> {
  const known = shared.finished.get(canonical(spec));
  if (known) return { state: "finished", finished: known };
  let isOpen = false;
  const make: Make = async (nested) => {
    const found = await look(nested, ctx, shared);
    if (found.state === "finished") return found.finished;
    isOpen = true;
    throw new Error("a step before it is not finished");
  };
  let ready: Ready;
  try {
    ready = await prepare(spec, ctx, { force: true, shared, make });
  } catch (error) {
    if (isOpen) return { state: "open" };
    throw error;
  }
  const record = recordIn(ready.path);
  if (record?.status === "error") return { state: "failed", record };
  const kept = await finishedIn(ready.path);
  if (!kept) return { state: record ? "begun" : "open" };
  const finished: Finished = { record: kept, path: ready.path, isFound: true };
  shared.finished.set(canonical(spec), finished);
  return { state: "finished", finished };
}

/** The record of a run that succeeded and whose files are as it left them. */
async function finishedIn(path: string): Promise<RunRecord | undefined> {
  const record = recordIn(path);
  if (record?.status !== "success") return undefined;
  if (outputsIn(path).length !== Object.keys(record.outputs).length) return undefined;
  for (const [name, sum] of Object.entries(record.outputs)) {
    const file = join(path, name);
    if (!existsSync(file) || (await hashFile(file)) !== sum) return undefined;
  }
  return record;
}

async function work(
  ready: Ready,
  folder: ReturnType<typeof holdFolder>["folder"],
  ctx: Context,
  { force, shared }: { readonly force: boolean; readonly shared: Shared },
): Promise<RunRecord> {
  const { path, step, id, code, spec, resolved } = ready;
  const note = attemptAt(path, ctx);
  const started: RunRecord = { schema: "lethe/record/1", id, step: step.name, spec, code, status: "started", outputs: {}, result: null };
  writeSpec(path, spec);
  writeRecord(path, started);
  try {
    const at: Context = {
      ...ctx,
      log: (event) => {
        note(true);
        ctx.log(event);
      },
    };
    const { result, layout } = await resolved.work({ folder, ctx: at, force, run: (spec) => run(spec, ctx, { force, shared }) });
    const record: RunRecord = { ...started, status: "success", outputs: await hashOutputs(path), layout, result };
    note();
    writeRecord(path, record);
    clearWork(path);
    return JSON.parse(JSON.stringify(record)) as RunRecord;
  } catch (error) {
    note();
    const failure = failureOf(step.name, error);
    if (failure) writeRecord(path, { ...started, status: "error", error: failure });
    throw error;
  }
}

/** Why a step failed; undefined where it was only stopped. */
function failureOf(step: string, error: unknown): Failure | undefined {
  if (error instanceof LetheError) {
    const { who, message, hint, trouble } = error;
    return trouble === "aborted" ? undefined : { who, message, hint, trouble };
  }
  const isStopped = error instanceof Error && error.name === "AbortError";
  return isStopped ? undefined : { who: step, message: String(error), hint: "", trouble: "internal" };
}

/** Milliseconds between notes of an attempt's time: what a kill may lose of it. */
const NOTED = 10_000;

/** Notes how long this attempt has taken, beside those before it; `isSeldom`: only if the last note is old. */
function attemptAt(path: string, ctx: Context): (isSeldom?: boolean) => void {
  const [began, before] = [ctx.now(), timingsIn(path)?.seconds ?? []];
  let noted = began;
  return (isSeldom = false) => {
    if (isSeldom && ctx.now() - noted < NOTED) return;
    noted = ctx.now();
    const processors = cpus();
    writeTimings(path, {
      seconds: [...before, Number(((noted - began) / 1000).toFixed(3))],
      peak: process.resourceUsage().maxRSS * 1024,
      machine: {
        processor: processors[0]?.model.trim() ?? "unknown",
        cores: processors.length,
        threads: ctx.threads,
        node: process.version,
      },
      ended: ctx.date(),
    });
  };
}

/** Runs a step as a stream of its events; the stream's value at its end is what {@link run} gives. Leaving the stream early stops the work. */
export async function* events<R = unknown>(spec: NestedSpec, ctx: Context, options: RunOptions = {}): AsyncGenerator<Event, Finished<R>> {
  const waiting: Event[] = [];
  const stop = new AbortController();
  let isOver = false;
  let wake = (): void => {};
  const log = (event: Event): void => {
    waiting.push(event);
    wake();
  };
  const outcome = run<R>(spec, { ...ctx, log, signal: AbortSignal.any([ctx.signal, stop.signal]) }, options).finally(() => {
    isOver = true;
    wake();
  });
  outcome.catch(() => {});
  try {
    for (;;) {
      for (let event = waiting.shift(); event; event = waiting.shift()) yield event;
      if (isOver) return await outcome;
      await new Promise<void>((done) => (wake = done));
    }
  } finally {
    stop.abort();
    await outcome.catch(() => {});
  }
}
