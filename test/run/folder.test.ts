/** Folders of runs and results outside of them: whole or not there, whatever was killed or is in the way. */
import { spawnSync } from "node:child_process";
import {
  existsSync,
  linkSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { afterAll, describe, expect, it } from "vitest";
import { finishedIn, hashOutputs, holdFolder, outputsIn, recordIn, tidy, writeRecord } from "../../src/run/folder.ts";
import { publish as publishAt, refuseOccupied } from "../../src/run/publish.ts";
import { holding, unfinishedName } from "../../src/base/store.ts";
import { HOST } from "../../src/base/unfinished.ts";
import type { Layout, RunRecord } from "../../src/run/record.ts";

const publish = (path: string, record: RunRecord, out: string, force: boolean, who: string): Promise<void> =>
  holding(out, who, (output) => publishAt(path, record, output, force, who));

const home = mkdtempSync(join(tmpdir(), "lethe-folder-"));
afterAll(() => rmSync(home, { recursive: true, force: true }));
let count = 0;
/** A new place for each test. */
const place = (): string => {
  const path = join(home, `${count++}`);
  mkdirSync(path);
  return path;
};
const put = (path: string, text: string): void => {
  mkdirSync(dirname(path), { recursive: true });
  writeFileSync(path, text);
};
const filesIn = (path: string): string[] =>
  readdirSync(path, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name).slice(path.length + 1))
    .sort();

const dead = spawnSync(process.execPath, ["-e", ""]).pid;

/** A finished run with these files. */
async function finished(layout: Layout, files: Readonly<Record<string, string>>): Promise<{ path: string; record: RunRecord }> {
  const path = join(place(), "a".repeat(32));
  const { folder, release } = holdFolder(path, "test");
  for (const [name, text] of Object.entries(files)) put(folder.at(name), text);
  const outputs = await hashOutputs(path);
  const record: RunRecord = {
    schema: "lethe/record/1",
    id: "a",
    step: "test",
    spec: {},
    code: "",
    status: "success",
    outputs,
    layout,
    result: 1,
  };
  writeRecord(path, record);
  release();
  return { path, record };
}

const ONE = { layout: { file: "made" }, files: { made: "whole" } };
const MANY = { layout: { folder: "model" }, files: { "model/a": "A", "model/deep/b": "B", "other/c": "C" } };
const NAMED = { layout: { files: { "x.json": "made", "base/y": "deep/other" } }, files: { made: "X", "deep/other": "Y" } };

describe("a run's folder", () => {
  it("keeps unfinished work apart, and gives it a name among the results when it is whole", async () => {
    const path = join(place(), "run");
    const { folder, release } = holdFolder(path, "test");
    put(folder.work("model/part"), "1");
    expect([outputsIn(path), existsSync(folder.at("model"))]).toEqual([[], false]);
    put(folder.at("model/old"), "0");
    folder.finish("model", "model");
    expect(outputsIn(path)).toEqual(["model/part"]);
    release();
    expect(readdirSync(path).sort()).toEqual(["model", "work"]);
  });

  it("is one process's at a time, and tells whose", () => {
    const path = join(place(), "run");
    const { release } = holdFolder(path, "test");
    expect(() => holdFolder(path, "test")).toThrow(new RegExp(`lock is held by process ${process.pid}`));
    release();
    holdFolder(path, "test").release();
  });

  it("loses what dead processes of this machine left half-written, and nothing else", () => {
    const path = join(place(), "run");
    const left = [`.record.json.${HOST}.${dead}.00000000.part`, `.lock.${HOST}.${dead}.12345678.part`, `.x.${HOST}.${dead}.abcdef09.part`];
    const stays = [
      `.record.json.${HOST}.${process.pid}.00000000.part`, // a living process
      `.record.json.another.${dead}.00000000.part`, // another machine, whose processes are not known here
      "notes.tmp",
      "made",
    ];
    for (const name of [...left, ...stays]) put(join(path, name), "");
    const { release } = holdFolder(path, "test");
    release();
    expect(readdirSync(path).sort()).toEqual(stays.toSorted());
  });

  it("is known as finished by its record and by every byte that the record names", async () => {
    const { path, record } = await finished(MANY.layout, MANY.files);
    expect(await finishedIn(path)).toEqual(record);
    writeFileSync(join(path, "model/deep/b"), "b");
    expect(await finishedIn(path)).toBeUndefined();
    writeFileSync(join(path, "model/deep/b"), "B");
    expect(await finishedIn(path)).toEqual(record);
    rmSync(join(path, "other/c"));
    expect(await finishedIn(path)).toBeUndefined();
    expect(await finishedIn(join(path, "nowhere"))).toBeUndefined();
  });

  it("writes numbers that JSON does not have as texts", async () => {
    const { path, record } = await finished(ONE.layout, ONE.files);
    writeRecord(path, { ...record, result: { a: NaN, b: [-Infinity, 1], c: "NaN" } });
    expect(recordIn(path)!.result).toEqual({ a: "NaN", b: ["-Infinity", 1], c: "NaN" });
  });

  it("is tidied up after a kill behind the run's end, but not while a process is there", async () => {
    const { path } = await finished(ONE.layout, ONE.files);
    const whole = readdirSync(path);
    const { folder, release } = holdFolder(path, "test");
    put(folder.work("journal"), "");
    tidy(path);
    expect(readdirSync(path)).toContain("work");
    release();
    put(join(path, "lock"), JSON.stringify({ pid: dead, host: HOST, born: "" }));
    tidy(path);
    expect(readdirSync(path)).toEqual(whole);
  });
});

