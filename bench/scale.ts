/** How a batch grows: time and peak memory of `lethe forget` on zsRE, each count in a process of its own that can be killed and goes on. */
import { spawn } from "node:child_process";
import { existsSync, mkdirSync, readFileSync, rmSync, statSync } from "node:fs";
import { createInterface } from "node:readline";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { hash } from "../src/base/hash.ts";
import { appendLine, readJson, readLines, writeAtomic } from "../src/base/store.ts";
import { readText } from "../src/data/records.ts";
import { ownCode } from "../src/run/code.ts";
import { command } from "../test/cli/lethe.ts";

const at = (path: string): string => fileURLToPath(new URL(path, import.meta.url));
const ZSRE = at("../../shared/data/zsre/zsre_1037.json");
/** What runs before the command line in its process: at its end it notes the most memory that the process held. */
const PRELOAD = new URL("peak.mjs", import.meta.url).href;

export interface Scale {
  /** The path of the model. */
  readonly model: string;
  readonly method: string;
  readonly counts: readonly number[];
  /** What is set of the method, as for `lethe forget --set`. */
  readonly set: readonly string[];
  /** The file of lines; what the runs need stands in a folder beside it. */
  readonly out: string;
  readonly threads: number;
}

interface Line {
  readonly key: string;
  readonly count: number;
  /** Of the whole process; over restarts, those that were killed included, and with what it took to find the values that it found kept. */
  readonly seconds: number;
  /** Of these, the seconds behind the last value: keys, systems, the edit. */
  readonly writing: number;
  /** Of the process that ended. */
  readonly peakBytes: number;
  readonly editBytes: number;
  /** How often it was begun. */
  readonly starts: number;
}

export const HEAD = ["requests", "seconds", "s a request", "of it writing, s", "peak memory, MiB", "edit, KiB", "starts"];

/**
 * Runs what is not kept yet, fewest requests first, and gives the table's rows, heading first. A count goes on from the values of the one
 * before it, whose seconds are added to its own.
 */
export async function scale({ model, method, counts, set, out, threads }: Scale): Promise<string[][]> {
  const folder = out.replace(/\.jsonl$/, "");
  mkdirSync(folder, { recursive: true });
  const key = hash(ownCode(["run/steps/forget", `methods/${method}`]), model, method, set, threads).slice(0, 16);
  const lines = existsSync(out) ? (readLines(out) as Line[]) : [];
  const home = join(folder, key);
  const rows: Line[] = [];
  // the first run of all also takes the statistics
  for (const count of [0, ...[...counts].sort((a, b) => a - b)]) {
    const kept = lines.find((line) => line.key === key && line.count === count);
    const line = kept ?? { key, count, ...(await forget({ model, method, count, set, threads, home })) };
    if (!kept) {
      appendLine(out, line);
      process.stderr.write(`${rowOf(line).join("  ")}\n`);
    }
    if (count > 0) rows.push(line);
  }
  return [HEAD, ...rows.map(rowOf)];
}

const rowOf = ({ count, seconds, writing, peakBytes, editBytes, starts }: Line): string[] => [
  `${count || "1, with statistics"}`,
  seconds.toFixed(0),
  (seconds / Math.max(1, count)).toFixed(2),
  writing.toFixed(0),
  (peakBytes / 2 ** 20).toFixed(0),
  (editBytes / 2 ** 10).toFixed(0),
  `${starts}`,
];

interface Run extends Omit<Scale, "counts" | "out"> {
  /** Requests from the beginning of the set; 0: one from its end, to make statistics with. */
  readonly count: number;
  /** The cache of all counts; the names of a run's other files begin with it. */
  readonly home: string;
}

/** One run of the command line to its end. What it keeps when it is killed stands in its home and beside it, its seconds too. */
async function forget({ model, method, count, set, threads, home }: Run): Promise<Omit<Line, "key" | "count">> {
  const [data, edit, peak, noted, spent] = [`${home}.data.json`, `${home}.edit`, `${home}.peak`, `${home}.seconds`, `${home}.spent`];
  writeAtomic(data, requests(count));
  const read = (path: string): Noted | undefined => (existsSync(path) ? (readJson(path, "bench") as Noted) : undefined);
  const earlier = read(spent)?.seconds ?? 0; // to find the values that are kept
  const noting = read(noted);
  const before = noting?.count === count ? noting : { seconds: 0, starts: 0, count };
  const starts = before.starts + 1;
  const start = performance.now();
  const seconds = (): number => Number((before.seconds + (performance.now() - start) / 1e3).toFixed(1));
  const note = (): void => writeAtomic(noted, JSON.stringify({ seconds: seconds(), starts, count }));
  note();
  const timer = setInterval(note, 5000);
  const words = ["forget", model, "--method", method, "--data", `zsre:${data}`, "--plain", "--target", "refusal", "--json"];
  const sets = set.flatMap((pair) => ["--set", pair]);
  const child = spawn(process.execPath, ["--import", PRELOAD, ...command(), ...words, ...sets, "-n", "0", "--force", "-o", edit], {
    env: { ...process.env, LETHE_HOME: home, LETHE_THREADS: `${threads}`, LETHE_BENCH_PEAK: peak },
    stdio: ["ignore", "ignore", "pipe"],
  });
  let [said, found] = ["", 0];
  createInterface({ input: child.stderr }).on("line", (line) => {
    if (line.startsWith(WRITES)) found ||= seconds();
    said = `${said}${line}\n`.slice(-2000);
  });
  const code = await new Promise<number | null>((done) => child.once("close", done));
  clearInterval(timer);
  if (code !== 0) throw new Error(`bench: lethe forget of ${count} requests ended with ${code}:\n${said}`);
  const own = seconds();
  const writing = Number((own - found).toFixed(1));
  const result = { seconds: earlier + own, writing, peakBytes: Number(readFileSync(peak, "utf8")), editBytes: statSync(edit).size, starts };
  if (count > 0) writeAtomic(spent, JSON.stringify({ seconds: earlier + found }));
  for (const file of [data, edit, peak, noted]) rmSync(file, { force: true });
  return result;
}

interface Noted {
  readonly seconds: number;
  readonly starts: number;
  readonly count: number;
}

/** How the progress of writing begins, which follows the last value. */
const WRITES = '{"progress":{"stage":"layers"';

/** The first `count` rows of the set as they were published, in its own layout; the last row for 0. */
function requests(count: number): string {
  const lines = readText(ZSRE).trim().split("\n");
  if (count > lines.length) throw new Error(`bench: --counts ${count}, and zsRE has ${lines.length} rows`);
  return `${(count === 0 ? lines.slice(-1) : lines.slice(0, count)).join("\n")}\n`;
}
