/** The hash of the code that decides a result: the source files that a step imports, without comments. */
import { existsSync, readFileSync } from "node:fs";
import { posix } from "node:path";
import { fileURLToPath } from "node:url";
import { fail } from "../base/fail.ts";
import { hash, type Hash } from "../base/hash.ts";
import { readJson } from "../base/store.ts";

/** Reads a source file by its path below the root; undefined where there is none. */
export type ReadSource = (path: string) => string | undefined;

const IMPORT =
  /(?:^|[;\n])\s*(?:import|export)\b[^;"'`]*?\bfrom\s*["']([^"']+)["']|\bimport\s*\(\s*["']([^"']+)["']|^\s*import\s*["']([^"']+)["']/gm;
/** Imports and exports of types alone. */
const TYPES = /^(?:import|export) type\b[^;"'`]*?\bfrom\s*["'][^"']+["'];?\n?/gm;
/** A source file without what decides nothing, and what it imports. */
interface Source {
  readonly bare: string;
  readonly imports: readonly string[];
}
/** Source files that were read before, by their paths below the root. */
export type Sources = Map<string, Source>;

/** Lists of a shelf's entries: they import every entry, and a result depends only on the entries that it uses. */
const REGISTRY = /(?:^|\/)registry\.(?:ts|js)$/;

/**
 * The hash of the code behind some files, which are named below the root and without their extension, such as "run/steps/forget"; an entry
 * may be a folder with a file of its name in it. It covers the files and all that they import, except through a registry, and the versions
 * of the packages that they import. Comments and imports of types decide nothing and are left out. Refuses an entry that is not there.
 * `seen` keeps what was read for the next call.
 */
export function codeOf(
  entries: readonly string[],
  read: ReadSource,
  versions: Readonly<Record<string, string>>,
  extension: "ts" | "js" = "ts",
  seen: Sources = new Map(),
): Hash {
  const files = new Map<string, string>();
  const packages = new Set<string>();
  const visit = (path: string): void => {
    if (files.has(path) || REGISTRY.test(path)) return;
    const source = seen.get(path) ?? bareOf(read(path));
    if (source === undefined) return;
    seen.set(path, source);
    files.set(path, source.bare);
    for (const target of source.imports) {
      if (target.startsWith(".")) visit(posix.join(posix.dirname(path), target));
      else for (const name of Object.keys(versions)) if (`${target}/`.startsWith(`${name}/`)) packages.add(`${name}@${versions[name]}`);
    }
  };
  for (const entry of entries) {
    const paths = [`${entry}.${extension}`, `${entry}/${posix.basename(entry)}.${extension}`];
    const path = paths.find((one) => read(one) !== undefined);
    visit(path ?? fail("lethe", `there is no ${paths.join(" and no ")}`, "the code that a step uses", "", "internal"));
  }
  const named = [...files].map(([path, text]) => [path.replace(/\.[tj]s$/, ""), text] as const);
  return hash(...named.sort(([a], [b]) => (a < b ? -1 : 1)).flat(), [...packages].sort());
}

function bareOf(source: string | undefined): Source | undefined {
  if (source === undefined) return undefined;
  const bare = withoutComments(source).replaceAll(TYPES, "").trimEnd();
  return { bare, imports: [...bare.matchAll(IMPORT)].map(([, from, later, alone]) => (from ?? later ?? alone)!) };
}

const ROOT = new URL("../", import.meta.url);

/** The code that runs here, behind some files. */
export const ownCode = (entries: readonly string[], seen: Sources = new Map()): Hash =>
  codeOf(entries, ownSource, ownVersions(), import.meta.url.endsWith(".ts") ? "ts" : "js", seen);

/** A file of the sources, or of what is built, that this is one of. */
export function ownSource(path: string): string | undefined {
  const file = fileURLToPath(new URL(path, ROOT));
  return existsSync(file) ? readFileSync(file, "utf8") : undefined;
}

/** The packages that these sources need, with their versions. */
export const ownVersions = (): Readonly<Record<string, string>> =>
  (readJson(fileURLToPath(new URL("../package.json", ROOT)), "lethe") as { dependencies: Record<string, string> }).dependencies;

/** What precedes a slash that begins a regular expression and is no division. */
const BEFORE_REGEX = /(?:^|[(,=:[!&|?{};+\-*%~^<>]|\b(?:return|typeof|case|in|of|delete|void|throw|new|else|do|yield|await))\s*$/;

/** A source without its comments, empty lines and indentation; strings, template literals and regular expressions do not change. */
export function withoutComments(source: string): string {
  let out = "";
  const braces: number[] = []; // depth of `{` in each open substitution of a template literal
  const upTo = (end: number): void => {
    out += source.slice(i, end);
    i = end;
  };
  let i = 0;
  while (i < source.length) {
    const [here, two] = [source[i]!, source.slice(i, i + 2)];
    if (two === "//") i = indexOr(source, "\n", i);
    else if (two === "/*") i = Math.min(source.length, indexOr(source, "*/", i + 2) + 2);
    else if (here === '"' || here === "'") upTo(quoteEnd(source, i + 1, here));
    else if (here === "`" || (here === "}" && braces.at(-1) === 0)) {
      if (here === "}") braces.pop();
      const end = templateEnd(source, i + 1);
      if (source[end - 1] === "{") braces.push(0);
      upTo(end);
    } else if (here === "/" && BEFORE_REGEX.test(out.slice(-40))) upTo(regexEnd(source, i + 1));
    else {
      if (braces.length > 0 && here === "{") braces[braces.length - 1]!++;
      if (braces.length > 0 && here === "}") braces[braces.length - 1]!--;
      upTo(i + 1);
    }
  }
  return out
    .split("\n")
    .map((line) => line.trim())
    .filter(Boolean)
    .join("\n");
}

function indexOr(source: string, what: string, from: number): number {
  const at = source.indexOf(what, from);
  return at < 0 ? source.length : at;
}

/** One past the closing quote. */
function quoteEnd(source: string, from: number, quote: string): number {
  let i = from;
  while (i < source.length && source[i] !== quote) i += source[i] === "\\" ? 2 : 1;
  return i + 1;
}

/** One past the backtick that closes a template literal, or past the `${` that opens a substitution. */
function templateEnd(source: string, from: number): number {
  let i = from;
  while (i < source.length && source[i] !== "`" && !(source[i] === "$" && source[i + 1] === "{")) i += source[i] === "\\" ? 2 : 1;
  return i + (source[i] === "$" ? 2 : 1);
}

/** One past the slash that closes a regular expression. */
function regexEnd(source: string, from: number): number {
  let i = from;
  for (let isClass = false; i < source.length && (isClass || source[i] !== "/") && source[i] !== "\n"; i++) {
    if (source[i] === "\\") i++;
    else if (source[i] === "[") isClass = true;
    else if (source[i] === "]") isClass = false;
  }
  return i + 1;
}
