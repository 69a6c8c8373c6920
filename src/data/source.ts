/** Selects the files of a split in a folder or a repository, and reads their rows. */
import { basename, extname } from "node:path";
import { breakable } from "../base/bounded.ts";
import { breather, type Context } from "../base/context.ts";
import { parseCsv } from "./csv.ts";
import { readParquet } from "./parquet.ts";
import { type Located, ofBoundedSize, readText, recordsOf } from "./records.ts";

/** File types of data; if the same data exist in several, the first is read. */
const KINDS = [".jsonl", ".json", ".csv", ".tsv", ".parquet"];
/** Files that are not data. */
const SIDE = /(^|\/)(\.[^/]*|dataset_infos?\.json|dataset_dict\.json|state\.json|package(-lock)?\.json|README[^/]*)(\/|$)/;
const SHARD = /-(\d{5})-of-(\d{5})$/;

const isData = (name: string): boolean => KINDS.includes(extname(name).toLowerCase()) && !SIDE.test(name);
/** Whether the file is a table, not JSON. */
export const isTable = (name: string): boolean => /\.(csv|tsv|parquet)$/i.test(name);

/** A file's name without its extension and shard number. */
export const stemOf = (path: string): string => basename(path, extname(path)).replace(SHARD, "");

/**
 * The files of a split in a listing, in order: those with its name and the suffix `richer`, else with its name, else in a folder of that
 * name. Without a split, the only data in the listing. A returned text says what there is to choose from, or what is missing.
 */
export function pickFiles(names: readonly string[], split: string | undefined, richer = ""): string[] | string {
  const groups = new Map<string, string[]>();
  for (const name of names.filter(isData).sort()) {
    const key = `${name.slice(0, name.length - basename(name).length)}${stemOf(name)}${extname(name).toLowerCase()}`;
    const known = groups.get(key);
    if (known) known.push(name);
    else groups.set(key, [name]);
  }
  const isCalled =
    (wanted: string) =>
    (key: string): boolean =>
      stemOf(key) === wanted;
  const isIn = (key: string): boolean => key.split("/").slice(0, -1).includes(split!);
  const all = [...groups.keys()];
  const found =
    split === undefined
      ? all
      : ([isCalled(split + richer), isCalled(split), isIn].map((test) => all.filter(test)).find((keys) => keys.length > 0) ?? []);
  const kinds = [...found].sort((a, b) => KINDS.indexOf(extname(a)) - KINDS.indexOf(extname(b)));
  const isOne = new Set(found.map((key) => key.slice(0, -extname(key).length))).size === 1;
  if (!isOne) return offer(found.length > 0 ? found : all);
  const files = groups.get(kinds[0]!)!;
  const shards = Number(SHARD.exec(basename(files[0]!, extname(files[0]!)))?.[2] ?? files.length);
  return shards === files.length ? files : `${shards} files of ${kinds[0]} (${files.length} are there)`;
}

const offer = (keys: readonly string[]): string => {
  const splits = [...new Set(keys.map(stemOf))];
  const choices = splits.length > 1 ? splits.map((split) => `#${split}`) : keys;
  return keys.length === 0 ? `files of ${KINDS.join(", ")}` : `one of ${choices.slice(0, 30).join(", ")}`;
};

/** The rows of one file, by its extension. */
export async function rowsIn(path: string, name: string, ctx: Context): Promise<Located[]> {
  const kind = extname(path).toLowerCase();
  if (kind === ".parquet") return ofBoundedSize(await readParquet(path, name, ctx.signal));
  if (kind === ".csv" || kind === ".tsv") return breakable("data", () => parseCsv(readText(path), name, kind === ".tsv" ? "\t" : ","));
  return ofBoundedSize(await recordsOf(readText(path), name, breather(ctx, "data")));
}
