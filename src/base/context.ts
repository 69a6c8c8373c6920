/** What a caller lends to long work: a log, a place to cache, a way to stop. */
import { homedir } from "node:os";
import { join } from "node:path";
import { fail } from "./fail.ts";
import type { Plugged } from "./plugin.ts";

/** Something that happened on the way; the command line prints it, the server streams it, a test collects it. */
export type Event =
  | { kind: "progress"; stage: string; done: number; total: number; unit?: string; detail?: string }
  | { kind: "note" | "warning"; who: string; text: string };

export interface Context extends Plugged {
  readonly log: (event: Event) => void;
  /** A folder for what can be computed again; whether it is empty never changes a result. */
  readonly cache: string;
  readonly signal: AbortSignal;
  /** Threads of the numerical engine; results are the same bytes for the same count. */
  readonly threads: number;
  /** Memory to stay within, such as "8GB"; undefined: what the system says. */
  readonly memory?: string | undefined;
  /** The folder or hub id of a sentence encoder, for what tells near questions from far ones; undefined: the model's own hidden states. */
  readonly encoder?: string | undefined;
  /** Milliseconds, for progress and timings only. */
  readonly now: () => number;
}

/** The library's default context, from the environment: LETHE_HOME or XDG_CACHE_HOME, LETHE_THREADS, LETHE_MEMORY, LETHE_ENCODER. */
export function defaultContext(over: Partial<Context> = {}): Context {
  const env = process.env;
  return {
    log: () => {},
    plugins: [],
    cache: env["LETHE_HOME"] ? join(env["LETHE_HOME"], "cache") : join(env["XDG_CACHE_HOME"] ?? join(homedir(), ".cache"), "lethe"),
    signal: new AbortController().signal,
    threads: Number(env["LETHE_THREADS"] ?? 2),
    memory: env["LETHE_MEMORY"],
    encoder: env["LETHE_ENCODER"],
    now: () => performance.now(),
    ...over,
  };
}

/** The environment, for what other tools lay down there: the model hub's cache, tokens and switches. */
export function environment(): Readonly<Record<string, string | undefined>> {
  return process.env;
}

/** Ends the work when the caller asked for it; call between steps. */
export function checkAbort(ctx: Context, who: string): void {
  if (ctx.signal.aborted)
    fail(who, "the work was interrupted", "", "What was finished is kept; run the same command again to go on.", "aborted");
}
