/** Runs a step. The same spec, code and number of threads give the same folder, which is made once and reused. */
import { join } from "node:path";
import { type Context, type Event, pause } from "../base/context.ts";
import { translated } from "../base/errno.ts";
import { fail, isAborted, LetheError, nearest } from "../base/fail.ts";
import { canonical, hash } from "../base/hash.ts";
import { holding, isRecord } from "../base/store.ts";
import { ownCode } from "./code.ts";
import { attemptAt } from "./attempt.ts";
import { settled } from "./auto.ts";
import { type NestedSpec, plainValues } from "./fields.ts";
import {
  Busy,
  clearWork,
  dropDamaged,
  finishedIn,
  hashOutputs,
  holdFolder,
  recordIn,
  resultIn,
  tidy,
  writeChosen,
  writeRecord,
  writeSpec,
} from "./folder.ts";
import { publish, refuseOccupied } from "./publish.ts";
import type { Chosen, Failure, Finished, RunRecord } from "./record.ts";
import { newShared, type Shared } from "./shared.ts";
import type { AnyStep, Lent, Resolved } from "./step.ts";
import { readValues } from "./spec.ts";
import { registry } from "./steps/registry.ts";

export type { Finished } from "./record.ts";

const STEPS: Readonly<Record<string, AnyStep>> = registry as unknown as Readonly<Record<string, AnyStep>>;

export interface RunOptions {
  /** Where the result goes besides the run's folder: a file or a folder, as the step has it. */
  readonly out?: string;
  /** Replace existing content at `out`, and continue in spite of the memory estimate. */
  readonly force?: boolean;
  /** Remove unfinished work of an earlier attempt first. */
  readonly fresh?: boolean;
  /** How an error calls a field; by default its key. */
  readonly nameOf?: (key: string) => string;
  /** Values shared by steps that run in one process. */
  readonly shared?: Shared;
  /** Runs a step that this one contains; by default at once. */
  readonly within?: Within;
}

/** Runs a contained step, as soon as nobody else runs it. */
export type Within = (ready: Ready, work: () => Promise<Finished>) => Promise<Finished>;

/** A step by its name; fails with the nearest. */
export function stepOf(name: string): AnyStep {
  if (Object.hasOwn(STEPS, name)) return STEPS[name]!;
  const near = nearest(name, Object.keys(STEPS));
  return fail("run", `no step "${name}"`, `one of ${Object.keys(STEPS).join(", ")}`, near ? `Did you mean "${near}"?` : "");
}

/** Every step, in the order of names. */
export const steps = (): readonly AnyStep[] => Object.values(STEPS);

/** A spec that is ready to be run: resolved once, with its id. */
export interface Ready {
  readonly step: AnyStep;
  readonly resolved: Resolved<unknown>;
  readonly id: string;
  readonly code: string;
  /** The files whose code it is, and what they import. */
  readonly files: readonly string[];
  readonly spec: RunRecord["spec"];
  readonly path: string;
  readonly made: Made;
  /** How its method was chosen, if the spec left it open. */
  readonly chosen?: Chosen;
}

/** The runs of the specs inside this spec: their ids by the paths of their results. */
type Made = ReadonlyMap<string, string>;

/**
 * Runs a step, after the steps whose specs its inputs contain. A finished run is reused, and a stopped run continues. Events go to the
 * context's log.
 */
export async function run<R = unknown>(spec: NestedSpec, ctx: Context, options: RunOptions = {}): Promise<Finished<R>> {
  const shared = options.shared ?? newShared();
  const key = canonical(spec);
  const known = options.out === undefined ? shared.finished.get(key) : undefined;
  if (known) return known as Finished<R>;
  const finished = await runReady(await prepare(spec, ctx, { ...options, shared }), ctx, { ...options, shared });
  shared.finished.set(key, { ...finished, isFound: true });
  return finished as Finished<R>;
}

/** How the specs inside a spec are handled: they are run, or only looked up. */
export type Make = (spec: NestedSpec, made: Made) => Promise<Finished>;

/** Resolves a spec once. The spec's own values are checked first; then the steps that it names are run. */
export async function prepare(
  spec: NestedSpec,
  ctx: Context,
  options: RunOptions & { readonly make?: Make } = {},
  before: Made = new Map(),
): Promise<Ready> {
  const { force = false, nameOf, shared = newShared(), within = atOnce } = options;
  const { make = (nested, made) => runWithin(nested, ctx, { force, shared, within }, made) } = options;
  const step = stepOf(spec.step);
  const made = new Map(before);
  const read = await withMade(step, readValues(step.name, step.fields, spec, nameOf), made, (nested) => make(nested, made));
  const lent: Lent = { ctx, force, madeBy: (path) => made.get(path), shared };
  const { values, chosen } = await settled(step.name, read, lent);
  const resolved = await step.resolve(values as never, lent);
  const files = [`run/steps/${step.name}`, ...resolved.uses];
  const code = codeFor(files, shared);
  const identity: RunRecord["spec"] = {
    step: step.name,
    ...plainValues(step.fields, values),
    ...resolved.identity,
    threads: ctx.threads,
    ...(ctx.plugins.length > 0 && { plugins: ctx.plugins.map(({ id }) => id).sort() }),
  };
  const id = hash(identity, code).slice(0, 32);
  return { step, resolved, id, code, files, spec: identity, path: join(ctx.runs, id), made, ...(chosen && { chosen }) };
}

/** The hash of the code of some files, computed once. */
export function codeFor(files: readonly string[], { codes, sources }: Shared): string {
  const key = files.join(" ");
  const code = codes.get(key) ?? ownCode(files, sources);
  codes.set(key, code);
  return code;
}

