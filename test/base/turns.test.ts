/** Whoever wants several locks takes them in one order, so that no two wait for each other for ever. */
import { mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { afterEach, beforeEach, expect, test } from "vitest";
import { defaultContext } from "../../src/base/context.ts";
import { lockAll, lockOf } from "../../src/base/turns.ts";

let folder = "";
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "lethe-turns-"));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

test("two that name the same files in another order both get their turn", async () => {
  const [a, b] = [join(folder, "a"), join(folder, "b")];
  const ctx = defaultContext({ signal: AbortSignal.timeout(20_000) });
  const held = lockOf(b) as () => void;
  const turns: string[] = [];
  const turn = async (name: string, paths: readonly string[]): Promise<void> => {
    const release = await lockAll(paths, "things", ctx);
    turns.push(name);
    release();
  };
  const both = [turn("first", [b, a]), turn("second", [a, b])];
  await sleep(20);
  expect(turns).toEqual([]);
  held();
  await Promise.all(both);
  expect(turns.sort()).toEqual(["first", "second"]);
  expect(readdirSync(folder)).toEqual([]);
});

test("one that is stopped while it waits gives back what it has", async () => {
  const [a, b] = [join(folder, "a"), join(folder, "b")];
  const held = lockOf(b) as () => void;
  const stop = new AbortController();
  const waiting = lockAll([a, b], "things", defaultContext({ signal: stop.signal }));
  setTimeout(() => stop.abort(), 20);
  await expect(waiting).rejects.toMatchObject({ trouble: "aborted" });
  held();
  expect(readdirSync(folder)).toEqual([]);
});

test("where no lock can be had there is none", async () => {
  writeFileSync(join(folder, "file"), "");
  expect(lockOf(join(folder, "file", "x"))).toBeUndefined();
  (await lockAll([join(folder, "file", "x")], "things", defaultContext()))();
  expect(readdirSync(folder)).toEqual(["file"]);
});
