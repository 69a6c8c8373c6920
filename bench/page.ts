/** Tables in Markdown, and the places of pages where they stand. */
import { readFileSync, writeFileSync } from "node:fs";
import { cpus } from "node:os";

/** Rows of text, heading first; the first `left` columns are words, the others numbers. */
export function markdown([head, ...rows]: readonly (readonly string[])[], left: number): string {
  const rule = head!.map((_, i) => (i < left ? "---" : "---:"));
  return [head!, rule, ...rows].map((row) => `| ${row.join(" | ")} |`).join("\n");
}

/** Puts `body` between the markers `<!-- name -->` and `<!-- /name -->` of a page; refuses a page without them. */
export function writeBetween(path: string, name: string, body: string): void {
  const [open, close] = [`<!-- ${name} -->`, `<!-- /${name} -->`];
  const text = readFileSync(path, "utf8");
  const [from, to] = [text.indexOf(open), text.indexOf(close)];
  if (from < 0 || to < from) throw new Error(`bench: ${path} lacks the markers ${open} and ${close}`);
  writeFileSync(path, `${text.slice(0, from + open.length)}\n${body}\n${text.slice(to)}`);
}

/** The machine in words, and how many of its threads were used. */
export const machineOf = (threads: number, each = ""): string =>
  `${cpus().length} cores of ${cpus()[0]?.model ?? "unknown make"}, ${threads} thread${threads === 1 ? "" : "s"}${each}, Node ${process.versions.node}`;
