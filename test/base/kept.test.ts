/** The one cache: made once, found again, never a reason to fail, and never a reason for another result. */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { chmodSync, existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { z } from "zod";
import { floats } from "../../src/base/array.ts";
import { type Codec, json } from "../../src/base/codec.ts";
import { type Context, defaultContext } from "../../src/base/context.ts";
import { fail } from "../../src/base/fail.ts";
import { tryLock, writeAtomicWith } from "../../src/base/store.ts";
import { ifKept, inWorkFolder, isKept, keep, kept, keptAll, layered, peek } from "../../src/base/kept.ts";

const NUMBERS = json(z.array(z.number()));
const VALUE = [1, 0.1, 2];

let folder = "";
let warnings: string[] = [];
let ctx: Context = defaultContext();
const contextAt = (cache: string, over: Partial<Context> = {}): Context =>
  defaultContext({ cache, log: (e) => void (e.kind === "warning" && warnings.push(e.text)), ...over });
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "lethe-kept-"));
  warnings = [];
  ctx = contextAt(join(folder, "cache"));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

/** A maker that counts how often it is asked. */
function maker(value: readonly number[] = VALUE, ms = 0): { make: () => Promise<number[]>; count: () => number } {
  let count = 0;
  const make = async (): Promise<number[]> => {
    count++;
    await sleep(ms);
    return [...value];
  };
  return { make, count: () => count };
}
/** Every file of the cache. */
const files = (under = ctx.cache): string[] =>
  existsSync(under)
    ? readdirSync(under, { recursive: true, withFileTypes: true })
        .filter((entry) => entry.isFile())
        .map((entry) => join(entry.parentPath, entry.name))
    : [];

describe("kept", () => {
  test("makes a thing once, and again for whatever else it depends on", async () => {
    const { make, count } = maker();
    for (let i = 0; i < 3; i++) expect(await kept(ctx, "things", ["a", { b: 1 }], NUMBERS, make)).toEqual(VALUE);
    expect(count()).toBe(1);
    const others = [
      ["others", ["a", { b: 1 }], NUMBERS],
      ["things", ["a", { b: 2 }], NUMBERS],
      ["things", ["a"], NUMBERS],
      ["things", ["a", floats([1])], NUMBERS],
      ["things", ["a", floats([1], [1], "float64")], NUMBERS],
      ["things", ["a", { b: 1 }], { ...NUMBERS, id: "json/2" }],
    ] as const;
    for (const [kind, dependsOn, codec] of others) await kept(ctx, kind, dependsOn, codec, make);
    expect(count()).toBe(1 + others.length);
    expect(files()).toHaveLength(1 + others.length); // no locks and no temporaries
    expect(warnings).toEqual([]);
  });

  test.each([
    [NaN, "NaN"],
    [{ a: [Infinity] }, "Infinity"],
    [new Map([[1, 2]]), "a Map"],
    [{ a: new Set() }, "a Set"],
    [() => 1, "a function"],
    [{ deep: { data: new Float64Array(1) } }, "a Float64Array"],
  ])("refuses a key that does not tell everything: %s", async (part, what) => {
    await expect(kept(ctx, "things", ["a", part], NUMBERS, maker().make)).rejects.toThrow(`${what} in a key; wanted JSON`);
  });

  test("a maker's error is the caller's, is not kept, and leaves the way free", async () => {
    const broken = async (): Promise<number[]> => fail("maker", "no luck", "", "");
    const [one, two] = [kept(ctx, "things", [1], NUMBERS, broken), kept(ctx, "things", [1], NUMBERS, broken)];
    await expect(one).rejects.toThrow("maker: no luck");
    await expect(two).rejects.toThrow("maker: no luck");
    expect(files()).toEqual([]);
    expect(await kept(ctx, "things", [1], NUMBERS, maker().make)).toEqual(VALUE);
  });

  test("what cannot be given back as it is, is a mistake of the maker's and not kept", async () => {
    await expect(kept(ctx, "things", [1], NUMBERS, async () => [NaN])).rejects.toMatchObject({ trouble: "internal" });
    expect(files()).toEqual([]);
  });
});

