/** What `--write FORMAT=PLACE` takes: logs of other tools for the rows, and sinks for the whole evaluation. */
import { existsSync, mkdirSync, writeFileSync } from "node:fs";
import { dirname, join, resolve } from "node:path";
import { fail, nearest } from "../base/fail.ts";
import { holding, isInside, writeAtomic } from "../base/store.ts";
import type { Evaluation, Files, Sink } from "../report/sinks/sink.ts";
import type { WritableLog } from "../run/eval.ts";
import { table } from "./format.ts";

const WHO = "--write";

/** A format that can be written: a log of another tool, or a sink. */
type Format = { readonly log: WritableLog } | { readonly sink: Sink };

/** A format with where it goes. */
export interface Wanted {
  readonly format: Format;
  readonly place: string;
}

async function formats(): Promise<Readonly<Record<string, Format>>> {
  const [{ writableLogs }, { registry }] = await Promise.all([import("../run/eval.ts"), import("../report/sinks/registry.ts")]);
  const logs = writableLogs().map((log) => [log.name, { log }] as const);
  const sinks = Object.values<Sink>(registry).map((sink) => [sink.name, { sink }] as const);
  return Object.fromEntries<Format>([...logs, ...sinks]);
}

/** The formats, each in a line. */
export async function writeLines(): Promise<string> {
  const all = Object.entries(await formats());
  return table(
    all.map(([name, one]) =>
      "log" in one ? [`  ${name}=FILE`, `the rows as a log of ${one.log.title}`] : [`  ${name}=${one.sink.to}`, one.sink.doc],
    ),
  );
}

/**
 * Reads what is to be written where; refuses an unknown format, one without a place, and a place in the folder of `-o`: that folder has the
 * files of the run and no others, or the same command would find it taken.
 */
export async function readWanted(given: readonly string[], output?: string): Promise<Wanted[]> {
  if (given.length === 0) return [];
  const known = await formats();
  const names = Object.keys(known);
  return given.map((one) => {
    const at = one.indexOf("=");
    const [name, place] = at < 0 ? [one, ""] : [one.slice(0, at), one.slice(at + 1)];
    if (!Object.hasOwn(known, name)) {
      const near = nearest(name, names);
      fail(WHO, `"${name}" cannot be written`, names.join(", "), near ? `Did you mean "${near}"?` : "--write help lists them.");
    }
    if (place === "") fail(WHO, `"${one}" says no place`, "FORMAT=FILE or FORMAT=FOLDER", "For example --write junit=junit.xml.");
    if (output !== undefined && isInside(place, output))
      fail(WHO, `${place} lies in the folder of -o`, "a place outside it", "That folder holds the files of the run only.");
    return { format: known[name]!, place };
  });
}

/** Writes an evaluation in a format. */
export async function writeWanted({ format, place }: Wanted, evaluation: Evaluation): Promise<void> {
  if ("log" in format) return writeAtomic(place, format.log.write(evaluation.rows));
  const { sink } = format;
  if (sink.to === "FILE") return writeAtomic(place, sink.write(evaluation));
  const folder = resolve(place);
  const { own, shared = {}, files = {} } = sink.write(evaluation, folder);
  for (const [path, content] of Object.entries(shared)) if (!existsSync(join(folder, path))) writeAtomic(join(folder, path), content);
  for (const [path, content] of Object.entries(files)) writeAtomic(join(folder, path), content);
  if (own) await holding(join(folder, own.path), WHO, async (output) => output.put((making) => fill(making, own.files)));
}

function fill(folder: string, files: Files): void {
  for (const [path, content] of Object.entries(files)) {
    const at = join(folder, path);
    mkdirSync(dirname(at), { recursive: true });
    writeFileSync(at, content);
  }
}
