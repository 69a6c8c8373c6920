/** Tables in Markdown, and the places of pages where they are. */
import { existsSync } from "node:fs";
import { fail } from "../base/fail.ts";
import { readUtf8, writeAtomic } from "../base/store.ts";
import { visibleLine } from "../base/visible.ts";

/** Rows of text, heading first; the first `left` columns are words, the others numbers. */
export function markdown([head, ...rows]: readonly (readonly string[])[], left: number): string {
  const rule = head!.map((_, i) => (i < left ? "---" : "---:"));
  return [head!, rule, ...rows].map((row) => `| ${row.map((cell) => visibleLine(cell).replaceAll("|", "\\|")).join(" | ")} |`).join("\n");
}

/** Puts `body` between the markers `<!-- name -->` and `<!-- /name -->` of a page; makes a page that is not there, refuses one without them. */
export function writeBetween(path: string, name: string, body: string): void {
  const { before, after } = placeIn(path, name);
  writeAtomic(path, `${before}\n${body}\n${after}`);
}

/** The name of the place of each table of a grid: the grid's, or GRID/TABLE if there are several. */
export const placeNames = (grid: string, tables: readonly string[]): string[] =>
  tables.map((table) => (tables.length === 1 ? grid : `${grid}/${table}`));

/** The names whose markers are in a page. If the page does not exist yet, these are all names. Refuses a page without any of the markers. */
export function placesIn(path: string, names: readonly string[]): string[] {
  if (!existsSync(path)) return [...names];
  const text = readUtf8(path, "report");
  const found = names.filter((name) => text.includes(`<!-- ${name} -->`));
  for (const name of found.length > 0 ? found : names.slice(0, 1)) placeIn(path, name);
  return found;
}

/** Puts bodies into their places; makes a page that is not there. */
export function writePlaces(path: string, bodies: readonly (readonly [name: string, body: string])[]): void {
  if (!existsSync(path)) writeAtomic(path, bodies.map(([name]) => `<!-- ${name} -->\n<!-- /${name} -->\n`).join("\n"));
  for (const [name, body] of bodies) writeBetween(path, name, body);
}

/** What stands before and behind the place of a table in a page; refuses a page that has no such place. */
function placeIn(path: string, name: string): { readonly before: string; readonly after: string } {
  const [open, close] = [`<!-- ${name} -->`, `<!-- /${name} -->`];
  if (!existsSync(path)) return { before: open, after: `${close}\n` };
  const text = readUtf8(path, "report");
  const [from, to] = [text.indexOf(open), text.indexOf(close)];
  if (from < 0 || to < from)
    fail("report", `${path} has no place for the table`, `the markers ${open} and ${close}`, "Write them where the table belongs.");
  return { before: text.slice(0, from + open.length), after: text.slice(to) };
}