describe("damage", () => {
  const damages: readonly (readonly [string, (path: string) => void])[] = [
    ["empty", (path) => writeFileSync(path, "")],
    ["cut", (path) => writeFileSync(path, readFileSync(path, "utf8").slice(0, -3))],
    ["of zeros", (path) => writeFileSync(path, new Uint8Array(readFileSync(path).length))],
    ["of another value", (path) => writeFileSync(path, readFileSync(path, "utf8").replace("0.1", "0.2"))],
  ];
  test.each(damages)("a file that is %s is made again, with one warning", async (_, damage) => {
    const { make, count } = maker();
    await kept(ctx, "things", [1], NUMBERS, make);
    const [path] = files() as [string];
    const whole = readFileSync(path);
    damage(path);
    expect(await kept(ctx, "things", [1], NUMBERS, make)).toEqual(VALUE);
    expect(count()).toBe(2);
    expect(warnings).toHaveLength(1);
    expect(warnings[0]).toMatch(/^a file of the things is damaged and counts as not there/);
    expect(readFileSync(path).equals(whole)).toBe(true);
    await kept(ctx, "things", [1], NUMBERS, make);
    expect([count(), warnings.length]).toEqual([2, 1]);
  });

  test("a folder in a file's place costs warnings, not the result", async () => {
    await kept(ctx, "things", [1], NUMBERS, maker().make);
    const [path] = files() as [string];
    rmSync(path);
    mkdirSync(join(path, "x"), { recursive: true });
    expect(await kept(ctx, "things", [1], NUMBERS, maker().make)).toEqual(VALUE);
    expect(warnings).toEqual([expect.stringContaining("damaged"), expect.stringContaining("the cache cannot be written")]);
  });
});

describe("at the same time", () => {
  test("calls of one context share what is being made", async () => {
    const { make, count } = maker(VALUE, 20);
    const shared = { ...ctx, threads: 7 };
    const all = await Promise.all([ctx, shared, ctx].map((c) => kept(c, "things", [1], NUMBERS, make)));
    expect(all).toEqual([VALUE, VALUE, VALUE]);
    expect(count()).toBe(1);
    expect(ctx.making.underway.size).toBe(0);
  });

  test("contexts that know nothing of each other wait for the lock, and say so", async () => {
    const { make, count } = maker(VALUE, 250);
    const notes: string[] = [];
    const other = contextAt(ctx.cache, { log: (e) => void (e.kind === "note" && notes.push(e.text)) });
    const first = kept(ctx, "things", [1], NUMBERS, make);
    await sleep(50);
    expect(await kept(other, "things", [1], NUMBERS, make)).toEqual(VALUE);
    await first;
    expect(count()).toBe(1);
    expect(notes).toEqual([`process ${process.pid} makes the things; waiting for it`]);
    expect(files()).toHaveLength(1);
  });

  test("where one that makes is stopped, one that waits makes it; one that waits can be stopped by itself", async () => {
    const stop = new AbortController();
    const { make, count } = maker(VALUE, 100);
    const stopped = async (): Promise<number[]> => {
      while (!stop.signal.aborted) await sleep(5);
      return fail("maker", "stopped", "", "", "aborted");
    };
    const first = kept({ ...ctx, signal: stop.signal }, "things", [1], NUMBERS, stopped);
    const second = kept(ctx, "things", [1], NUMBERS, make);
    const impatient = new AbortController();
    const third = kept({ ...ctx, signal: impatient.signal }, "things", [1], NUMBERS, make);
    setTimeout(() => impatient.abort(), 20); // while it waits
    await expect(third).rejects.toMatchObject({ trouble: "aborted" });
    await expect(kept({ ...ctx, signal: impatient.signal }, "things", [1], NUMBERS, make)).rejects.toMatchObject({ trouble: "aborted" });
    expect(count()).toBe(0);
    stop.abort();
    await expect(first).rejects.toMatchObject({ trouble: "aborted" });
    expect(await second).toEqual(VALUE);
    expect(count()).toBe(1);
  });

  test("one that waits for a lock can be stopped", async () => {
    const { make } = maker(VALUE, 300);
    const first = kept(ctx, "things", [1], NUMBERS, make);
    await sleep(20);
    const stop = new AbortController();
    const other = kept(contextAt(ctx.cache, { signal: stop.signal }), "things", [1], NUMBERS, make);
    setTimeout(() => stop.abort(), 20);
    await expect(other).rejects.toMatchObject({ trouble: "aborted" });
    expect(await first).toEqual(VALUE);
    expect(files()).toHaveLength(1);
  });

  test("nobody waits for a lock of another machine, or of a process that is gone", async () => {
    await kept(ctx, "things", [1], NUMBERS, maker().make);
    const [path] = files() as [string];
    rmSync(path);
    for (const holder of [
      { pid: 1, host: "elsewhere", born: "" },
      { pid: 2 ** 22 + 1, host: "", born: "" },
    ]) {
      const release = tryLock(`${path}.lock`) as () => void;
      const mine = JSON.parse(readFileSync(`${path}.lock`, "utf8")) as { host: string };
      release();
      writeFileSync(`${path}.lock`, JSON.stringify({ ...holder, host: holder.host || mine.host }));
      const { make, count } = maker();
      expect(await kept(ctx, "things", [1], NUMBERS, make)).toEqual(VALUE);
      expect(count()).toBe(1);
      for (const left of files()) rmSync(left);
    }
  });
});