/** Runs a step that another step needs. It uses the runs that were made for the other step. */
async function runWithin(spec: NestedSpec, ctx: Context, options: Sharing, made: Made): Promise<Finished> {
  const { shared } = options;
  const key = canonical(spec);
  const known = shared.finished.get(key);
  if (known) return known;
  const ready = await prepare(spec, ctx, options, made);
  const finished = await options.within(ready, () => runReady(ready, ctx, options));
  shared.finished.set(key, { ...finished, isFound: true });
  return finished;
}

const atOnce: Within = (_, work) => work();

/** Milliseconds between two looks at a folder where another process works. */
const PAUSE = 200;

/** Runs a contained step as soon as no other process works in its folder. */
export const inTurns =
  (ctx: Context): Within =>
  async (_, work) => {
    for (;;) {
      try {
        return await work();
      } catch (error) {
        if (!(error instanceof Busy)) throw error;
        await pause(ctx, PAUSE);
      }
    }
  };

type Sharing = { readonly force: boolean; readonly shared: Shared; readonly within: Within };

/** Replaces specs among the values by the paths of their results. They run one after the other, because each may need the whole machine. */
async function withMade(
  { name, fields }: AnyStep,
  values: Readonly<Record<string, unknown>>,
  made: Map<string, string>,
  make: (spec: NestedSpec) => Promise<Finished>,
): Promise<Record<string, unknown>> {
  const pathOf = async (key: string, value: unknown): Promise<unknown> => {
    if (!isRecord(value)) return value;
    const { record, path } = await make(value as unknown as NestedSpec);
    const { beside } = fields[key]!;
    const within = resultIn(record.layout!, beside);
    if (within === undefined)
      fail(name, `the ${record.step} in the place of ${key} left no ${beside!.slice(1)}`, "a spec of a step that keeps it", "");
    const at = join(path, within);
    made.set(at, record.id);
    return at;
  };
  const found: Record<string, unknown> = {};
  for (const [key, value] of Object.entries(values)) {
    const { kind } = fields[key]!;
    if (kind === "edits" || kind === "grouped") {
      const parts: unknown[] = [];
      for (const part of value as readonly unknown[])
        parts.push(kind === "grouped" && isRecord(part) ? { ...part, data: await pathOf(key, part["data"]) } : await pathOf(key, part));
      found[key] = parts;
    } else found[key] = kind === "model" || kind === "pathOrSpec" ? await pathOf(key, value) : value;
  }
  return found;
}

/** Runs a resolved spec, or finds its finished run, and puts the result at `out`. Fails as `Busy` while another process runs it. */
export async function runReady(ready: Ready, ctx: Context, options: RunOptions = {}): Promise<Finished> {
  const { out, force = false } = options;
  if (out === undefined) return reached(ready, ctx, options);
  const { path, step } = ready;
  return holding(out, step.name, async (output) => {
    await refuseOccupied(out, path, force, step.name); // from here on, no other process can write there
    const finished = await reached(ready, ctx, options);
    await publish(path, finished.record, output, force, step.name);
    return finished;
  });
}

/** The result of a resolved spec, new or found. */
async function reached(ready: Ready, ctx: Context, options: RunOptions): Promise<Finished> {
  const { force = false, fresh = false, shared = newShared(), within = atOnce } = options;
  const { path, step, resolved, chosen } = ready;
  const found = resolved.isRepeated ? undefined : await finishedIn(path);
  if (found) tidy(path);
  const record = found ?? (await inTurn(ready, ctx, { force, shared, within }, fresh));
  const result = step.read ? step.read(record.result as never) : record.result;
  if (chosen) writeChosen(path, chosen);
  return { record: { ...record, result }, path, isFound: found !== undefined, ...(chosen && { chosen }) };
}

/** Runs the work under the folder's lock. */
async function inTurn(ready: Ready, ctx: Context, sharing: Sharing, fresh: boolean): Promise<RunRecord> {
  const { path, step, resolved } = ready;
  const { folder, release } = holdFolder(path, step.name);
  try {
    if (fresh) clearWork(path);
    const since = resolved.isRepeated ? undefined : await finishedIn(path); // another process may have held the folder until now
    if (since) return since;
    await dropDamaged(path);
    return await work(ready, folder, ctx, sharing);
  } catch (error) {
    if (!(error instanceof LetheError && error.trouble === "aborted")) throw error;
    const { who, got, wanted } = error;
    throw new LetheError(who, got, wanted, "The same command uses what was finished.", "aborted");
  } finally {
    release();
  }
}

async function work(ready: Ready, folder: ReturnType<typeof holdFolder>["folder"], ctx: Context, sharing: Sharing): Promise<RunRecord> {
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
    const runNested = (nested: NestedSpec): Promise<Finished> => runWithin(nested, ctx, sharing, ready.made);
    const { result, layout } = await resolved.work({ folder, ctx: at, force: sharing.force, run: runNested });
    const record: RunRecord = { ...started, status: "success", outputs: await hashOutputs(path), layout, result };
    note();
    writeRecord(path, record);
    clearWork(path);
    return recordIn(path)!;
  } catch (error) {
    note();
    const failure = failureOf(step.name, error);
    if (failure) writeRecord(path, { ...started, status: "error", error: failure });
    throw error;
  }
}

/** The reason why a step failed; undefined if it was only stopped. */
function failureOf(step: string, error: unknown): Failure | undefined {
  if (isAborted(error)) return undefined;
  error = translated(error) ?? error;
  if (!(error instanceof LetheError)) return { who: step, message: String(error), hint: "", trouble: "internal" };
  const { who, message, hint, trouble } = error;
  return { who, message, hint, trouble };
}

/**
 * Runs a step as a stream of its events. The final value of the stream is the result of {@link run}. If the reader stops early, the work
 * stops.
 */
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
