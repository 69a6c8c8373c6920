/** `lethe reproduce`: the list, a plan, a report of what is finished, what is refused, and both recipes whole at the scale tiny. */
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, test } from "vitest";
import { lethe } from "./lethe.ts";

const folder = mkdtempSync(join(tmpdir(), "lethe-reproduce-test-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }), 120_000);
const env = { LETHE_HOME: folder };
const NAME = "editing-as-unlearning";

test("without a name it lists the recipes; a wrong one is refused with the nearest", async () => {
  const { out, code } = await lethe(["reproduce"], { env });
  expect(code).toBe(0);
  expect(out).toMatch(/editing-as-unlearning +tiny, small, full/);
  const wrong = await lethe(["reproduce", "editing-as-unlearnin"], { env });
  expect([wrong.code, wrong.err]).toEqual([2, expect.stringContaining(`Did you mean "${NAME}"?`)]);
  const scale = await lethe(["reproduce", NAME, "--scale", "tny", "--plan"], { env });
  expect([scale.code, scale.err]).toEqual([2, expect.stringMatching(/there is no scale "tny".*Did you mean "tiny"\?/s)]);
});

test("the plan counts a step that several grids need once", { timeout: 60_000 }, async () => {
  const { out, code } = await lethe(["reproduce", NAME, "--scale", "tiny", "--plan", "--json"], { env });
  expect(code).toBe(0);
  const { total, finished, seconds } = JSON.parse(out) as { total: number; finished: number; seconds: number };
  expect(finished).toBe(0);
  expect(total).toBeGreaterThan(100);
  expect(seconds).toBeGreaterThan(0);
});

test("the report of what is finished says of the rest why it is missing, and runs nothing", { timeout: 120_000 }, async () => {
  const out = join(folder, "report");
  const page = join(folder, "page.md");
  const asked = ["reproduce", NAME, "--scale", "tiny", "--report", "-o", out, "--write", page];
  writeFileSync(page, "# Mine\n");
  const refused = await lethe(asked, { env });
  expect([refused.code, refused.err]).toEqual([
    2,
    expect.stringContaining(`has no place for the table; wanted the markers <!-- ${NAME} -->`),
  ]);
  expect(existsSync(out)).toBe(false);
  writeFileSync(page, `# Mine\n\n<!-- ${NAME} -->\n<!-- /${NAME} -->\n`);
  const { code, err } = await lethe(asked, { env });
  expect(code, err).toBe(0);
  const report = readFileSync(join(out, "report.md"), "utf8");
  expect(report).toContain("n/a");
  const written = readFileSync(page, "utf8");
  expect(written).toMatch(/^# Mine\n\n<!-- editing-as-unlearning -->\nModels: bundled\./);
  for (const name of ["Ob1", "Ob2", "Ob3", "Ob4", "Ob5", "Ob6", "self-improvement", "merging"])
    for (const text of [written, report])
      expect(text).toMatch(new RegExp(`\\*\\*${name}\\.\\*\\* .*\\n\\n- Under the corrected protocol: cannot tell \\(of \\d+ orders?`));
  expect(written).toMatch(/Under the published protocol: cannot tell \(of \d orders/);
  expect(written).not.toMatch(/: (?:agreement|contradiction)/);
  expect(readdirSync(join(folder, "runs")).filter((name) => !name.startsWith("."))).toEqual([]);
});

describe("the scale tiny, whole, from an empty folder", () => {
  interface Whole {
    readonly report: ReadonlyMap<string, string>;
    readonly records: ReadonlyMap<string, string>;
  }

  /** Runs a recipe into a folder of its own. Returns every file of the report, and every record, by their names. */
  async function whole(name: string, time: string): Promise<Whole> {
    const home = join(folder, `${name}-${time}`);
    const out = join(home, "report");
    const { code, err } = await lethe(["reproduce", name, "--scale", "tiny", "-q", "-o", out], { env: { LETHE_HOME: home } });
    expect(code, err).toBe(0);
    const files = readdirSync(out, { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile());
    const runs = join(home, "runs");
    const made = readdirSync(runs).filter((id) => existsSync(join(runs, id, "record.json")));
    return {
      report: new Map(
        files.map(({ parentPath, name: file }) => {
          const path = join(parentPath, file);
          return [path.slice(out.length + 1), readFileSync(path).toString("latin1")] as const;
        }),
      ),
      records: new Map(made.sort().map((id) => [id, readFileSync(join(runs, id, "record.json"), "utf8")] as const)),
    };
  }

  const once = new Map<string, Whole>();
  const HOUR = 3_600_000;

  test.each(["editing-as-unlearning", "model-editing-for-unlearning"])(
    "%s: no step fails, every cell is filled, and the answers are there to be rated",
    { timeout: HOUR },
    async (name) => {
      const { report, records } = await whole(name, "once");
      once.set(name, { report, records });
      expect(records.size).toBeGreaterThan(80);
      for (const record of records.values()) expect(JSON.parse(record)).toMatchObject({ status: "success" });
      const csvs = [...report].filter(([file]) => file.endsWith(".csv"));
      expect(csvs.length).toBeGreaterThan(4);
      for (const [file, text] of csvs) {
        expect(text.split("\r\n").length, file).toBeGreaterThan(2);
        expect(text, file).not.toContain("n/a");
      }
      expect([...report.values()].filter((text) => text.startsWith("<svg")).every((text) => text.includes("<path"))).toBe(true);
      const page = report.get("report.md")!;
      expect(page).not.toMatch(/Failed:|No line for/);
      expect(page).toContain("Published orders, and whether our runs have them:");
      expect(page).toMatch(/^# What may be concluded\n/);
      const [, answers] = [...report].find(([file]) => file.endsWith("answers/main.jsonl"))!;
      const lines = answers
        .trim()
        .split("\n")
        .map((line) => JSON.parse(line) as object);
      expect(lines.length).toBeGreaterThan(10);
      for (const line of lines) expect(Object.keys(line)).toEqual(expect.arrayContaining(["id", "question", "right", "before", "after"]));
    },
  );

  test("records without weights give the same report in an empty home, and nothing is run", { timeout: HOUR }, async () => {
    const name = "model-editing-for-unlearning";
    const [records, home] = [join(folder, "records"), join(folder, "fresh")];
    const asked = ["reproduce", name, "--scale", "tiny", "-q"];
    const saved = await lethe([...asked, "--save-records", records], { env: { LETHE_HOME: join(folder, `${name}-once`) } });
    expect([saved.code, saved.out], saved.err).toEqual([0, expect.stringMatching(/: \d{3} runs, \d{3} of them new\n$/)]);
    expect(readdirSync(records, { recursive: true, encoding: "utf8" }).filter((file) => file.endsWith(".safetensors"))).toEqual([]);
    const out = join(home, "report");
    const { code, err } = await lethe([...asked, "--records", records, "--report", "-o", out], { env: { LETHE_HOME: home } });
    expect(code, err).toBe(0);
    for (const [file, text] of once.get(name)!.report) expect(readFileSync(join(out, file)).toString("latin1") === text, file).toBe(true);
    expect(readdirSync(join(home, "runs"))).toEqual([".index"]);
  });

  const TWICE = process.env["LETHE_TWICE"] === "1";
  test.each([["model-editing-for-unlearning"], ...(TWICE ? [["editing-as-unlearning"]] : [])] as [string][])(
    "%s: a second run into another folder gives the same bytes (of both recipes with LETHE_TWICE=1)",
    { timeout: HOUR },
    async (name) => {
      const again = await whole(name, "twice");
      const { report, records } = once.get(name)!;
      expect([...again.records.keys()]).toEqual([...records.keys()]);
      for (const [id, record] of records) expect(again.records.get(id), id).toBe(record);
      expect([...again.report.keys()].sort()).toEqual([...report.keys()].sort());
      for (const [file, text] of report) expect(again.report.get(file) === text, file).toBe(true);
    },
  );
});
