/** Files are whole or not there: atomic writes, JSON errors, journals, locks. */
import { spawnSync } from "node:child_process";
import { appendFileSync, existsSync, mkdirSync, mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { LetheError } from "../../src/base/fail.ts";
import { findTrouble } from "../../src/base/json.ts";
import {
  appendLine,
  complain,
  lockFile,
  openFile,
  readJson,
  readLines,
  tryLock,
  writeAtomic,
  writeAtomicWith,
} from "../../src/base/store.ts";

let folder = "";
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "lethe-files-"));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));
const at = (name: string): string => join(folder, name);

/** The pid of a process that has ended. */
const deadPid = (): number => spawnSync(process.execPath, ["-e", ""]).pid;
const ownTemporary = (name: string): string => {
  let seen = "";
  writeAtomicWith(at(name), (write) => {
    seen = readdirSync(folder).find((file) => file.endsWith(".part"))!;
    write(new Uint8Array(1));
  });
  rmSync(at(name));
  return seen;
};

describe("writeAtomic", () => {
  test("writes, replaces, makes the folder, leaves nothing else", () => {
    writeAtomic(at("a/b/c.txt"), "one");
    writeAtomic(at("a/b/c.txt"), new Uint8Array([0x32]));
    expect(readFileSync(at("a/b/c.txt"), "utf8")).toBe("2");
    expect(readdirSync(at("a/b"))).toEqual(["c.txt"]);
  });

  test("the old file is there until the new one is whole, and stays when writing fails", () => {
    writeAtomic(at("x"), "old");
    expect(() =>
      writeAtomicWith(at("x"), (write) => {
        write(new Uint8Array(100));
        expect(readFileSync(at("x"), "utf8")).toBe("old");
        throw Object.assign(new Error("no space"), { code: "ENOSPC" });
      }),
    ).toThrow(/x: the disk is full\. Free some space/);
    expect(readFileSync(at("x"), "utf8")).toBe("old");
    expect(readdirSync(folder)).toEqual(["x"]);
  });

  test("a full disk is `unavailable`; an unknown error of the writer passes through", () => {
    const full = (): never => complain("write", "p", Object.assign(new Error(), { code: "ENOSPC" }));
    expect(full).toThrow(LetheError);
    try {
      full();
    } catch (error) {
      expect((error as LetheError).trouble).toBe("unavailable");
    }
    expect(() =>
      writeAtomicWith(at("y"), () => {
        throw new TypeError("mine");
      }),
    ).toThrow(TypeError);
    expect(readdirSync(folder)).toEqual([]);
  });

  test("a device is not a file", () => {
    expect(() => openFile("/dev/null", "t")).toThrow(/it is a device; wanted a plain file/);
  });

  test("onto a folder: an error, and no rubbish", () => {
    mkdirSync(at("d/e"), { recursive: true });
    expect(() => writeAtomic(at("d"), "x")).toThrow(LetheError);
    expect(readdirSync(folder)).toEqual(["d"]);
  });

  test("what a killed process left is swept, what a live one is writing is not", () => {
    const mine = ownTemporary("x");
    const stale = mine.replace(`.${process.pid}.`, `.${deadPid()}.`);
    expect(stale).not.toBe(mine);
    writeFileSync(at(stale), "half");
    writeFileSync(at(mine), "half");
    writeFileSync(at(".x.elsewhere.1.00000000.part"), "half");
    writeAtomic(at("x"), "whole");
    expect(readdirSync(folder).sort()).toEqual([".x.elsewhere.1.00000000.part", mine, "x"].sort());
  });
});