const script = fileURLToPath(new URL("kept-child.ts", import.meta.url));
const cwd = fileURLToPath(new URL("../../", import.meta.url));
/** Another process that makes so many steps of so many milliseconds; `line` hears what it says. */
function child(steps: number, ms: number, line: (text: string, child: ChildProcess) => void = () => {}) {
  const process_ = spawn(process.execPath, ["--import", "tsx", script, ctx.cache, join(folder, "journal"), String(steps), String(ms)], {
    cwd,
    stdio: ["ignore", "pipe", "inherit"],
  });
  let out = "";
  process_.stdout.on("data", (data: Buffer) => {
    for (const text of data.toString().split("\n").filter(Boolean)) line(text, process_);
    out += data.toString();
  });
  return once(process_, "close").then(([, signal]) => ({ signal: signal as string | null, last: out.trim().split("\n").at(-1)! }));
}
const journal = (): string[] => readFileSync(join(folder, "journal"), "utf8").trim().split("\n");
const steps = (n: number): string => JSON.stringify(Array.from({ length: n }, (_, i) => Math.sqrt(i)));

describe("processes", () => {
  test("two that want the same thing make it once", async () => {
    const ended = await Promise.all([child(10, 150), child(10, 150)]);
    expect(ended.map(({ last }) => last)).toEqual([steps(10), steps(10)]);
    expect(journal()).toHaveLength(1);
    expect(files()).toHaveLength(1);
  });

  test("after a kill -9 the next goes on from what was saved, and leaves no partial state", async () => {
    const killed = await child(6, 60, (text, process_) => void (text === "step 4" && process_.kill("SIGKILL")));
    expect(killed.signal).toBe("SIGKILL");
    expect(files().some((path) => path.includes(".part"))).toBe(true);
    const ended = await child(6, 1);
    expect(ended.last).toBe(steps(6));
    expect(journal()[0]).toMatch(/ from 0$/);
    expect(Number(journal()[1]!.split(" ").at(-1))).toBeGreaterThanOrEqual(4);
    expect(files()).toHaveLength(1);
  });

  test("one that waits takes over where the other is killed", async () => {
    const first = child(5, 200, (text, process_) => void (text === "step 3" && process_.kill("SIGKILL")));
    while (!existsSync(join(folder, "journal"))) await sleep(20);
    const second = await child(5, 200);
    expect((await first).signal).toBe("SIGKILL");
    expect(second.last).toBe(steps(5));
    expect(journal().map((line) => line.split(" ").at(-1))).toEqual(["0", "3"]);
  });
});

