/** The grids of long sequences: each unfolds at each scale, shares its steps, and one runs to its report on the bundled model. */
import { existsSync, mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, describe, expect, test } from "vitest";
import { defaultContext } from "../../src/base/context.ts";
import { readLines } from "../../src/base/store.ts";
import type { ForgetRequest } from "../../src/data/request.ts";
import { recallOf } from "../../src/eval/leak.ts";
import { openLog } from "../../src/eval/open-log.ts";
import { openGrid, runGrid } from "../../src/run/grid.ts";
import { listRuns } from "../../src/run/runs.ts";

const folder = fileURLToPath(new URL("../../studies/sequences", import.meta.url));
const files = readdirSync(folder).filter((file) => file.endsWith(".yaml") && file !== "shared.yaml");
const root = mkdtempSync(join(tmpdir(), "lethe-sequences-"));
afterAll(() => rmSync(root, { recursive: true, force: true }));

describe.each(files)("%s", (file) => {
  test.each(["tiny", "small"])("unfolds at the scale %s", (scale) => {
    const { grid, unfolded } = openGrid(join(folder, file), { set: { scale } });
    expect(unfolded.units.length).toBeGreaterThan(10);
    expect(Object.keys(grid.tables)).toEqual(["main"]);
    for (const { spec } of unfolded.units)
      for (const value of scale === "tiny" ? Object.values(spec) : []) {
        const path = typeof value === "string" ? /^(?:\w+:)?(\/[^#]+|.*studies\/[^#]+)/.exec(value)?.[1] : undefined;
        if (path !== undefined) expect(existsSync(path), path).toBe(true);
      }
  });
});

test("a hypothesis is a part of its grid, and rows that share a step share its run", () => {
  const file = join(folder, "hypotheses.yaml");
  const edits = (h: string): number =>
    openGrid(file, { only: { h: [h] } }).unfolded.units.filter(({ spec }) => spec.step === "forget").length;
  const apart = ["H1", "H2", "H3", "H4", "H5", "H6"].map(edits);
  const whole = openGrid(file).unfolded.units.filter(({ spec }) => spec.step === "forget").length;
  expect(Math.min(...apart)).toBeGreaterThan(0);
  expect(whole).toBeLessThan(apart.reduce((a, b) => a + b)); // MEMIT's batch is in three, its joint sequence in two
});

test("the smallest run: beliefs of the bundled model, an edit of each, and how it was proven", { timeout: 300_000 }, async () => {
  const ctx = defaultContext({ runs: join(root, "runs"), cache: join(root, "cache") });
  const set = { scale: "tiny", four: "1", asked: "6" };
  const record = await runGrid(openGrid(join(folder, "proven.yaml"), { set, only: { on: ["beliefs"] } }), ctx);
  expect(record.failed).toEqual([]);
  const [row] = record.tables[0]!.rows;
  const [facts, ...shares] = row!.cells.slice(2, 6).map(({ values }) => values);
  expect(facts).toEqual([1]);
  expect(shares.flat().reduce((a, b) => a + b, 0)).toBe(1); // it is proven at first, or after a second search, or not

  // every belief is said in both wordings, and no subject is there twice
  const runs = listRuns(ctx.runs).flatMap(({ id }) => join(ctx.runs, id));
  const said = runs.find(
    (path) =>
      existsSync(join(path, "samples.jsonl")) && openLog(join(path, "samples.jsonl")).rows.some(({ id }) => id.endsWith("/rephrased-1")),
  )!;
  const answers = new Map(openLog(join(said, "samples.jsonl")).rows.map(({ id, generation }) => [id, generation!]));
  const lists = runs
    .map((path) => join(path, "requests.jsonl"))
    .filter(existsSync)
    .map((path) => readLines(path) as ForgetRequest[]);
  const beliefs = lists.filter((list) => list.every(({ paraphrases, wrong }) => paraphrases.length === 1 && wrong.length === 0));
  expect(beliefs.length).toBeGreaterThan(0);
  for (const list of beliefs) {
    expect(new Set(list.map(({ subject }) => subject)).size).toBe(list.length);
    for (const { id, answer } of list)
      for (const wording of [id, `${id}/rephrased-1`]) expect(recallOf(answer, answers.get(wording)!), wording).toBe(1);
  }
});
