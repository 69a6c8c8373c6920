/** The options of `lethe grid`, and the grid that they open. */
import type { Command } from "commander";
import type { Context } from "../base/context.ts";
import { fail } from "../base/fail.ts";
import type { Grid, RunGrid } from "../run/grid.ts";
import { number, several } from "./command.ts";

/** What FILE is; stands in every help that takes it. */
export const FILE = "FILE is a grid in YAML (docs/grid.md); lethe grid schema prints its JSON Schema.";

/** The options that say which grid is meant. */
export interface GridFlags {
  readonly set?: readonly string[];
  readonly only?: readonly string[];
  readonly records?: readonly string[];
}

/** Adds the options of {@link GridFlags}. */
export const choosing = (command: Command): Command =>
  command
    .option("--set <name=value>", "another value for a variable of the file; may be given several times", several)
    .option(
      "--only <name=values>",
      "only combinations in which the variable has one of these values, separated by commas; may be given several times",
      several,
    )
    .option(
      "--records <folder>",
      "a folder of committed records that count as done (lethe grid records); may be given several times",
      several,
    );

/** Names and values as the flags give them. */
function pairs(flag: string, texts: readonly string[] = []): [name: string, value: string][] {
  return texts.map((text) => {
    const at = text.indexOf("=");
    if (at < 1) fail(flag, `"${text}"`, "name=value", `For example ${flag} method=rome.`);
    return [text.slice(0, at).trim(), text.slice(at + 1).trim()];
  });
}

/** Opens a grid as the flags change it. */
export async function opened(file: string, { set, only, records = [] }: GridFlags, ctx: Context): Promise<Grid> {
  const { openGrid } = await import("../run/grid.ts");
  const wanted = pairs("--only", only).map(([name, values]) => [name, values.split(",").map((value) => value.trim())] as const);
  return openGrid(file, { set: Object.fromEntries(pairs("--set", set)), only: Object.fromEntries(wanted), records, ctx });
}

/** The options that say how the steps are run. */
export interface RunFlags {
  readonly force?: boolean;
  readonly retry?: boolean;
  readonly keepGoing?: boolean;
  readonly disk?: string;
  readonly queue?: string;
  readonly store?: string;
  readonly lostAfter?: number;
}

/** Adds the options of {@link RunFlags}. */
export const running = (command: Command): Command =>
  command
    .option("--retry", "try failed steps again")
    .option("--keep-going", "run the other steps if some cannot be run")
    .option("--disk <size>", "the space that the runs may take, such as 20GB (what is free)")
    .option("--queue <url>", "let the workers of a queue in this PostgreSQL database run the steps (lethe worker)")
    .option("--store <folder>", "with --queue: the folder of results; all machines must reach it")
    .option(
      "--lost-after <seconds>",
      "with --queue: seconds without a heartbeat after which a worker counts as lost (60)",
      number({ min: 1 }),
    )
    .option("--force", "run even if the estimate says that memory is too small");

/** The options that were given, without the folder of results. */
export const runOptions = ({ force, retry, keepGoing, disk, queue, lostAfter }: RunFlags): RunGrid =>
  Object.fromEntries(Object.entries({ force, retry, keepGoing, disk, queue, lostAfter }).filter(([, value]) => value !== undefined));

/** The folder of results, which is the folder of runs of a grid with a queue. */
export function storeOf({ queue, store }: RunFlags): string | undefined {
  if ((queue === undefined) !== (store === undefined))
    fail("grid", queue === undefined ? "--store alone" : "--queue alone", "--queue and --store", "The database holds no results.");
  return store;
}
