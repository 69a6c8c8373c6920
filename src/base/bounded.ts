/** Runs a function on this thread under a time limit, for code that a downloaded file can make slow: templates, regular expressions. */
import { setImmediate } from "node:timers/promises";
import { createContext, type RunningScriptOptions, Script } from "node:vm";
import { fail, LetheError } from "./fail.ts";

const CALL = new Script("call()");
/** The V8 context in which the time limit is enforced; it contains only the current work. */
const ROOM = createContext({ call: () => {} });

/** The value of work that V8 watches as the options say. */
function watched<T>(work: () => T, options: RunningScriptOptions): T {
  let value: T | undefined;
  const outer: unknown = ROOM["call"];
  ROOM["call"] = () => {
    value = work();
  };
  try {
    CALL.runInContext(ROOM, options);
  } finally {
    ROOM["call"] = outer;
  }
  return value as T;
}

/**
 * The value of `work()`; fails with `hint` when it takes longer than `ms` milliseconds or overflows the stack.
 * V8 checks the limit inside regular expressions and loops, and `work` cannot catch it. A call costs about 0.1 ms.
 */
export function bounded<T>(who: string, ms: number, hint: string, work: () => T): T {
  try {
    return watched(work, { timeout: Math.ceil(ms) });
  } catch (error) {
    if (error instanceof LetheError) throw error;
    if ((error as { code?: unknown }).code === "ERR_SCRIPT_EXECUTION_TIMEOUT")
      fail(who, `no result after ${ms / 1000} s`, "a result in time", hint, "execution");
    throw error;
  }
}

/**
 * The value of long work that cannot be divided, such as a library's: Ctrl-C ends it, and SIGTERM ends the process, as if nobody heard it.
 * Only for work that reads and computes: what is being written would be lost. A signal that came before is heard first: it waits in the event
 * loop, and would be lost with the listeners.
 */
export async function breakable<T>(who: string, work: () => T): Promise<T> {
  await setImmediate(); // the end of this turn
  await setImmediate(); // a whole turn, in which signals are delivered
  return breakableNow(who, work);
}

/** As {@link breakable}, for work that cannot wait for a turn of the event loop. A signal that came since the last turn is lost. */
export function breakableNow<T>(who: string, work: () => T): T {
  const heard = process.listeners("SIGTERM");
  process.removeAllListeners("SIGTERM");
  try {
    return watched(work, { breakOnSigint: true });
  } catch (error) {
    if ((error as { code?: unknown }).code === "ERR_SCRIPT_EXECUTION_INTERRUPTED")
      fail(who, "the work was interrupted", "", "What was written before is whole.", "aborted");
    throw error;
  } finally {
    for (const listener of heard) process.on("SIGTERM", listener);
  }
}

/** The message of an unknown thrown value, on one line of at most 300 characters. */
export function wordsOf(error: unknown): string {
  const text = error instanceof Error ? error.message || error.name : String(error);
  return text.replace(/\s+/g, " ").replace(/\.$/, "").slice(0, 300);
}