describe("readJson", () => {
  test.each([
    ['{"a": 1,}', /line 1, column 9/],
    ['{"a": foo}', /line 1, column 7/],
    ['{\n "a": [1, 2\n', /ends too early at line 3, column 1/],
    ["", /ends too early at line 1, column 1/],
    ['{"a": "b\nc"}', /control character inside a string at line 1, column 9/],
    ['["\\x"]', /invalid escape/],
    ["[1] 2", /"2" after the end at line 1, column 5/],
    ["[01]", /"1" instead of a comma/],
    ["{'a': 1}", /"'" instead of a quoted key/],
    ['{"a" 1}', /colon is missing/],
    ["[1}", /closing bracket/],
    ['"abc', /string without a closing quote/],
    ["[nul]", /"n" instead of a value/],
  ])("%j", (text, message) => {
    writeFileSync(at("bad.json"), text);
    expect(() => readJson(at("bad.json"), "test")).toThrow(message);
    expect(() => readJson(at("bad.json"), "test")).toThrow(/^test: .*bad\.json is not JSON/);
  });

  test("finds trouble exactly where JSON.parse does, over mangled JSON", () => {
    const pieces = ["{", "}", "[", "]", ",", ":", '"a"', '"b\\n"', "1", "-2.5e3", "0", "true", "null", " ", "-", ".", "e", '"', "\\"];
    let state = 7;
    const below = (n: number): number => (state = (state * 1103515245 + 12345) % 2147483648) % n;
    let valid = 0;
    for (let i = 0; i < 20000; i++) {
      const text = Array.from({ length: 1 + below(6) }, () => pieces[below(pieces.length)]!).join("");
      let parses = true;
      try {
        JSON.parse(text);
      } catch {
        parses = false;
      }
      const found = findTrouble(text);
      if (parses && !found?.problem.includes("twice")) expect(found, text).toBeUndefined();
      if (!parses) expect(found, text).toBeDefined();
      valid += Number(parses);
    }
    expect(valid).toBeGreaterThan(500);
  });

  test("a byte-order mark, a missing file, a folder, deep nesting", () => {
    writeFileSync(at("bom.json"), "\uFEFF[1]");
    expect(readJson(at("bom.json"), "test")).toEqual([1]);
    expect(() => readJson(at("none.json"), "test")).toThrow(/none\.json: there is no such file/);
    expect(() => readJson(folder, "test")).toThrow(/it is a folder/);
    writeFileSync(at("deep.json"), "[".repeat(200_000));
    expect(() => readJson(at("deep.json"), "test")).toThrow(/ends too early/);
  });
});

describe("journal", () => {
  test("what is appended is read; no file, no lines", () => {
    expect(readLines(at("j.jsonl"))).toEqual([]);
    for (const value of [{ a: 1 }, [2], "three\nlines"]) appendLine(at("j.jsonl"), value);
    expect(readLines(at("j.jsonl"))).toEqual([{ a: 1 }, [2], "three\nlines"]);
  });

  test("cut at any byte: every whole line is read, and the next append is whole", () => {
    for (const value of [{ word: "naïve" }, { n: 2 }, { n: 3 }]) appendLine(at("j"), value);
    const bytes = readFileSync(at("j"));
    for (let cut = 0; cut <= bytes.length; cut++) {
      writeFileSync(at("k"), new Uint8Array(bytes).subarray(0, cut));
      const whole = [...new Uint8Array(bytes).subarray(0, cut)].filter((byte) => byte === 10).length;
      expect(readLines(at("k"))).toHaveLength(whole);
      appendLine(at("k"), { n: 9 });
      expect(readLines(at("k")).slice(whole)).toEqual([{ n: 9 }]);
      rmSync(at("k"));
    }
  });

  test("a torn tail longer than one piece is cut off", () => {
    appendLine(at("j"), 1);
    appendFileSync(at("j"), "x".repeat(200_000));
    appendLine(at("j"), 2);
    expect(readFileSync(at("j"), "utf8")).toBe("1\n2\n");
    expect(readLines(at("j"))).toEqual([1, 2]);
  });

  test("a bad line that is not the last is refused by number", () => {
    writeFileSync(at("j"), '{"a":1}\n{"a":\n{"a":3}\n');
    expect(() => readLines(at("j"))).toThrow(/j line 2 is not JSON/);
  });
});

describe("lock", () => {
  test("one at a time; released, it is free", () => {
    const release = lockFile(at("l"), "test");
    expect(() => lockFile(at("l"), "test")).toThrow(new RegExp(`held by process ${process.pid}`));
    expect(tryLock(at("l"))).toMatchObject({ pid: process.pid });
    release();
    lockFile(at("l"), "test")();
    expect(readdirSync(folder)).toEqual([]);
  });

  test("a dead process, or a later one with its number, holds nothing", () => {
    const release = lockFile(at("l"), "test");
    const held = JSON.parse(readFileSync(at("l"), "utf8")) as { pid: number; born: string };
    release();
    const stale = [{ ...held, pid: deadPid() }, ...(held.born ? [{ ...held, born: "1" }] : [])];
    for (const holder of stale) {
      writeFileSync(at("l"), JSON.stringify(holder));
      lockFile(at("l"), "test")();
    }
    expect(readdirSync(folder)).toEqual([]);
    writeFileSync(at("l"), JSON.stringify({ ...held, host: "another", pid: deadPid() }));
    expect(() => lockFile(at("l"), "test")).toThrow(/on another/);
  });

  test("an unreadable lock is stale; a lock taken over is not released by its old owner", () => {
    writeFileSync(at("l"), "");
    const release = lockFile(at("l"), "test");
    writeFileSync(at("l"), "someone else");
    release();
    expect(existsSync(at("l"))).toBe(true);
  });
});