describe("a result outside", () => {
  it.each([
    ["a file", ONE, undefined, ["whole"]],
    ["a folder", MANY, ["a", "deep/b"], ["A", "B"]],
    ["files by name", NAMED, ["base/y", "x.json"], ["Y", "X"]],
  ])("%s: has the names of the layout and the bytes of the run", async (_, { layout, files }, names, texts) => {
    const { path, record } = await finished(layout, files);
    const out = join(place(), "new/out");
    await publish(path, record, out, false, "test");
    if (names) expect(filesIn(out)).toEqual(names);
    expect((names ? names.map((name) => join(out, name)) : [out]).map((file) => readFileSync(file, "utf8"))).toEqual(texts);
    expect(readdirSync(dirname(out))).toEqual(["out"]);
    await publish(path, record, out, false, "test"); // again, upon itself
    expect(readdirSync(dirname(out))).toEqual(["out"]);
  });

  it("is a link where the file system has links, so that it takes no more space", async () => {
    const { path, record } = await finished(ONE.layout, ONE.files);
    const [out, probe] = [join(place(), "out"), join(place(), "probe")];
    linkSync(join(path, "made"), probe);
    await publish(path, record, out, false, "test");
    expect(statSync(out).ino).toBe(statSync(probe).ino);
  });

  it.each([
    ["a file by a folder", "old", MANY],
    ["a folder by a file", "old/deep/x", ONE],
    ["a folder by a folder", "old/deep/x", NAMED],
    ["a file by a file", "old", ONE],
  ])("replaces %s", async (_, before, { layout, files }) => {
    const { path, record } = await finished(layout, files);
    const around = place();
    put(join(around, before), "before");
    await publish(path, record, join(around, "old"), true, "test");
    expect(readdirSync(around)).toEqual(["old"]);
    expect(filesIn(around).some((name) => readFileSync(join(around, name), "utf8") === "before")).toBe(false);
    expect(filesIn(around).length).toBe("file" in layout ? 1 : 2);
  });

  it.each([["old"], ["old/deep/x"]])("is not there at all where a part is missing: %s stays as it was", async (before) => {
    const { path, record } = await finished(MANY.layout, MANY.files);
    rmSync(join(path, "model/deep/b"));
    const around = place();
    put(join(around, before), "before");
    await expect(publish(path, record, join(around, "old"), true, "test")).rejects.toMatchObject({ trouble: "unavailable" });
    expect(filesIn(around).map((name) => [name, readFileSync(join(around, name), "utf8")])).toEqual([[before, "before"]]);
  });

  it("says which path cannot be written", async () => {
    const { path, record } = await finished(ONE.layout, ONE.files);
    const around = place();
    writeFileSync(join(around, "file"), "");
    await expect(publish(path, record, join(around, "file/out"), false, "test")).rejects.toThrow(/file\/out/);
    expect(readdirSync(around)).toEqual(["file"]);
  });

  it("sweeps what dead processes left, and leaves what a living one makes", async () => {
    const { path, record } = await finished(MANY.layout, MANY.files);
    const around = place();
    const ofDead = (name: string): string => unfinishedName(name).replace(`.${process.pid}.`, `.${dead}.`);
    const living = unfinishedName("out3");
    for (const name of [ofDead("out"), ofDead("out"), ofDead("out2"), living]) put(join(around, name, "a"), "");
    put(join(around, ".out2.lethe-lock"), JSON.stringify({ pid: dead, host: HOST, born: "1" }));
    await publish(path, record, join(around, "out"), false, "test");
    expect(readdirSync(around).sort()).toEqual([living, "out"].sort());
  });
});

describe("an occupied path", () => {
  const refused = (out: string, path: string, force = false): Promise<void> => refuseOccupied(out, path, force, "test");

  it("is one that holds anything but the run's own result", async () => {
    const { path, record } = await finished(MANY.layout, MANY.files);
    const around = place();
    const out = join(around, "out");
    await refused(out, path); // nothing there
    mkdirSync(out);
    await refused(out, path); // an empty folder
    await publish(path, record, out, false, "test");
    await refused(out, path); // the result
    for (const spoil of [
      () => writeFileSync(join(out, "more"), ""),
      () => rmSync(join(out, "deep"), { recursive: true }),
      () => (rmSync(join(out, "a")), writeFileSync(join(out, "a"), "a")),
      () => (rmSync(join(out, "a")), symlinkSync(join(path, "model/a"), join(out, "a"))),
      () => (rmSync(out, { recursive: true }), writeFileSync(out, "")),
    ]) {
      spoil();
      await expect(refused(out, path)).rejects.toThrow(/out is there already; wanted a new name.*--force/);
      await refused(out, path, true);
      await publish(path, record, out, true, "test");
      await refused(out, path);
    }
  });

  it("is any that is not empty, for a run that is not finished", async () => {
    const { path, record } = await finished(ONE.layout, ONE.files);
    const out = join(place(), "out");
    await publish(path, record, out, false, "test");
    await refused(out, path);
    writeRecord(path, { ...record, status: "started" });
    await expect(refused(out, path)).rejects.toThrow(/is there already/);
  });

  it("is, even forced, what holds the run or the working directory", async () => {
    const { path } = await finished(ONE.layout, ONE.files);
    for (const [out, message] of [
      [path, /holds the folder of runs/],
      [dirname(path), /holds the folder of runs/],
      [dirname(dirname(path)), /holds the folder of runs/],
      [process.cwd(), /holds the working directory/],
      [dirname(process.cwd()), /holds the working directory/],
    ] as const)
      await expect(refused(out, path, true)).rejects.toThrow(message);
    await refused(`${path}-beside`, path);
  });
});
