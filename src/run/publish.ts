/** Puts a run's result at another path: completely or not at all. Other content is replaced only if forced. */
import { existsSync, lstatSync, mkdirSync, readdirSync, statSync } from "node:fs";
import { dirname, join } from "node:path";
import { fail } from "../base/fail.ts";
import { holding, isInside, type Output, refuseTaken } from "../base/store.ts";
import { finishedIn, hashFile, linkOrCopy } from "./folder.ts";
import type { Layout, RunRecord } from "./record.ts";

/** The path of a file below the output path; "" is the output path itself. */
type Placed = readonly (readonly [from: string, to: string])[];

function placed(layout: Layout, { outputs }: RunRecord): Placed {
  if ("file" in layout) return [[layout.file, ""]];
  if ("files" in layout) return Object.entries(layout.files).map(([to, from]) => [from, to]);
  const root = `${layout.folder}/`;
  return Object.keys(outputs).flatMap((name) => (name.startsWith(root) ? [[name, name.slice(root.length)]] : []));
}

/** The folders that go beside the result, by their paths. */
const besides = ({ layout }: RunRecord, out: string): [at: string, layout: Layout][] =>
  layout && !("files" in layout) ? Object.entries(layout.beside ?? {}).map(([suffix, folder]) => [`${out}${suffix}`, { folder }]) : [];

/**
 * Refuses an output path with other content than the result of the run at `path`. `force` allows replacing it, except for a folder that
 * contains the runs or the working directory.
 */
export async function refuseOccupied(out: string, path: string, force: boolean, who: string): Promise<void> {
  const within = [path, "."].find((inner) => isInside(inner, out));
  if (within !== undefined)
    fail(who, `${out} holds ${within === path ? "the folder of runs" : "the working directory"}`, "a path of its own", "Choose another.");
  if (force || isFree(out)) return;
  const record = await finishedIn(path);
  if (!record || !(await isAt(out, record.layout!, record))) refuseTaken(out, who);
}

const isFree = (path: string): boolean => !existsSync(path) || (statSync(path).isDirectory() && readdirSync(path).length === 0);

/** Whether a path holds exactly these files of a run. */
async function isAt(out: string, layout: Layout, record: RunRecord): Promise<boolean> {
  const files = placed(layout, record);
  const isFolder = statSync(out).isDirectory();
  const there = isFolder ? readdirSync(out, { recursive: true, withFileTypes: true }).filter((entry) => !entry.isDirectory()).length : 1;
  if (there !== files.length || isFolder === "file" in layout) return false;
  for (const [from, to] of files) {
    const file = to === "" ? out : join(out, to);
    if (!existsSync(file) || !lstatSync(file).isFile() || (await hashFile(file)) !== record.outputs[from]) return false;
  }
  return true;
}

/**
 * Puts a finished run's files at an output, as links if the file system supports it, otherwise as copies. Refuses to replace other content
 * next to it.
 */
export async function publish(path: string, record: RunRecord, output: Output, force: boolean, who: string): Promise<void> {
  const others = besides(record, output.name);
  if (!force) for (const [at, layout] of others) if (!isFree(at) && !(await isAt(at, layout, record))) refuseTaken(at, who);
  put(path, placed(record.layout!, record), output);
  for (const [at, layout] of others)
    await holding(at, who, async (beside) => {
      put(path, placed(layout, record), beside);
    });
}

const put = (path: string, files: Placed, output: Output): void =>
  output.put((making) => {
    const isFile = files.some(([, to]) => to === "");
    if (!isFile) mkdirSync(making);
    for (const [from, to] of files) {
      const at = isFile ? making : join(making, to);
      mkdirSync(dirname(at), { recursive: true });
      linkOrCopy(join(path, from), at);
    }
  });
