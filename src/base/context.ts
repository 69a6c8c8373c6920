/** What a caller passes to long work: a log, a cache folder, an abort signal. */
import { homedir } from "node:os";
import { join } from "node:path";
import { fail } from "./fail.ts";

/** An event during work; the command line prints it, the server streams it, a test collects it. */
export type Event =
  | { kind: "progress"; stage: string; done: number; total: number; unit?: string; detail?: string }
  | { kind: "note" | "warning"; who: string; text: string };

export interface Context {
  readonly log: (event: Event) => void;
  /** A folder for results that can be computed again; its content never changes a result. */
  readonly cache: string;
  readonly signal: AbortSignal;
  /** Threads of the numerical engine; the same number gives the same bytes. */
  readonly threads: number;
  /** Memory limit, such as "8GB"; undefined: the system's. */
  readonly memory?: string | undefined;
  /** The folder or hub id of a sentence encoder, to find similar questions; undefined: the model's own hidden states. */
  readonly encoder?: string | undefined;
  /** Milliseconds, for progress and timings only. */
  readonly now: () => number;
}

/** The library's default context, from the environment: LETHE_HOME or XDG_CACHE_HOME, LETHE_THREADS, LETHE_MEMORY, LETHE_ENCODER. */
export function defaultContext(over: Partial<Context> = {}): Context {
  const env = process.env;
  return {
    log: () => {},
    cache: env["LETHE_HOME"] ? join(env["LETHE_HOME"], "cache") : join(env["XDG_CACHE_HOME"] ?? join(homedir(), ".cache"), "lethe"),
    signal: new AbortController().signal,
    threads: Number(env["LETHE_THREADS"] ?? 2),
    memory: env["LETHE_MEMORY"],
    encoder: env["LETHE_ENCODER"],
    now: () => performance.now(),
    ...over,
  };
}

/** The environment variables of other tools: the model hub's cache, tokens and switches. */
export function environment(): Readonly<Record<string, string | undefined>> {
  return process.env;
}

/** Fails if the caller has asked to stop; call between steps. */
export function checkAbort(ctx: Context, who: string): void {
  if (ctx.signal.aborted)
    fail(who, "the work was interrupted", "", "Finished parts are kept. Run the same command again to resume.", "aborted");
}
