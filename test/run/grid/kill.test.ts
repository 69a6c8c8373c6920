/** A grid of 24 steps killed with kill -9 at random moments, again and again: the records of a grid left alone, byte for byte. */
import { spawn } from "node:child_process";
import { createHash } from "node:crypto";
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, expect, test } from "vitest";
import { rng } from "../../../src/base/rng.ts";
import { listRuns } from "../../../src/run/runs.ts";
import { command, environmentOf, lethe } from "../../cli/lethe.ts";

/** LETHE_KILLS asks for more. */
const KILLS = Number(process.env["LETHE_KILLS"] ?? 3);
const FACTS = fileURLToPath(new URL("../../../bundled/facts.jsonl", import.meta.url));

/** Four shared steps, and two for each of ten edits. */
const GRID = `name: killed
vars: { set: null, retain: null, say: null }
axes:
  method:
    - { method: ft, say: No., set: { layer: 0, steps: 3 } }
    - { method: ft, say: No., set: { layer: 1, steps: 3 } }
    - { method: ft, say: No., set: { layer: 2, steps: 3 } }
    - { method: ft, say: No., set: { layer: 3, steps: 3 } }
    - { method: ft, say: No., set: { layer: 4, steps: 3 } }
    - { method: ft, say: No., set: { layer: 5, steps: 3 } }
    - { method: ike, say: No., set: { k: 0 } }
    - { method: memit, say: No., set: { steps: 4 } }
    - { method: gd, set: { steps: 4, batch: 2, layers: [4], weights: mlp.out }, retain: "\${known}" }
    - { method: ga, set: { steps: 4, batch: 2, layers: [4], weights: mlp.out } }
steps:
  asked: { step: select, data: "bundled:${FACTS}", limit: 6 }
  base: { step: eval, model: bundled, suite: forgetting, data: [{ group: others, data: "\${asked}" }], maxTokens: 8, batch: 2 }
  known: { step: select, data: "\${asked}", by: "\${base}", number: Known Others, least: 0 }
  facts: { step: select, data: "\${known}", limit: 2 }
  edit:
    step: forget
    model: bundled
    data: \${facts}
    method: \${method}
    say: \${say}
    set: \${set}
    retain: \${retain}
    tokens: 512
    maxTokens: 0
  judged:
    step: eval
    model: bundled
    edit: ["\${edit}"]
    suite: forgetting
    data: [{ group: forget, data: "\${facts}" }]
    maxTokens: 8
    batch: 2
`;

const folder = mkdtempSync(join(tmpdir(), "lethe-grid-kill-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));
const file = join(folder, "killed.yaml");
const args = ["grid", file, "--threads", "1"];

/** A hash of every file of the runs but timings and the index. */
const bytesOf = (home: string): Map<string, string> =>
  new Map(
    readdirSync(join(home, "runs"), { recursive: true, withFileTypes: true })
      .filter((entry) => entry.isFile() && entry.name !== "timings.json" && !entry.parentPath.includes(".index"))
      .map((entry) => {
        const path = join(entry.parentPath, entry.name);
        return [path.slice(home.length), createHash("sha256").update(readFileSync(path)).digest("hex")] as const;
      })
      .sort(([a], [b]) => (a < b ? -1 : 1)),
  );

/** Runs the grid and kills it after so many milliseconds; whether it was killed in time. */
function killed(home: string, ms: number): Promise<boolean> {
  const child = spawn(process.execPath, [...command(), ...args], { env: environmentOf({ LETHE_HOME: home }), stdio: "ignore" });
  const timer = setTimeout(() => child.kill("SIGKILL"), ms);
  return new Promise((done) => child.on("close", (code) => (clearTimeout(timer), done(code === null))));
}

let took = 0;
const whole = join(folder, "whole");
beforeAll(async () => {
  writeFileSync(file, GRID);
  const began = Date.now();
  const { code, err, out } = await lethe(args, { env: { LETHE_HOME: whole } });
  if (code !== 0) throw new Error(err);
  if (out !== "24 of 24 steps are done.\n") throw new Error(out);
  took = Date.now() - began;
}, 600_000);

test(`${KILLS} kills at random moments`, { timeout: 600_000 + 120_000 * KILLS }, async () => {
  const home = join(folder, "broken");
  const chance = rng("grid of 24 kills");
  for (let hits = 0, tries = 0; hits < KILLS; tries++) {
    expect(tries, "too late each time").toBeLessThan(4 * KILLS + 8);
    if (await killed(home, 300 + (took * 2 * chance.uniform()) / Math.max(4, KILLS))) hits++;
    else rmSync(home, { recursive: true, force: true }); // it was over: begin again
  }
  const { code, err } = await lethe(args, { env: { LETHE_HOME: home } });
  expect(code, err).toBe(0);
  expect(bytesOf(home)).toEqual(bytesOf(whole));
  expect(listRuns(join(home, "runs")).every(({ record }) => record.status === "success")).toBe(true);
});
