/** What a command works with: the terminal, a context from flags and environment, and what Ctrl-C means. */
import { availableParallelism } from "node:os";
import { delimiter } from "node:path";
import { type Context, defaultContext } from "../base/context.ts";
import { fail } from "../base/fail.ts";
import { STOPPED } from "./exit.ts";
import { outletOf } from "./outlet.ts";
import { Terminal } from "./terminal.ts";

/** The flags that every command takes. */
export interface Globals {
  readonly json?: boolean;
  readonly quiet?: boolean;
  readonly verbose?: boolean;
  readonly threads?: number;
  readonly memory?: string;
  readonly runs?: string;
  readonly plugin?: readonly string[];
}

export interface Door {
  readonly terminal: Terminal;
  readonly ctx: Context;
  /** Runs a part that Ctrl-C stops by itself: the first Ctrl-C ends the part, and the command goes on. */
  readonly interruptible: <T>(part: (ctx: Context) => Promise<T>) => Promise<T>;
  /** The signal that asked the whole command to stop. */
  readonly stoppedBy: () => keyof typeof STOPPED | undefined;
}

/** A context with the plugins that flags and environment (LETHE_PLUGINS, divided as PATH is) name. */
export async function withPlugins(ctx: Context, files: readonly string[] = []): Promise<Context> {
  const all = [...(process.env["LETHE_PLUGINS"] ?? "").split(delimiter).filter((file) => file !== ""), ...files];
  if (all.length === 0) return ctx;
  const { loadPlugins } = await import("../run/plugins.ts");
  return loadPlugins(all, ctx);
}

/** Opens the door: signals are heard from here on. The first asks the work to stop and keep its state, the second ends the process. */
export async function openDoor(globals: Globals): Promise<Door> {
  const env = process.env;
  const terminal = new Terminal({
    json: globals.json ?? false,
    quiet: globals.quiet ?? false,
    verbose: globals.verbose ?? false,
    out: outletOf(process.stdout),
    err: outletOf(process.stderr),
    env,
    now: () => performance.now(),
  });
  const whole = new AbortController();
  let part: AbortController | undefined;
  let stoppedBy: keyof typeof STOPPED | undefined;
  const stop = (signal: keyof typeof STOPPED): void => {
    const at = signal === "SIGINT" && part ? part : whole;
    if (at.signal.aborted) {
      terminal.clear();
      process.exit(STOPPED[signal]);
    }
    if (at === whole) stoppedBy = signal;
    at.abort();
    part?.abort();
    if (at === whole) terminal.note("stopping; Ctrl-C again ends at once");
  };
  process.on("SIGINT", stop);
  process.on("SIGTERM", stop);
  if (globals.runs === "") fail("--runs", "an empty path", "a folder", "Leave it out to use LETHE_RUNS, or the folder runs.");
  const own = defaultContext({
    log: (event) => terminal.event(event),
    signal: whole.signal,
    threads: fitting(globals.threads ?? threadsOf(env["LETHE_THREADS"])),
    memory: globals.memory ?? env["LETHE_MEMORY"],
    ...(globals.runs !== undefined && { runs: globals.runs }),
  });
  const ctx = await withPlugins(own, globals.plugin);
  const interruptible: Door["interruptible"] = async (work) => {
    part = new AbortController();
    if (whole.signal.aborted) part.abort();
    try {
      return await work({ ...ctx, signal: part.signal });
    } finally {
      part = undefined;
    }
  };
  return { terminal, ctx, interruptible, stoppedBy: () => stoppedBy };
}

/** Refuses more threads than a machine can work with: each session of the engine makes so many. */
function fitting(threads: number): number {
  const cores = availableParallelism();
  const most = Math.max(64, 4 * cores);
  if (threads <= most) return threads;
  return fail("--threads", `${threads} threads`, `at most ${most}`, `This machine has ${cores} cores; more threads than cores are slower.`);
}

function threadsOf(text: string | undefined): number {
  if (text === undefined || text === "") return defaultContext().threads || 2;
  const n = Number(text);
  return Number.isInteger(n) && n > 0
    ? n
    : fail("LETHE_THREADS", `"${text}"`, "a whole number of at least 1", "For example LETHE_THREADS=4.");
}
