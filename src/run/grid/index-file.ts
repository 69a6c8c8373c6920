/** The index of a folder of runs: which run answers which step of a grid, so that nothing has to be resolved to find it. It is safe to delete. */
import { appendFileSync, existsSync, mkdirSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { isRecord } from "../../base/store.ts";

/** A run that answers a step. */
export interface Entry {
  /** The address of the step: everything that is asked, and no code. */
  readonly of: string;
  /** The id of the run. */
  readonly id: string;
  /** The code that made it. */
  readonly code: string;
  /** The hashes of the results that it was made from, in the order of the step's needs. */
  readonly from: readonly string[];
  /** The hash of its own results. */
  readonly gives: string;
  /** The names of its results, and the state of its files when they were checked last; a line of committed records has no state. */
  readonly results: readonly string[];
  readonly stamp?: string;
  /** What it is like: runs of one kind take about the same time for a row. */
  readonly kind: string;
  readonly cost: Cost;
  /** Rows that it read, if they are known. */
  readonly rows?: number;
}

/** What a finished run took. */
export interface Cost {
  /** All attempts together. */
  readonly seconds: number;
  /** Peak memory in bytes. */
  readonly peak: number;
  /** Bytes of its files. */
  readonly bytes: number;
  /** Rows of its result, if it tells them. */
  readonly rows?: number;
}

/** The files whose code a run depends on, by the hash of that code. */
interface Files {
  readonly code: string;
  readonly files: readonly string[];
}

/** The code of some files in a build, which is told by the state of all source files. */
interface Built {
  readonly build: string;
  readonly behind: string;
  readonly code: string;
}

/** Any line of an index. */
type Line = Entry | Files | Content | Built;

/** The content of a large input, by its place and the state of its files. */
interface Content {
  readonly at: string;
  readonly stamp: string;
  readonly content: string;
}

/** The name of the index in a folder of runs, and in a folder of committed records. */
export const INDEX = { runs: join(".index", "steps.jsonl"), records: "index.jsonl" } as const;

/** An index in memory. Lines that are added go to the file at the next {@link IndexFile.flush}. */
export class IndexFile {
  private readonly path: string;
  private readonly entries = new Map<string, Entry[]>();
  private readonly files = new Map<string, readonly string[]>();
  private readonly contents = new Map<string, Content>();
  private readonly built = new Map<string, string>();
  private waiting: string[] = [];

  constructor(path: string) {
    this.path = path;
    for (const line of linesIn(path)) this.take(line);
  }

  /** Whether it knows no run. */
  get isEmpty(): boolean {
    return this.entries.size === 0;
  }

  /** The runs that answer an address, the newest line first. */
  at(address: string): readonly Entry[] {
    return this.entries.get(address) ?? [];
  }

  /** The files behind a code that a run of the index was made with. */
  filesOf(code: string): readonly string[] | undefined {
    return this.files.get(code);
  }

  contentAt(at: string, stamp: string): string | undefined {
    const known = this.contents.get(at);
    return known?.stamp === stamp ? known.content : undefined;
  }

  /** The code of some files in a build, if it was told before. */
  codeIn(build: string, behind: string): string | undefined {
    return this.built.get(`${build} ${behind}`);
  }

  add(line: Line): void {
    if (isFiles(line) && this.files.has(line.code)) return;
    this.take(line);
    this.waiting.push(JSON.stringify(line));
  }

  /** Every run of the index. */
  *all(): Generator<Entry> {
    for (const entries of this.entries.values()) yield* entries;
  }

  /** Every line, in an order that depends on nothing but the lines. */
  lines(): (Entry | Files)[] {
    const files = [...this.files].map(([code, names]): Files => ({ code, files: names }));
    const all = [...this.entries.values()].flatMap((entries) => entries);
    return [...files.sort((a, b) => (a.code < b.code ? -1 : 1)), ...all.sort((a, b) => (`${a.of}${a.id}` < `${b.of}${b.id}` ? -1 : 1))];
  }

  /** Appends what was added. An index that cannot be written costs time and nothing else. */
  flush(): void {
    if (this.waiting.length === 0) return;
    const text = `\n${this.waiting.join("\n")}\n`; // the first line break ends a line that a killed process left
    this.waiting = [];
    try {
      mkdirSync(dirname(this.path), { recursive: true });
      appendFileSync(this.path, text);
    } catch {
      return;
    }
  }

  private take(line: Line): void {
    if (isFiles(line)) return void this.files.set(line.code, line.files);
    if ("build" in line) return void this.built.set(`${line.build} ${line.behind}`, line.code);
    if ("content" in line) return void this.contents.set(line.at, line);
    const before = (this.entries.get(line.of) ?? []).filter(({ id }) => id !== line.id);
    this.entries.set(line.of, [line, ...before]);
  }
}

const isFiles = (line: Line): line is Files => "files" in line;

/** The lines of an index that can be read; a line that a killed process left is passed over. */
function linesIn(path: string): Line[] {
  if (!existsSync(path)) return [];
  return readFileSync(path, "utf8")
    .split("\n")
    .flatMap((text) => {
      const line = text === "" ? undefined : parsed(text);
      return line === undefined ? [] : [line];
    });
}

function parsed(text: string): Line | undefined {
  try {
    const line: unknown = JSON.parse(text);
    if (!isRecord(line)) return undefined;
    const has = (...keys: readonly string[]): boolean => keys.every((key) => typeof line[key] === "string");
    const lists = (...keys: readonly string[]): boolean => keys.every((key) => Array.isArray(line[key]));
    const isEntry = has("of", "id", "code", "gives", "kind") && lists("from", "results") && isRecord(line["cost"]);
    const isOther = (has("code") && lists("files")) || has("at", "stamp", "content") || has("build", "behind", "code");
    return isEntry || isOther ? (line as unknown as Line) : undefined;
  } catch {
    return undefined;
  }
}
