/** Steps on disk: what each costs, what a kill leaves, and what is not taken for a run's own. */
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, truncateSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, it } from "vitest";
import { floats, type NdArray } from "../../src/base/array.ts";
import { joined } from "../../src/base/blocks.ts";
import { rng } from "../../src/base/rng.ts";
import type { Step } from "../../src/edit/sequence.ts";
import { StepLog } from "../../src/edit/step-log.ts";

const random = rng("steps");
const drawn = (...shape: number[]): NdArray =>
  floats(
    Array.from({ length: shape.reduce((a, b) => a * b, 1) }, () => random.normal()),
    shape,
  );
const WORDS = { kind: "delta" } as const;

/** Steps like those of methods that write factors and remember keys, the latest first; that keep a book; and that change a matrix in full. */
function factors(count: number): Step[] {
  let keys: NdArray | undefined;
  return Array.from({ length: count }, (_, i) => {
    keys = keys ? joined([drawn(5, 1), keys], 1) : drawn(5, 1);
    return {
      words: WORDS,
      evidence: { i },
      own: new Map([
        ["w/left", drawn(4, 1)],
        ["w/right", drawn(1, 5)],
      ]),
      standing: new Map([["memory/keys", keys]]),
    };
  });
}
function books(count: number): Step[] {
  let book: NdArray | undefined;
  return Array.from({ length: count }, (_, i) => {
    book = book ? joined([book, drawn(1, 6)], 0) : drawn(1, 6);
    const radii = drawn(i + 1);
    return {
      words: { ...WORDS, frame: `${Math.floor(i / 3)}` } as never,
      own: new Map(),
      standing: new Map([
        ["state/keys", book],
        ["state/radii", radii],
      ]),
    };
  });
}
const full = (count: number): Step[] =>
  Array.from({ length: count }, (): Step => ({ words: WORDS, own: new Map(), standing: new Map([["w/dense", drawn(64, 64)]]) }));
const mixed = (count: number): Step[] => {
  const still = drawn(7);
  return Array.from({ length: count }, (_, i): Step => {
    const standing = new Map([
      ["memory/still", still],
      [`memory/only.${i}`, drawn(2)],
    ]);
    return { words: WORDS, own: i % 2 ? new Map([["w/left", drawn(4, 1)]]) : new Map(), standing };
  });
};
const KINDS = { factors, books, full, mixed } as const;
/** As a log gives steps back. */
const asKept = (steps: readonly Step[]): Step[] => steps.map((step, i) => (i < steps.length - 1 ? { ...step, standing: new Map() } : step));
const all = (): boolean => true;

