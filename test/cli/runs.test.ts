/** `lethe runs` as a person types it: what was done, one run, how two differ, removal; and how each complains. */
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { saveCheckpoint } from "../../src/model/save.ts";
import { holdFolder, writeRecord } from "../../src/run/folder.ts";
import type { RunRecord } from "../../src/run/record.ts";
import { listRuns, type RunCard } from "../../src/run/runs.ts";
import { tinyModel } from "../train/tiny.ts";
import { lethe, objects, type Ran } from "./lethe.ts";

const home = mkdtempSync(join(tmpdir(), "lethe-cli-runs-"));
afterAll(() => rmSync(home, { recursive: true, force: true }));
const at = (name: string): string => join(home, name);
const env = { LETHE_HOME: at("home") };
const root = at("home/runs");
const run = (...args: string[]): Promise<Ran> => lethe(args, { env });
const runs = (...args: string[]): Promise<Ran> => run("runs", ...args);
let [wide, narrow]: string[] = [];

/** Two exports that succeeded, and a training that was refused. */
beforeAll(async () => {
  const model = tinyModel();
  saveCheckpoint(at("model"), model);
  await model.release();
  writeFileSync(at("rows.jsonl"), JSON.stringify({ question: "Who?", answer: "Basil" }));
  const made: Ran[] = [];
  made.push(await run("export", at("model"), "-o", at("wide")));
  made.push(await run("export", at("model"), "--dtype", "bfloat16", "-o", at("narrow")));
  made.push(await lethe(["finetune", at("model"), "--data", at("rows.jsonl"), "--memory", "20KB", "-o", at("taught")], { env }));
  if (made.map(({ code }) => code).join() !== "0,0,3") throw new Error(made.map(({ err }) => err).join(""));
  const idOf = (dtype: string): string =>
    listRuns(root).find(({ record }) => record.spec["dtype"] === dtype && record.step === "export")!.id;
  [wide, narrow] = [idOf("float32"), idOf("bfloat16")];
}, 240_000);

describe("list", () => {
  test("a line for each run, the last one first, and as JSON without results", async () => {
    const [shown, json] = await Promise.all([runs("list"), runs("list", "--json")]);
    expect([shown.code, shown.err, json.code]).toEqual([0, "", 0]);
    const rows = shown.out.trimEnd().split("\n");
    expect(rows[0]).toMatch(/^ID +STEP +STATUS +TIME +SIZE +ENDED$/);
    expect(rows.slice(1).map((row) => row.split(/ +/).slice(1, 3))).toEqual([
      ["finetune", "error"],
      ["export", "success"],
      ["export", "success"],
    ]);
    expect(rows[2]).toMatch(new RegExp(`^${narrow!.slice(0, 12)} .* [kM]B  ?20\\d\\d-`));
    const [{ folder, runs: cards, schema }] = objects(json.out) as unknown as [{ folder: string; runs: RunCard[]; schema: string }];
    expect([schema, folder]).toEqual(["lethe/runs/1", root]);
    expect(cards.map(({ id }) => id).slice(1)).toEqual([narrow, wide]);
    expect(cards[1]).toMatchObject({ record: { status: "success", spec: { dtype: "bfloat16" } }, timings: { machine: { threads: 2 } } });
    expect(cards[1]!.record).not.toHaveProperty("result");
    expect(cards[2]!.bytes).toBeGreaterThan(cards[1]!.bytes);
  });

  test("of another folder, which may hold none", async () => {
    const { code, out } = await runs("list", "--runs", at("none"));
    expect([code, out]).toEqual([0, `${at("none")} holds no runs.\n`]);
    expect(existsSync(at("none"))).toBe(false);
  });
});

describe("show", () => {
  test("a run by the beginning of its id: spec, files, time", async () => {
    const { code, out } = await runs("show", wide!.slice(0, 9));
    expect(code).toBe(0);
    expect(out).toMatch(
      new RegExp(`^export ${wide}: success\n  folder  ${join(root, wide!)}\n  code    [0-9a-f]{12}\n  time    .* in 1 attempt\n`),
    );
    expect(out).toMatch(/\nSpec:\n(?: {2}.+\n)* {2}dtype: float32\n/);
    expect(out).toMatch(/\nFiles:\n(?: {2}[0-9a-f]{12} {2}model\/.+\n)*/);
    expect(out).toContain("model/model.safetensors\n");
    const [card] = objects((await runs("show", wide!, "--json")).out) as unknown as [RunCard];
    expect(card).toMatchObject({ schema: "lethe/run/1", id: wide, record: { result: { format: "safetensors" } } });
    const { record } = listRuns(root).find(({ id }) => id === wide)!;
    expect(card.record).toEqual(record);
  });

  test("says why a run failed", async () => {
    const [failed] = listRuns(root).filter(({ record }) => record.status === "error");
    const { code, out } = await runs("show", failed!.id);
    expect(code).toBe(0);
    expect(out).toMatch(/^finetune [0-9a-f]{32}: error\n {2}.*memory/);
  });
});