describe("a cache that cannot be written", () => {
  const partial: Parameters<typeof kept<number[]>>[4] = async (part) => {
    part.save(NUMBERS, [1]);
    part.save(NUMBERS, [1, 2]);
    return part.load(NUMBERS) ?? VALUE;
  };

  test("below a file: one warning, every result, and calls at the same time still share", async () => {
    writeFileSync(join(folder, "file"), "");
    const blocked = contextAt(join(folder, "file", "cache"));
    expect(await kept(blocked, "things", [1], NUMBERS, partial)).toEqual(VALUE);
    const { make, count } = maker(VALUE, 10);
    const both = [kept(blocked, "things", [2], NUMBERS, make), kept(blocked, "things", [2], NUMBERS, make)];
    expect(await Promise.all(both)).toEqual([VALUE, VALUE]);
    expect(count()).toBe(1);
    expect(keep(blocked, "notes", [1], NUMBERS, [1])).toBe(false);
    expect(await inWorkFolder(blocked, "work", [1], async () => 7)).toBe(7);
    expect(warnings).toHaveLength(1);
    expect(warnings[0]).toMatch(/^the cache cannot be written \(.*a part of the path is a file/);
  });

  test("on a full disk: one warning, every result, no rubbish", async () => {
    const full: Codec<number[]> = {
      ...NUMBERS,
      write: (path) =>
        writeAtomicWith(path, (write) => {
          write(new Uint8Array(10));
          throw Object.assign(new Error("no space"), { code: "ENOSPC" });
        }),
    };
    for (const n of [1, 2, 1]) expect(await kept(ctx, "things", [n], full, maker([n]).make)).toEqual([n]);
    expect(warnings).toHaveLength(1);
    expect(warnings[0]).toMatch(/^the cache cannot be written \(.*the disk is full/);
    expect(files()).toEqual([]);
  });

  // permissions of folders mean nothing on Windows; without root's powers they hold for root's tests too
  test.runIf(process.platform !== "win32")("read-only: what is there is found, the rest is made, needs POSIX permissions", async () => {
    await kept(ctx, "things", [1], NUMBERS, maker().make);
    for (const path of [folder, ctx.cache, join(ctx.cache, "things")]) chmodSync(path, 0o555);
    const isRoot = process.getuid!() === 0;
    if (isRoot) process.seteuid!(65534);
    try {
      const [old, fresh] = [maker(), maker()];
      expect(await kept(ctx, "things", [1], NUMBERS, old.make)).toEqual(VALUE);
      expect(await kept(ctx, "things", [2], NUMBERS, fresh.make)).toEqual(VALUE);
      expect(await kept(ctx, "others", [3], NUMBERS, fresh.make)).toEqual(VALUE);
      expect([old.count(), fresh.count()]).toEqual([0, 2]);
      expect(warnings).toEqual([expect.stringMatching(/^the cache cannot be written \(.*permission is denied/)]);
    } finally {
      if (isRoot) process.seteuid!(0);
      for (const path of [folder, ctx.cache, join(ctx.cache, "things")]) chmodSync(path, 0o755);
    }
  });
});

describe("keptAll", () => {
  const wanted = (...names: readonly string[]): Map<string, readonly unknown[]> => new Map(names.map((name) => [name, ["all", name]]));
  const asked: string[][] = [];
  const makeAll = async (names: readonly string[]): Promise<Map<string, number[]>> => {
    asked.push([...names]);
    await sleep(20);
    return new Map(names.map((name) => [name, [name.length]]));
  };
  const all = (...names: readonly string[]) => keptAll(ctx, "things", wanted(...names), NUMBERS, makeAll);
  beforeEach(() => void asked.splice(0));

  test("makes together what is missing, and only that", async () => {
    await all("one");
    expect(new Map(await all("three", "one", "fourteen"))).toEqual(
      new Map([
        ["three", [5]],
        ["one", [3]],
        ["fourteen", [8]],
      ]),
    );
    expect(new Map(await all("fourteen", "one"))).toEqual(
      new Map([
        ["fourteen", [8]],
        ["one", [3]],
      ]),
    );
    expect(asked).toEqual([["one"], ["three", "fourteen"]]);
  });

  test("shares parts with calls at the same time", async () => {
    const got = await Promise.all([all("one", "three"), all("three", "four"), all("four")]);
    expect(got.map((m) => [...m.keys()].sort())).toEqual([["one", "three"], ["four", "three"], ["four"]]);
    expect(asked).toEqual([["one", "three"], ["four"]]);
  });

  test("two names for one thing do not wait for each other", async () => {
    const twice = new Map([
      ["a", [1]],
      ["b", [1]],
    ]);
    const got = await keptAll(ctx, "things", twice, NUMBERS, async (names) => new Map(names.map((name) => [name, [1]])));
    expect([...got]).toEqual([
      ["a", [1]],
      ["b", [1]],
    ]);
  });

  test("a maker that forgets one is told", async () => {
    await expect(keptAll(ctx, "things", wanted("a"), NUMBERS, async () => new Map())).rejects.toThrow(/nothing for one of the things/);
  });
});

describe("partial state", () => {
  const half = async (dependsOn: readonly unknown[], value: number[]): Promise<void> => {
    const made = kept(ctx, "things", dependsOn, NUMBERS, async (part) => {
      part.save(NUMBERS, value);
      return fail("maker", "stopped", "", "", "aborted");
    });
    await expect(made).rejects.toThrow("stopped");
  };
  const finish = (dependsOn: readonly unknown[]): Promise<number[]> =>
    kept(ctx, "things", dependsOn, NUMBERS, async (part) => [...(part.load(NUMBERS) ?? [0]), 9]);

  test("belongs to one thing, and is removed with its making", async () => {
    await half([1], [5]);
    expect(await finish([2])).toEqual([0, 9]);
    expect(await finish([1])).toEqual([5, 9]);
    expect(files()).toHaveLength(2);
    expect(readdirSync(join(ctx.cache, "things"))).toHaveLength(2);
  });

  test("of several things is not that of one of them", async () => {
    const wanted = new Map([
      ["a", ["a"]],
      ["b", ["b"]],
    ]);
    const stopped = keptAll(ctx, "things", wanted, NUMBERS, async (_, part) => {
      part.save(NUMBERS, [5]);
      return fail("maker", "stopped", "", "", "aborted");
    });
    await expect(stopped).rejects.toThrow("stopped");
    expect(await finish(["a"])).toEqual([0, 9]);
    expect(files()).toHaveLength(1);
  });

  test("that is damaged is begun anew, with a warning", async () => {
    await half([1], [5]);
    writeFileSync(files()[0]!, "[");
    expect(await finish([1])).toEqual([0, 9]);
    expect(warnings).toEqual([expect.stringContaining("damaged")]);
  });

  test("that a kill left beside the finished thing is removed by the next who finds it", async () => {
    await finish([1]);
    const [path] = files() as [string];
    mkdirSync(`${path}.part`);
    writeFileSync(join(`${path}.part`, "x"), "");
    await finish([1]);
    expect(files()).toEqual([path]);
  });
});

describe("asking without making", () => {
  test("peek and isKept tell what is there; keep puts something in its place", async () => {
    const ask = (n: number) => [peek(ctx, "things", [n], NUMBERS), isKept(ctx, "things", [n], NUMBERS)];
    expect(ask(1)).toEqual([undefined, false]);
    expect(files()).toEqual([]);
    await kept(ctx, "things", [1], NUMBERS, maker().make);
    expect([ask(1), ask(2)]).toEqual([
      [VALUE, true],
      [undefined, false],
    ]);
    expect(keep(ctx, "things", [1], NUMBERS, [7])).toBe(true);
    expect(ask(1)).toEqual([[7], true]);
  });

  test("ifKept gives what work finds, and undefined where something is missing; nothing is made", async () => {
    const { make, count } = maker();
    const work = async (c: Context): Promise<number> =>
      (await kept(c, "things", [1], NUMBERS, make)).length + (await kept(c, "things", [2], NUMBERS, make)).length;
    expect(await ifKept(ctx, work)).toBeUndefined();
    await kept(ctx, "things", [1], NUMBERS, make);
    expect(await ifKept(ctx, work)).toBeUndefined();
    expect(count()).toBe(1);
    await kept(ctx, "things", [2], NUMBERS, make);
    expect(await ifKept(ctx, work)).toBe(6);
    await expect(ifKept(ctx, async () => fail("work", "its own trouble", "", ""))).rejects.toThrow("its own trouble");
  });

  test("ifKept does not wait for what is being made", async () => {
    const { make } = maker(VALUE, 200);
    const making = kept(ctx, "things", [1], NUMBERS, make);
    expect(await ifKept(ctx, (c) => kept(c, "things", [1], NUMBERS, make))).toBeUndefined();
    await making;
  });
});

describe("layered", () => {
  test("finds what the cache behind has, except some kinds, and writes to its own folder", async () => {
    const { make, count } = maker();
    for (const kind of ["things", "values"]) await kept(ctx, kind, [1], NUMBERS, make);
    const before = files();
    const over = layered(ctx, join(folder, "own"), ["values"]);
    await kept(over, "things", [1], NUMBERS, make);
    expect(count()).toBe(2);
    expect(isKept(over, "values", [1], NUMBERS)).toBe(false);
    await kept(over, "values", [1], NUMBERS, make);
    await kept(over, "things", [2], NUMBERS, make);
    expect(count()).toBe(4);
    expect(files()).toEqual(before);
    expect(files(over.cache)).toHaveLength(2);
    const third = layered(over, join(folder, "third"), ["things"]);
    expect([isKept(third, "things", [1], NUMBERS), isKept(third, "values", [1], NUMBERS)]).toEqual([false, true]);
  });

  test("what is damaged behind is made again in front", async () => {
    await kept(ctx, "things", [1], NUMBERS, maker().make);
    writeFileSync(files()[0]!, "");
    const over = layered(ctx, join(folder, "own"));
    expect(await kept(over, "things", [1], NUMBERS, maker().make)).toEqual(VALUE);
    expect(readFileSync(files()[0]!, "utf8")).toBe("");
    expect(warnings).toHaveLength(1);
  });
});

describe("work folders", () => {
  test("stay where work is stopped, are there for the same work again, and go when it is done", async () => {
    const at: string[] = [];
    const stopped = inWorkFolder(ctx, "training", [{ lr: 1 }], async (work) => {
      at.push(work!.path);
      mkdirSync(work!.path, { recursive: true });
      writeFileSync(join(work!.path, "step"), "1");
      return fail("training", "stopped", "", "", "aborted");
    });
    await expect(stopped).rejects.toThrow("stopped");
    await inWorkFolder(ctx, "training", [{ lr: 2 }], async (work) => at.push(work!.path));
    expect(at[1]).not.toBe(at[0]);
    const seen = await inWorkFolder(ctx, "training", [{ lr: 1 }], async (work) => readFileSync(join(work!.path, "step"), "utf8"));
    expect(seen).toBe("1");
    expect(files()).toEqual([]);
    expect(existsSync(at[0]!)).toBe(false);
  });

  test("are lent to one at a time; another does its work without", async () => {
    const notes: string[] = [];
    const other = contextAt(ctx.cache, { log: (e) => void (e.kind === "note" && notes.push(e.text)) });
    await inWorkFolder(ctx, "training", [1], async (mine) => {
      expect(mine).toBeDefined();
      expect(await inWorkFolder(other, "training", [1], async (theirs) => theirs === undefined)).toBe(true);
    });
    expect(notes).toEqual([expect.stringMatching(/does the same work; this one keeps no checkpoints/)]);
    expect(await inWorkFolder(ctx, "training", [1], async (again) => again !== undefined)).toBe(true);
  });

  test("warn once of a file that is lost, and of no other error", async () => {
    await inWorkFolder(ctx, "training", [1], async (work) => {
      const trouble = (): never => fail("write", "the disk is full", "", "", "unavailable");
      for (let i = 0; i < 2; i++)
        try {
          trouble();
        } catch (error) {
          work!.lost(error);
        }
      expect(() => work!.lost(new TypeError("mine"))).toThrow("mine");
    });
    expect(warnings).toEqual([expect.stringMatching(/begin anew \(write: the disk is full\.?\)/)]);
  });
});
