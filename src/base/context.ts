/** What a caller passes to long work: a log, a cache folder, an abort signal. */
import { homedir } from "node:os";
import { join } from "node:path";
import { setImmediate, setTimeout as sleep } from "node:timers/promises";
import { fail } from "./fail.ts";
import type { Plugged } from "./plugin.ts";

/** An event during work; the command line prints it, the server streams it, a test collects it. */
export type Event =
  | { kind: "progress"; stage: string; done: number; total: number; unit?: string; detail?: string }
  | { kind: "note" | "warning"; who: string; text: string }
  /** How far a grid is: its steps, the time that is left if it can be told, the peak memory of a step, and the step that comes next. */
  | {
      kind: "whole";
      who: string;
      text: string;
      done: number;
      total: number;
      failed: number;
      peak: number;
      secondsLeft?: number;
      next?: string;
    };

/** A cache behind another one, and the kinds of things in it that count as not there. */
export interface Behind {
  readonly folder: string;
  readonly except: readonly string[];
}

/** What is being made for the cache at this time, by the file it goes to, and what each log was already told about the cache. */
export interface Making {
  readonly underway: Map<string, Promise<unknown>>;
  readonly told: WeakMap<Context["log"], Set<string>>;
}

export interface Context extends Plugged {
  readonly log: (event: Event) => void;
  /** A folder for results that can be computed again; its content never changes a result. */
  readonly cache: string;
  /** Caches that are read, and never written, where `cache` has nothing: the nearest first. */
  readonly behind?: readonly Behind[];
  /** What the caches lack is not made: see `ifKept`. */
  readonly findsOnly?: boolean;
  /** Shared by all contexts that are spread from one. */
  readonly making: Making;
  readonly signal: AbortSignal;
  /** Threads of the numerical engine; the same number gives the same bytes. */
  readonly threads: number;
  /** Memory limit, such as "8GB"; undefined: the system's. */
  readonly memory?: string | undefined;
  /** The folder or hub id of a sentence encoder, to find similar questions; undefined: the model's own hidden states. */
  readonly encoder?: string | undefined;
  /** The folder of runs: `runs/<hash>/` for each step that was run. */
  readonly runs: string;
  /** Milliseconds, for progress and timings only. */
  readonly now: () => number;
  /** The date and time in ISO 8601, for timings only. */
  readonly date: () => string;
}

/**
 * The library's default context, from the environment: LETHE_HOME or XDG_CACHE_HOME, LETHE_RUNS, LETHE_THREADS, LETHE_MEMORY, LETHE_ENCODER.
 * An empty variable counts as absent.
 */
export function defaultContext(over: Partial<Context> = {}): Context {
  const env = Object.fromEntries(Object.entries(process.env).filter(([, value]) => value !== ""));
  return {
    log: () => {},
    plugins: [],
    cache: env["LETHE_HOME"] ? join(env["LETHE_HOME"], "cache") : join(env["XDG_CACHE_HOME"] ?? join(homedir(), ".cache"), "lethe"),
    signal: new AbortController().signal,
    threads: Number(env["LETHE_THREADS"] ?? 2),
    memory: env["LETHE_MEMORY"],
    encoder: env["LETHE_ENCODER"],
    runs: env["LETHE_RUNS"] ?? (env["LETHE_HOME"] ? join(env["LETHE_HOME"], "runs") : "runs"),
    now: () => performance.now(),
    date: () => new Date().toISOString(),
    making: { underway: new Map(), told: new WeakMap() },
    ...over,
  };
}

/** The environment variables of other tools: the model hub's cache, tokens and switches. */
export function environment(): Readonly<Record<string, string | undefined>> {
  return process.env;
}

/** Milliseconds that a loop runs before signals, timers and the screen have a turn. */
const BREATH = 50;

/** Waits for the event loop to turn once where it has not for a while. */
export type Breathe = () => Promise<void>;

/**
 * For loops that compute for long: between two steps they call what this gives. Nothing is heard while JavaScript computes, so it lets the
 * event loop turn every {@link BREATH} ms, and fails if the caller has asked to stop. Whoever calls at the same time goes on one after the other.
 */
export function breather(ctx: Pick<Context, "signal" | "now">, who: string): Breathe {
  let last = ctx.now();
  let before = Promise.resolve();
  const turn = async (): Promise<void> => {
    if (ctx.now() - last < BREATH) return;
    await setImmediate();
    last = ctx.now();
    checkAbort(ctx, who);
  };
  return () => (before = before.then(turn));
}

/** Waits so many milliseconds. Fails at once if the caller asks to stop. */
export async function pause(ctx: Pick<Context, "signal">, ms: number): Promise<void> {
  await sleep(ms, undefined, { signal: ctx.signal }).catch(() => {});
  checkAbort(ctx, "wait");
}

/** Fails if the caller has asked to stop; call between steps. */
export function checkAbort(ctx: Pick<Context, "signal">, who: string): void {
  if (ctx.signal.aborted) fail(who, "the work was interrupted", "", "What was written before is whole.", "aborted");
}
