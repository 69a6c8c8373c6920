/** Checked assertions as lines: whether each holds, and what was found. */
import type { Asserted } from "../run/record.ts";

/** Rows of a table: the verdict, the assertion as it was written, and what was found. */
export const assertionRows = (all: readonly Asserted[]): string[][] =>
  all.map((one) => [one.holds ? "holds" : "FAILS", one.assertion, findingOf(one)]);

/** What was found: the number, or why there is none. */
export function findingOf({ found, reason, holds, operator, threshold }: Asserted): string {
  if (found === null) return reason ?? "";
  const short = Number(found.toPrecision(6));
  const shown = short === threshold ? found : short; // rounding must not hide why an assertion fails
  return holds ? `${shown}` : `${shown} is not ${operator} ${threshold}`;
}

/** All failed assertions in a line; empty if none failed. */
export function failuresLine(all: readonly Asserted[]): string {
  const failed = all.filter(({ holds }) => !holds);
  if (failed.length === 0) return "";
  const each = failed.map((one) => `${one.assertion} (${findingOf(one)})`);
  return `${failed.length} of ${all.length} assertions failed: ${each.join("; ")}`;
}