describe("a log of steps", () => {
  const root = mkdtempSync(join(tmpdir(), "lethe-steps-"));
  afterAll(() => rmSync(root, { recursive: true, force: true }));
  const filled = (name: string, steps: readonly Step[], about = "run"): string => {
    const folder = join(root, name);
    const { log } = StepLog.open(folder, about, all);
    steps.forEach((step, i) => log.append(step, { id: i }));
    return folder;
  };
  const sizes = (folder: string): number[] =>
    readdirSync(folder)
      .filter((file) => file.endsWith(".safetensors"))
      .sort()
      .map((file) => statSync(join(folder, file)).size);

  it.each(Object.entries(KINDS))("%s come back, from every one of them on", (name, make) => {
    const steps = make(6);
    for (let from = 0; from <= 6; from++) {
      const folder = filled(`${name}-${from}`, steps.slice(0, from));
      const { log, steps: kept } = StepLog.open(folder, "run", all);
      expect(kept).toEqual(asKept(steps.slice(0, from)));
      steps.slice(from).forEach((step, i) => log.append(step, { id: from + i }));
      expect(StepLog.open(folder, "run", all).steps).toEqual(asKept(steps));
      expect(log.length).toBe(6);
    }
  });

  it("a step costs what is new in it", () => {
    const own = sizes(filled("many-factors", factors(30)));
    expect(own).toHaveLength(30);
    expect(new Set(own.slice(1)).size).toBe(1);
    const folder = filled("many-full", full(30));
    expect(sizes(folder)).toHaveLength(1); // each took the place of the one before it
    const [first, ...rest] = readFileSync(join(folder, "steps.jsonl"), "utf8").trim().split("\n").slice(1);
    expect(rest.every((line) => line.length <= first!.length + 1)).toBe(true);
  });

  it("a process that was killed while it kept a step leaves those before it", () => {
    const steps = factors(4);
    const folder = filled("torn", steps.slice(0, 3));
    const lines = join(folder, "steps.jsonl");
    const whole = readFileSync(lines);
    const last = whole.lastIndexOf(10, whole.length - 2) + 1;
    for (let size = last; size < whole.length; size += 7) {
      writeFileSync(lines, whole);
      truncateSync(lines, size);
      expect(StepLog.open(folder, "run", all).steps).toEqual(asKept(steps.slice(0, 2)));
    }
    // its array file is there and its line is not; a temporary file is left
    writeFileSync(join(folder, ".000002.safetensors.host.1.00000000.part"), "half");
    const { log } = StepLog.open(folder, "run", all);
    for (const i of [2, 3]) log.append(steps[i]!, { id: i });
    expect(StepLog.open(folder, "run", all).steps).toEqual(asKept(steps));
    expect(readdirSync(folder).sort()).toEqual([...[0, 1, 2, 3].map((i) => `00000${i}.safetensors`), "steps.jsonl"]);
    // a file that a later step made useless, and that was to be deleted
    const other = filled("left-over", full(2));
    writeFileSync(join(other, "000000.safetensors"), "old");
    const next = full(3)[2]!;
    StepLog.open(other, "run", all).log.append(next, { id: 2 });
    expect(sizes(other)).toHaveLength(1);
    expect(StepLog.open(other, "run", all).steps.at(-1)!.standing).toEqual(next.standing);
  });

  it("steps count as far as their labels are the same, if what stood there is still known", () => {
    const upTo = (n: number) => (label: unknown, i: number) => i < n && (label as { id: number }).id === i;
    const steps = factors(5);
    const folder = filled("labels", steps);
    const { log, steps: kept } = StepLog.open(folder, "run", upTo(3));
    expect(kept).toEqual(asKept(steps.slice(0, 3)));
    const [other] = factors(1);
    log.append(
      { ...other!, standing: new Map([["memory/keys", joined([drawn(5, 1), steps[2]!.standing.get("memory/keys")!], 1)]]) },
      { id: 3 },
    );
    expect(StepLog.open(folder, "run", all).steps).toHaveLength(4);
    expect(sizes(folder)).toHaveLength(4);
    expect(StepLog.open(filled("labels-full", full(5)), "run", upTo(3)).steps).toEqual([]);
  });

  it("another run's steps count for nothing, and go with its first step; files that are no step's stay", () => {
    const folder = filled("other", factors(3));
    writeFileSync(join(folder, "notes.txt"), "mine");
    const { log, steps } = StepLog.open(folder, "another", all);
    expect(steps).toEqual([]);
    expect(sizes(folder)).toHaveLength(3);
    log.append(factors(1)[0]!, { id: 0 });
    expect(sizes(folder)).toHaveLength(1);
    StepLog.remove(folder);
    expect(readdirSync(folder)).toEqual(["notes.txt"]);
    rmSync(join(folder, "notes.txt"));
    StepLog.remove(folder);
    expect(existsSync(folder)).toBe(false);
    StepLog.remove(folder); // and once more
  });

  it("a file that stands in its place gives way", () => {
    const folder = join(root, "file");
    writeFileSync(folder, "of an older version");
    expect(filled("file", factors(2))).toBe(folder);
    expect(StepLog.open(folder, "run", all).steps).toHaveLength(2);
  });

  it("says what is damaged", () => {
    const folder = filled("damaged", factors(3));
    rmSync(join(folder, "000001.safetensors"));
    expect(StepLog.open(folder, "run", all).steps).toEqual([]);
    const line = filled("damaged-line", factors(3));
    const text = readFileSync(join(line, "steps.jsonl"), "utf8").split("\n");
    writeFileSync(join(line, "steps.jsonl"), [...text.slice(0, 2), '{"own":3}', ...text.slice(3)].join("\n"));
    expect(() => StepLog.open(line, "run", all)).toThrow(/steps\.jsonl line 3; wanted a line that Lethe wrote/);
    const arrays = filled("damaged-arrays", factors(2));
    writeFileSync(join(arrays, "000001.safetensors"), readFileSync(join(filled("damaged-full", full(1)), "000000.safetensors")));
    expect(() => StepLog.open(arrays, "run", all)).toThrow(/no "own\/w\/left" in .*000001\.safetensors/);
    mkdirSync(join(root, "empty"));
    expect(StepLog.open(join(root, "empty"), "run", all).steps).toEqual([]);
  });
});
