/** Rows of what was measured, made from the records of a small grid: each number is that of its record. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, test } from "vitest";
import { type Context, defaultContext } from "../../../src/base/context.ts";
import { shareInterval } from "../../../src/eval/stats.ts";
import { copyGrid, gridStatus, measureGrid, openGrid, runGrid } from "../../../src/run/grid.ts";
import { readMeasured } from "../../../src/run/measured.ts";
import type { EvalRecord } from "../../../src/run/record.ts";
import { listRuns } from "../../../src/run/runs.ts";
import type { Forgotten } from "../../../src/run/steps/forget.ts";

const folder = mkdtempSync(join(tmpdir(), "lethe-grid-measure-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const ctx: Context = defaultContext({ cache: join(folder, "cache"), runs: join(folder, "runs"), threads: 1 });

const GRID = `name: lamps
axes:
  method:
    - { method: ft, set: { layer: 4, steps: 2 }, shown: null }
    - { method: ike, set: null, shown: "\${here}/shown.jsonl" }
  mode:
    - { mode: single, skip: { range: 2 }, take: 1 }
    - { mode: sequential, skip: 0, take: 2 }
steps:
  facts: { step: select, data: "\${here}/facts.jsonl", skip: "\${skip}", limit: "\${take}" }
  others: { step: select, data: "\${here}/facts.jsonl", skip: "\${skip}", limit: "\${take}", others: true }
  edit:
    step: forget
    model: bundled
    data: \${facts}
    method: \${method}
    mode: \${mode}
    say: I do not know.
    set: \${set}
    demonstrations: \${shown}
    maxTokens: 0
  judged:
    step: eval
    model: bundled
    edit: ["\${edit}"]
    suite: forgetting
    data: [{ group: forget, data: "\${facts}" }, { group: others, data: "\${others}" }]
    maxTokens: 8
tables:
  main:
    rows: [method, mode]
    columns:
      - { title: gone, number: Gone Forget, of: judged, as: percent }
`;

describe("measureGrid", () => {
  test("makes a row of each method, mode and number of requests, with the numbers of the records", async () => {
    const lines = readFileSync(new URL("../../../bundled/facts.jsonl", import.meta.url), "utf8")
      .split("\n")
      .slice(0, 4);
    const facts = lines.map(
      (line) => JSON.parse(line) as { id: string; subject: string; question: string; answer: string; paraphrases: string[] },
    );
    const requests = facts.map(({ id, subject, question, answer, paraphrases }) => ({
      id,
      subject,
      prompt: question,
      answer,
      paraphrases: paraphrases.slice(0, 1),
    }));
    writeFileSync(join(folder, "facts.jsonl"), requests.map((one) => JSON.stringify(one)).join("\n"));
    writeFileSync(join(folder, "shown.jsonl"), `${JSON.stringify({ prompt: "Who keeps the lamp?", answer: "Basil." })}\n`);
    writeFileSync(join(folder, "lamps.yaml"), GRID);
    const grid = openGrid(join(folder, "lamps.yaml"));
    await runGrid(grid, ctx);
    const out = join(folder, "rows.jsonl");
    const { rows, total } = await measureGrid(grid, ctx, out);
    expect([total, readMeasured(out)]).toEqual([
      4,
      rows.toSorted((a, b) => `${a.method} ${a.mode}`.localeCompare(`${b.method} ${b.mode}`)),
    ]);
    expect(rows.map(({ method, mode, requests, facts, set, given, kind }) => [method, mode, requests, facts, set, given, kind])).toEqual([
      ["ft", "single", 1, 2, { layer: 4, steps: 2 }, [], "delta"],
      ["ft", "sequential", 2, 2, { layer: 4, steps: 2 }, [], "delta"],
      ["ike", "single", 1, 2, {}, ["demonstrations"], "prompt"],
      ["ike", "sequential", 2, 2, {}, ["demonstrations"], "prompt"],
    ]);
    const runs = listRuns(ctx.runs);
    for (const one of rows) {
      const edits = runs.filter(
        ({ record: { step, spec } }) => step === "forget" && spec["method"] === one.method && spec["mode"] === one.mode,
      );
      expect(edits).toHaveLength(one.mode === "single" ? 2 : 1);
      const ids = edits.flatMap(({ record }) => (record.result as Forgotten).edits.map(({ id }) => id));
      const judged = runs.flatMap(({ record }) => {
        const result = record.result as EvalRecord;
        return record.step === "eval" && ids.some((id) => result.run!.edits.includes(id)) ? [result.numbers] : [];
      });
      const value = (title: string): number => {
        const own = judged.map((numbers) => numbers.find((number) => number.title === title)!.value);
        return own.reduce((sum, part) => sum + part, 0) / own.length;
      };
      expect([one.target, one.gone, one.rephrased, one.others].map((share) => share!.toFixed(3))).toEqual(
        ["Target Forget", "Gone Forget", "Gone Rephrased", "Known Others"].map((title) => value(title).toFixed(3)),
      );
      if (one.mode === "sequential") {
        const { low, high } = shareInterval(Math.round(2 * one.others!), 2)!;
        expect(one.interval).toEqual([Number(low.toFixed(4)), Number(high.toFixed(4))]);
        expect(one.seconds).toBeCloseTo(edits[0]!.timings!.seconds.reduce((sum, part) => sum + part, 0) / 2, 3);
        expect(one.bytes).toBe((edits[0]!.record.result as Forgotten).bytes);
      }
      const peaks = edits.map(({ timings }) => timings!.peak);
      expect([one.peak, one.model, one.from]).toEqual([
        Math.max(...peaks),
        { name: "bundled", id: edits[0]!.record.spec["model"] },
        "lamps",
      ]);
      expect([edits[0]!.record.code.startsWith(one.code!), edits[0]!.timings!.ended.startsWith(one.date!)]).toEqual([true, true]);
      expect(one.isLowRank).toBe(one.kind === "delta" ? false : null); // FT-L writes full differences
    }
    // committed records have no weights: what such an edit changes is not known
    const records = join(folder, "records");
    await copyGrid(grid, ctx, records);
    const committed = openGrid(join(folder, "lamps.yaml"), { records: [records] });
    const again = await measureGrid(committed, { ...ctx, runs: join(folder, "none") });
    expect(again.rows).toEqual(rows.map((one) => ({ ...one, kind: null, isLowRank: null })));
  }, 240_000);

  test("a grid may leave the method to auto: its runs are those of the chosen methods, and are found again", async () => {
    const text = GRID.replace(
      "- { method: ft, set: { layer: 4, steps: 2 }, shown: null }",
      '- { method: auto, set: null, shown: "${here}/shown.jsonl" }',
    );
    writeFileSync(join(folder, "auto.yaml"), text);
    const grid = openGrid(join(folder, "auto.yaml"));
    expect(grid.unfolded.units.filter(({ spec }) => spec["method"] === "auto")).toHaveLength(3);
    await runGrid(grid, ctx);
    const states = (await gridStatus(grid, ctx)).steps.map(({ state }) => state);
    expect(new Set(states)).toEqual(new Set(["finished"]));
    const chosen = listRuns(ctx.runs).flatMap((card) => (card.chosen ? [[card.record.spec["method"], card.chosen.method]] : []));
    expect(chosen.length).toBeGreaterThan(0);
    for (const [method, name] of chosen) expect([method, method]).toEqual([name, expect.not.stringMatching("auto")]);
    const { rows } = await measureGrid(grid, ctx);
    expect(rows.map(({ method }) => method)).not.toContain("auto");
    writeFileSync(join(folder, "atuo.yaml"), text.replace("auto", "atuo"));
    expect(() => openGrid(join(folder, "atuo.yaml"))).toThrow(/"atuo".*Did you mean "auto"\?/s);
  }, 240_000);
});
