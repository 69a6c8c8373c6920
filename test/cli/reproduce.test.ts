/** `lethe reproduce`: the list, a plan, a report of what is finished, and what is refused. */
import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect, test } from "vitest";
import { lethe } from "./lethe.ts";

const folder = mkdtempSync(join(tmpdir(), "lethe-reproduce-test-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));
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
  const { code, err } = await lethe(["reproduce", NAME, "--scale", "tiny", "--report", "-o", out], { env });
  expect(code, err).toBe(0);
  expect(readFileSync(join(out, "report.md"), "utf8")).toContain("n/a");
  expect(readdirSync(join(folder, "runs")).filter((name) => !name.startsWith("."))).toEqual([]);
});