describe("diff", () => {
  test("a line for each place where two runs differ; nothing where a run is held against itself", async () => {
    const [two, same, json] = await Promise.all([
      runs("diff", wide!, narrow!),
      runs("diff", wide!, wide!),
      runs("diff", wide!, narrow!, "--json"),
    ]);
    expect([two.code, same.code, same.out]).toEqual([0, 0, "They are equal.\n"]);
    expect(two.out).toMatch(/^spec\.dtype +float32 +bfloat16$/m);
    expect(two.out).toMatch(/^outputs\.model\/model\.safetensors +[0-9a-f]{12} +[0-9a-f]{12}$/m);
    expect(two.out).not.toMatch(/^(step|code|status|spec\.model) /m);
    const [{ differences }] = objects(json.out) as unknown as [{ differences: { at: string; a: unknown; b: unknown }[] }];
    expect(differences.find(({ at: place }) => place === "spec.dtype")).toEqual({ at: "spec.dtype", a: "float32", b: "bfloat16" });
  });
});

describe("rm", () => {
  /** A run of its own, made by hand, whose id begins with `0`. */
  const made = (id: string): string => {
    const path = join(root, id);
    mkdirSync(path, { recursive: true });
    const record: RunRecord = {
      schema: "lethe/record/1",
      id,
      step: "export",
      spec: {},
      code: "",
      status: "started",
      outputs: {},
      result: null,
    };
    writeRecord(path, record);
    return path;
  };
  const [first, second] = ["0".repeat(32), `${"0".repeat(31)}1`];

  test("removes what is named, and leaves results that were put elsewhere", async () => {
    const before = readFileSync(at("wide/model.safetensors"));
    const again = await run("export", at("model"), "--dtype", "float16", "-o", at("gone"));
    expect(again.code).toBe(0);
    const { id } = listRuns(root)[0]!;
    const { code, out } = await runs("rm", id.slice(0, 12));
    expect([code, out]).toEqual([0, expect.stringMatching(/^1 run removed, [\d.]+ [kM]B\.\n$/)]);
    expect(readdirSync(root)).not.toContain(id);
    expect(existsSync(at("gone/model.safetensors"))).toBe(true);
    expect(readFileSync(at("wide/model.safetensors")).equals(before)).toBe(true);
    const paths = [made(first!), made(second!)];
    expect(objects((await runs("rm", first!, second!, "--json")).out)).toMatchObject([
      { schema: "lethe/runs-rm/1", removed: [first, second] },
    ]);
    expect(paths.filter(existsSync)).toEqual([]);
  });

  test("removes none where one of them is wrong, or at work", async () => {
    const paths = [made(first!), made(second!)];
    const wrong = await runs("rm", first!, "ffffffffffffffffffff");
    expect([wrong.code, wrong.err]).toEqual([2, expect.stringMatching(/no run "f{20}" in .*lethe runs list shows them/s)]);
    expect(paths.map(existsSync)).toEqual([true, true]);
    const { release } = holdFolder(paths[1]!, "test");
    const busy = await runs("rm", first!, second!);
    expect([busy.code, busy.err]).toEqual([3, expect.stringContaining(`is at work in process ${process.pid}`)]);
    expect(paths.map(existsSync)).toEqual([true, true]);
    release();
    expect((await runs("rm", first!, second!, first!)).code).toBe(0);
  });
});

describe("errors", () => {
  test("an id that several runs have, a folder without a record, a command that there is not", async () => {
    mkdirSync(join(root, "e".repeat(32)));
    for (const digit of ["1", "2"]) mkdirSync(join(root, `dddd${digit.repeat(28)}`));
    const [several, bare, nothing, unknown] = await Promise.all([
      runs("show", "dddd"),
      runs("diff", wide!, "eeee"),
      runs("show"),
      runs("remove", "eeee"),
    ]);
    expect([several.code, several.err]).toEqual([
      2,
      expect.stringMatching(/2 runs begin with "dddd"; wanted one run.*Give more of the id: dddd1+, dddd2+/s),
    ]);
    expect([bare.code, bare.err]).toEqual([2, expect.stringMatching(/e{32} has no record; wanted a run/)]);
    expect([nothing.code, nothing.err]).toEqual([2, expect.stringContaining("missing required argument 'RUN'")]);
    expect(unknown.code).toBe(2);
    const json = await runs("show", "ffff", "--json");
    expect(objects(json.err).at(-1)).toMatchObject({ error: { trouble: "usage", code: 2 } });
    expect((await runs("list")).code).toBe(0); // folders without a record are no runs
  });
});
