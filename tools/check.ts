/**
 * `npm run check` says what is out of order; `npm run fix` writes what can be written: registries, tables, the schema of samples, kernels, format, lint.
 * Words choose: `npm run fix -- registries "doc tables"`.
 */
import { spawnSync } from "node:child_process";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { readFiles, ROOT } from "./files.ts";
import { KERNELS, kernelsText } from "./kernels.ts";
import { entries, fileOf, registryText, SHELVES } from "./shelves.ts";
import { sizes } from "./sizes.ts";
import { declaration, type Declared, type Judging, type Shaped, withTable } from "./tables.ts";

const fix = process.argv.includes("--fix");
const chosen = process.argv.slice(2).filter((word) => !word.startsWith("--"));
const say = (text: string): unknown => process.stdout.write(`${text}\n`);
const PLACES = ["src", "test", "parity", "bench", "tools"].filter((place) => existsSync(join(ROOT, place)));

/** Runs a tool of node_modules; true when it is content. */
function tool(name: string, args: readonly string[]): boolean {
  const bin = join(ROOT, "node_modules", ".bin", process.platform === "win32" ? `${name}.cmd` : name);
  return spawnSync(bin, args, { cwd: ROOT, stdio: "inherit", shell: process.platform === "win32" }).status === 0;
}

/** Compares a generated file with what is there; writes it under `fix`. */
function generated(path: string, wanted: string, got: string | undefined): boolean {
  if (wanted === got) return true;
  if (!fix) say(`${path} is stale; npm run fix writes it`);
  else writeFileSync(join(ROOT, path), wanted);
  return fix;
}

function registries(): boolean {
  const files = readFiles();
  return SHELVES.map((shelf) => {
    const ids = entries(shelf, files.keys());
    const path = `${shelf.folder}/registry.ts`;
    return ids.length === 0 && !files.has(path)
      ? true
      : generated(
          path,
          registryText(shelf, ids, (file) => files.has(file)),
          files.get(path),
        );
  }).every(Boolean);
}

async function docTables(): Promise<boolean> {
  const files = readFiles();
  const [methods, metrics] = ["src/methods", "src/eval/metrics"].map((folder) => SHELVES.find((shelf) => shelf.folder === folder)!);
  const root = pathToFileURL(ROOT).href;
  let good = true;
  const pages = [methods!, metrics!].flatMap((shelf) =>
    entries(shelf, files.keys()).map((id): [string, () => Promise<Parameters<typeof withTable>[1]>] => [
      `${shelf.pages}/${id}.md`,
      () =>
        declaration<Declared | Judging>(
          root,
          fileOf(shelf, id, (file) => files.has(file)),
          id,
        ),
    ]),
  );
  const { FINETUNE } = (await import(new URL("src/train/tune.ts", root).href)) as { FINETUNE: Declared["params"] };
  pages.push(["docs/finetune.md", () => Promise.resolve({ params: FINETUNE })]);
  const archs = SHELVES.find((shelf) => shelf.folder === "src/model/arch")!;
  const declared = entries(archs, files.keys()).map((id) => declaration<Shaped>(root, `${archs.folder}/${id}.ts`, id));
  pages.push(["docs/models/README.md", async () => ({ archs: await Promise.all(declared) })]);
  for (const [path, declared] of pages) {
    const page = files.get(path);
    const made = page === undefined ? undefined : withTable(page, await declared());
    if (made === undefined) say(`${path}: ${page === undefined ? "is not there" : "has no <!-- params --> <!-- /params -->"}`);
    good = made !== undefined && generated(path, made, page) && good;
  }
  return good;
}

async function schema(): Promise<boolean> {
  const { samplesSchema } = (await import(new URL("src/eval/logs/samples.ts", pathToFileURL(ROOT).href).href)) as {
    samplesSchema: () => object;
  };
  const path = "docs/samples.schema.json";
  const got = existsSync(join(ROOT, path)) ? readFileSync(join(ROOT, path), "utf8") : undefined;
  return generated(path, `${JSON.stringify(samplesSchema(), null, 2)}\n`, got);
}

async function kernels(): Promise<boolean> {
  const files = readFiles();
  return generated(KERNELS.compiled, await kernelsText(files.get(KERNELS.source)!), files.get(KERNELS.compiled));
}

/** Prints what is past its limit; never fails. */
function mirror(): boolean {
  const long = sizes(readFiles());
  for (const { what, lines, limit } of long) say(`  ${String(lines).padStart(5)} / ${limit}  ${what}`);
  say(long.length ? `  ${long.length} past a limit: is a room missing?` : "  nothing is past its limit");
  return true;
}

const CHECKS: readonly (readonly [string, () => boolean | Promise<boolean>])[] = [
  ["registries", registries],
  ["doc tables", docTables],
  ["schema", schema],
  ["kernels", kernels],
  ["format", () => tool("oxfmt", [fix ? "--write" : "--check", ...PLACES, "studies"])],
  ["lint", () => tool("oxlint", ["--type-aware", "--deny-warnings", ...(fix ? ["--fix"] : []), ...PLACES])],
  ["types", () => ["tsconfig.json", "tools/tsconfig.json"].map((project) => tool("tsc", ["--noEmit", "-p", project])).every(Boolean)],
  ["sizes", mirror],
];

const failed: string[] = [];
for (const [name, run] of CHECKS.filter(([check]) => chosen.length === 0 || chosen.includes(check))) {
  say(`— ${name}`);
  if (!(await run())) failed.push(name);
}
say(failed.length ? `\nout of order: ${failed.join(", ")}${fix ? "" : " (npm run fix writes what can be written)"}` : "\nin order");
process.exitCode = failed.length ? 1 : 0;
