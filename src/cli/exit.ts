/** How a command ends: exit codes, and errors as a person or a program reads them. */
import { CommanderError } from "commander";
import { translated } from "../base/errno.ts";
import { LetheError, type Trouble } from "../base/fail.ts";

/** Exit codes by kind of trouble; 0 is success. */
export const EXIT: Readonly<Record<Trouble, number>> = { internal: 1, usage: 2, unavailable: 3, memory: 3, execution: 4, aborted: 130 };

/** The exit code of a command that did its work, if an assertion about the result does not hold. */
export const UNMET = 100;

/** Exit codes by the signal that asked the command to stop: 128 and the signal's number. */
export const STOPPED = { SIGINT: 130, SIGTERM: 143 } as const;

/** Thrown where a signal has stopped a command; `cause` is what the work said. */
export class Stopped extends Error {
  override readonly name = "AbortError";
  readonly code: number;

  constructor(signal: keyof typeof STOPPED, cause: unknown) {
    super(`stopped by ${signal}`, { cause });
    this.code = STOPPED[signal];
  }
}

/** An error as it leaves the command. */
export interface Ending {
  readonly code: number;
  /** What to say; empty when it has been said. */
  readonly message: string;
  readonly hint: string;
  readonly trouble: Trouble;
  /** Where it came from, for an error of ours. */
  readonly stack?: string;
}

/** What an error means for the user; `isStopped` says that the work was interrupted, whatever the error says. */
export function endingOf(error: unknown, isStopped: boolean): Ending | undefined {
  if (error instanceof CommanderError) {
    if (error.exitCode === 0) return undefined;
    return { code: EXIT.usage, message: plainWords(error), hint: "", trouble: "usage" };
  }
  if (error instanceof Stopped) return { ...endingOf(error.cause, true)!, code: error.code };
  if (isStopped || (error instanceof LetheError && error.trouble === "aborted")) {
    const hint = error instanceof LetheError && error.trouble === "aborted" ? error.hint : "What was written before is whole.";
    return { code: EXIT.aborted, message: "stopped", hint, trouble: "aborted" };
  }
  error = translated(error) ?? error;
  if (error instanceof LetheError) {
    const message = error.hint ? error.message.slice(0, -error.hint.length).trimEnd() : error.message;
    return { code: EXIT[error.trouble], message, hint: error.hint, trouble: error.trouble };
  }
  const message = error instanceof Error ? `${error.name}: ${error.message}` : String(error);
  const stack = error instanceof Error ? error.stack : undefined;
  const hint = "This is an error of Lethe's own; -v shows where. `lethe doctor --json` helps in a report.";
  return { code: EXIT.internal, message, hint, trouble: "internal", ...(stack !== undefined && { stack }) };
}

/** Commander's words without its prefix; empty where it has shown a help page instead. */
const plainWords = (error: CommanderError): string => (error.code === "commander.help" ? "" : error.message.replace(/^error: /, ""));
