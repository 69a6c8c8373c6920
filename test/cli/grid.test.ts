/** `lethe grid` as a user runs it: killed at random points and resumed to the bytes of a run left alone, listed, rendered into a page. */
import { spawn } from "node:child_process";
import { createHash } from "node:crypto";
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { rng } from "../../src/base/rng.ts";
import type { GridRecord } from "../../src/run/grid/record.ts";
import { command, lethe, objects } from "./lethe.ts";

const folder = mkdtempSync(join(tmpdir(), "lethe-grid-cli-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));
const TINY = fileURLToPath(new URL("../../studies/tiny.yaml", import.meta.url));
const WHOLE = join(folder, "whole");
const page = join(folder, "page.md");
const kills = Number(process.env["LETHE_KILLS"] ?? 2);

/** A hash of every file below a folder but timings, by its path. */
const filesIn = (at: string): Map<string, string> =>
  new Map(
    readdirSync(at, { recursive: true, withFileTypes: true })
      .filter((entry) => entry.isFile() && entry.name !== "timings.json")
      .map((entry) => {
        const path = join(entry.parentPath, entry.name);
        return [path.slice(at.length), createHash("sha256").update(readFileSync(path)).digest("hex")] as const;
      })
      .sort(([a], [b]) => (a < b ? -1 : 1)),
  );
/** The files of the runs but the index, which lists steps in the order in which they ended. */
const bytesOf = (home: string): Map<string, string> =>
  new Map([...filesIn(join(home, "runs"))].filter(([path]) => !path.startsWith("/.index")));

/** Runs the grid and kills it when it has begun so many steps; whether it was killed. */
function killedAt(step: number, home: string): Promise<boolean> {
  const child = spawn(process.execPath, [...command(), "grid", TINY, "--threads", "1"], {
    env: { ...process.env, LETHE_HOME: home },
    stdio: ["ignore", "ignore", "pipe"],
  });
  let said = "";
  child.stderr.on("data", (piece: Buffer) => {
    said += piece.toString("utf8");
    if ((said.match(/^grid: \d+ of .*: /gm) ?? []).length > step) child.kill("SIGKILL");
  });
  return new Promise((done) => child.on("close", (code) => done(code === null)));
}

let whole: GridRecord;
beforeAll(async () => {
  const { code, out, err } = await lethe(["grid", TINY, "--threads", "1", "--json", "--write", page], { env: { LETHE_HOME: WHOLE } });
  if (code !== 0) throw new Error(err);
  whole = objects(out)[0] as unknown as GridRecord;
}, 900_000);

describe("lethe grid", () => {
  test("every step is done, and the table has a row for each method and mode", () => {
    expect(whole.failed).toEqual([]);
    expect(whole.steps.finished).toBe(whole.steps.total);
    expect(whole.tables[0]!.rows.map(({ at }) => Object.values(at).join(" "))).toEqual([
      "", // the untouched model
      "ft single",
      "ft batch",
      "ft sequential",
      "memit single",
      "memit batch",
      "memit sequential",
      "ike single",
      "ike batch",
      "ike sequential",
      "gd batch",
    ]);
    expect(readFileSync(page, "utf8")).toMatch(
      /^<!-- tiny -->\n\| method \| mode \|[\s\S]*\| untouched model \| - \|[\s\S]*\| GD \| batch \| 2 \| - \|[\s\S]*<!-- \/tiny -->\n$/,
    );
  });

  test("killed again and again, it goes on to the same bytes", { timeout: 900_000 }, async () => {
    const home = join(folder, "killed");
    const random = rng("grid kills");
    for (let i = 0; i < kills; i++) await killedAt(1 + random.split(String(i)).below(9), home);
    const { code, out, err } = await lethe(["grid", TINY, "--threads", "1", "--json"], { env: { LETHE_HOME: home } });
    expect(err).toMatch(/"total":37/);
    expect(code).toBe(0);
    expect(bytesOf(home)).toEqual(bytesOf(WHOLE));
    const plain = ({ tables: [table] }: GridRecord): unknown =>
      table!.rows.map(({ cells }) => cells.filter((_, i) => table!.columns[i]!.average !== "median"));
    expect(plain(objects(out)[0] as unknown as GridRecord)).toEqual(plain(whole));
  });

  test("status tells every step as finished, plan has nothing to do, and report makes the same page", { timeout: 300_000 }, async () => {
    const env = { LETHE_HOME: WHOLE };
    const status = await lethe(["grid", "status", TINY, "--threads", "1"], { env });
    expect(status.out).toMatch(/^tiny: 37 of 37 steps finished\ntime so far \S.*, peak memory of a step \d/);
    const plan = await lethe(["grid", "plan", TINY, "--threads", "1"], { env });
    expect([plan.code, plan.out]).toEqual([0, expect.stringMatching(/^tiny: 37 steps; 37 finished, 0 to do\n/)]);
    const other = join(folder, "other.md");
    const { code, out } = await lethe(["grid", "report", TINY, "--threads", "1", "--write", other], { env });
    expect([code, out]).toEqual([0, `${other}: 11 rows\n`]);
    expect(readFileSync(other)).toEqual(readFileSync(page));
  });

  test(
    "report -o writes a page with tables and figures, the same bytes twice; another folder is left alone",
    { timeout: 300_000 },
    async () => {
      const env = { LETHE_HOME: WHOLE };
      const made = async (name: string): Promise<Map<string, string>> => {
        const out = join(folder, name);
        const { code, out: said, err } = await lethe(["grid", "report", TINY, "--threads", "1", "-o", out], { env });
        expect([code, said], err).toEqual([0, `${out}: 17 files\n`]);
        return filesIn(out);
      };
      const once = await made("report");
      expect([...once.keys()]).toEqual(expect.arrayContaining(["/index.html", "/report.md", "/tables/main.csv", "/figures/kept.vl.json"]));
      expect(await made("report")).toEqual(once);
      expect(readFileSync(join(folder, "report/figures/losses.vl.json"), "utf8")).toMatch(/"row": "GD, batch",\n\s*"x": 1/);
      mkdirSync(join(folder, "mine"));
      writeFileSync(join(folder, "mine/thesis.tex"), "mine");
      const refused = await lethe(["grid", "report", TINY, "-o", join(folder, "mine")], { env });
      expect([refused.code, refused.err]).toEqual([2, expect.stringMatching(/mine is there and holds something else than a report/)]);
      expect(readdirSync(join(folder, "mine"))).toEqual(["thesis.tex"]);
    },
  );

  test("a step that fails is told, and the command ends with 4; a name that is not there with 2", { timeout: 300_000 }, async () => {
    const file = join(folder, "bad.yaml");
    writeFileSync(file, `name: bad\nvars: { data: "${basename(file)}.none" }\nsteps:\n  a: { step: select, data: "\${data}" }\n`);
    const env = { LETHE_HOME: join(folder, "bad") };
    const refused = await lethe(["grid", file], { env });
    expect([refused.code, refused.out]).toEqual([2, ""]);
    expect(refused.err).toMatch(/error: grid: a cannot be run: .*there is no such file/);
    const failed = await lethe(["grid", file, "--keep-going"], { env });
    expect(failed.code).toBe(4);
    expect(failed.err).toMatch(/a cannot be run: .*there is no such file[\s\S]*error: grid: 1 step of 1 failed/);
    expect(failed.out).toBe("0 of 1 steps are done.\n");
    const wrong = await lethe(["grid", file, "--set", "dat=x"], { env });
    expect([wrong.code, wrong.err]).toEqual([2, expect.stringMatching(/Did you mean "data"\?/)]);
    expect((await lethe(["grid"], { env })).code).toBe(2);
    writeFileSync(join(folder, "plain.md"), "# A page\n");
    const early = await lethe(["grid", TINY, "--write", join(folder, "plain.md")], { env });
    expect([early.code, early.err]).toEqual([
      2,
      expect.stringMatching(/^error: report: .*plain\.md has no place for the table; wanted the markers <!-- tiny -->/),
    ]);
  });

  test("the schema is JSON", async () => {
    const { out } = await lethe(["grid", "schema"]);
    expect(JSON.parse(out)).toMatchObject({ type: "object", required: ["name", "steps"] });
  });
});
