/** What was measured so far, in a file of the repository: a table for each kind of processor, model and number of threads. */
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { markdown } from "../src/report/page.ts";
import { cells, type Result } from "./race.ts";

/** Results of one machine. */
export interface Table {
  readonly machine: string;
  readonly model: string;
  readonly peer: unknown;
  /** One for each work; `busy` says how much others had of the cores meanwhile. */
  readonly results: readonly Result[];
}

/** The share of the cores that others may have for a result to count. */
export const QUIET = 0.1;

export const readMeasured = (path: string): Table[] => (existsSync(path) ? (JSON.parse(readFileSync(path, "utf8")) as Table[]) : []);

export const writeMeasured = (path: string, tables: readonly Table[]): void => writeFileSync(path, `${JSON.stringify(tables, null, 1)}\n`);

/**
 * The tables with new results: each takes the place of what was measured before for the same work on the same kind of machine. A result that
 * has no torch side, or that others disturbed, is left out. Tables are in the order of their machines.
 */
export function merged(tables: readonly Table[], news: Table): Table[] {
  const counted = new Map(news.results.filter(({ ratio, busy }) => ratio !== undefined && busy <= QUIET).map((one) => [one.name, one]));
  if (counted.size === 0) return [...tables];
  const isSame = ({ machine, model }: Table): boolean => machine === news.machine && model === news.model;
  const before = tables.find(isSame)?.results ?? [];
  const known = new Set(before.map(({ name }) => name));
  const results = [...before.map((one) => counted.get(one.name) ?? one), ...[...counted.values()].filter(({ name }) => !known.has(name))];
  return [...tables.filter((table) => !isSame(table)), { ...news, results }].sort((a, b) => (a.machine < b.machine ? -1 : 1));
}

/** A table for each machine, the machine below it. */
export const shown = (tables: readonly Table[]): string =>
  tables
    .map(({ machine, model, results }) => {
      const rows = cells(results).map((row) => row.slice(0, COLUMNS));
      return `${markdown(rows, 2)}\n\n${machine}, ${model}.`;
    })
    .join("\n\n");

/** Of {@link cells}: up to the memory. */
const COLUMNS = 6;
