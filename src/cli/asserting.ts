/** What commands with `--assert` share: the option, and what they say of the assertions. */
import { type Command, Option } from "commander";
import { assertionRows, failuresLine } from "../report/assertions.ts";
import type { Asserted } from "../run/record.ts";
import { several } from "./command.ts";
import { UNMET } from "./exit.ts";
import { table } from "./format.ts";
import type { Terminal } from "./terminal.ts";

/** Adds `--assert`. */
export const withAssert = (command: Command, what: string): Command =>
  command.addOption(
    new Option("--assert <assertion>", `${what}; repeatable; if one does not hold, the exit code is ${UNMET}`).argParser(several),
  );

/** The part of a JSON answer about assertions; nothing if there are none. */
export const assertionsIn = (asserted: readonly Asserted[]): { readonly assertions?: readonly Asserted[] } =>
  asserted.length > 0 ? { assertions: asserted } : {};

/** Shows the assertions under a report. With --json the report has them. */
export function showAssertions(terminal: Terminal, asserted: readonly Asserted[]): void {
  if (asserted.length === 0 || terminal.json) return;
  terminal.line("\nAssertions:");
  terminal.line(table(assertionRows(asserted).map(([verdict, ...rest]) => [`  ${verdict}`, ...rest])));
}

/** The exit code. Failures are also said on standard error, because a program may read the report. */
export function assertionCode(terminal: Terminal, who: string, asserted: readonly Asserted[]): number {
  const failures = failuresLine(asserted);
  if (failures === "") return 0;
  terminal.event({ kind: "warning", who, text: failures });
  return UNMET;
}
