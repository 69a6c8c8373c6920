/** A grid run: shared steps once, failures told and gone round, what was done before found again, and its table. */
import { mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, test } from "vitest";
import { type Context, defaultContext, type Event } from "../../../src/base/context.ts";
import { tableMarkdown, tableRows } from "../../../src/report/markdown.ts";
import { type Grid, gridRecord, gridStatus, openGrid, runGrid } from "../../../src/run/grid.ts";
import { listRuns } from "../../../src/run/runs.ts";

const root = mkdtempSync(join(tmpdir(), "lethe-grid-"));
afterAll(() => rmSync(root, { recursive: true, force: true }));

const facts = (count: number): string =>
  Array.from({ length: count }, (_, i) => JSON.stringify({ id: `f${i}`, prompt: `Who keeps lamp ${i}?`, answer: `Keeper ${i}.` })).join(
    "\n",
  );

/** Three files, of which one is not there; the first of each are chosen twice. */
const GRID = `name: lamps
axes:
  file: [few, none, many]
  first: [1, 3]
steps:
  all: { step: select, data: "\${here}/\${file}.jsonl" }
  some: { step: select, data: "\${all}", limit: "\${first}" }
tables:
  main:
    rows: [file]
    columns:
      - { title: file, text: "\${file}" }
      - { title: all, rows: all }
      - { title: some, rows: some }
      - { title: s, seconds: some }
`;

let made = 0;
function start(text = GRID): { folder: string; file: string; ctx: Context; events: Event[] } {
  const folder = join(root, String(made++));
  mkdirSync(folder);
  for (const [name, count] of [
    ["few", 2],
    ["many", 9],
  ] as const)
    writeFileSync(join(folder, `${name}.jsonl`), facts(count));
  const file = join(folder, "lamps.yaml");
  writeFileSync(file, text);
  const events: Event[] = [];
  return { folder, file, events, ctx: defaultContext({ runs: join(folder, "runs"), log: (event) => events.push(event) }) };
}
/** Two of the files can be run. */
const goOn = { keepGoing: true } as const;
const listSteps = async (grid: Grid, ctx: Context) => (await gridStatus(grid, ctx)).steps;
const texts = (events: readonly Event[], kind: "whole" | "warning"): string[] =>
  events.flatMap((event) => (event.kind === kind && event.who === "grid" ? [event.text] : []));

describe("runGrid", () => {
  test("what cannot be run is told with its reason, what needs it is not tried, and the others go on", async () => {
    const { file, ctx, events, folder } = start();
    const record = await runGrid(openGrid(file), ctx, goOn);
    expect(record.steps).toEqual({ total: 9, finished: 6 });
    expect(record.failed.map(({ step, at }) => `${step}: ${at}`)).toEqual(["all: none", "some: none, 1", "some: none, 3"]);
    for (const { reason } of record.failed) expect(reason).toMatch(/none\.jsonl: there is no such file/);
    expect(texts(events, "warning")).toHaveLength(1);
    expect(tableRows(record.tables[0]!).map((row) => row.slice(0, 3))).toEqual([
      ["file", "all", "some"],
      ["few", "2", "3"],
      ["none", "n/a", "n/a"],
      ["many", "9", "4"],
    ]);
    expect(tableMarkdown(record.tables[0]!)).toMatch(/\n- none: n\/a, because .*none\.jsonl: there is no such file/);
    expect(listRuns(join(folder, "runs"))).toHaveLength(6);
    expect(record.code["select"]).toHaveLength(1);
    expect(record.machines).toHaveLength(1);
  });

  test("again: nothing is run that is finished, and what can be run by then is", async () => {
    const { file, ctx, folder, events } = start();
    await runGrid(openGrid(file), ctx, goOn);
    writeFileSync(join(folder, "none.jsonl"), facts(1));
    events.length = 0;
    const record = await runGrid(openGrid(file), ctx, goOn);
    expect(record.failed).toEqual([]);
    expect(texts(events, "whole").map((text) => text.replace(/,.*?:/, ":").replace(/, .* left$/, ""))).toEqual([
      "6 of 9: all, none",
      "7 of 9: some, none, 1",
      "8 of 9: some, none, 3",
      expect.stringMatching(/^9 of 9, peak \d+ [MG]B$/),
    ]);
    expect(tableRows(record.tables[0]!)[2]!.slice(0, 3)).toEqual(["none", "1", "2"]);
  });

  test("stopped in the middle it ends there, and goes on with the same folders", async () => {
    const { file, ctx, folder } = start();
    const stop = new AbortController();
    const log = (event: Event): void => void (event.kind === "whole" && event.done === 2 && stop.abort());
    await expect(runGrid(openGrid(file), { ...ctx, log, signal: stop.signal }, goOn)).rejects.toMatchObject({ trouble: "aborted" });
    const before = readdirSync(join(folder, "runs"));
    expect(before.length).toBeGreaterThanOrEqual(2);
    expect(before.length).toBeLessThan(6);
    await runGrid(openGrid(file), ctx, goOn);
    expect(readdirSync(join(folder, "runs"))).toEqual(expect.arrayContaining(before));
    expect(listRuns(join(folder, "runs"))).toHaveLength(6);
  });

  test("the steps are listed and the table is made without running anything", async () => {
    const { file, ctx, folder } = start();
    const steps = await listSteps(openGrid(file), ctx);
    expect(steps.map(({ step, at, state }) => `${step} ${at}: ${state}`)).toEqual([
      "all few: open",
      "some few, 1: open",
      "some few, 3: open",
      "all none: refused",
      "some none, 1: skipped",
      "some none, 3: skipped",
      "all many: open",
      "some many, 1: open",
      "some many, 3: open",
    ]);
    const open = await gridRecord(openGrid(file), ctx);
    expect(tableMarkdown(open.tables[0]!)).toMatch(/\| few \| n\/a \| n\/a \| n\/a \|/);
    expect(() => readdirSync(join(folder, "runs"))).toThrow(/ENOENT/);
    await runGrid(openGrid(file), ctx, goOn);
    const states = new Set((await listSteps(openGrid(file), ctx)).map(({ state }) => state));
    expect(states).toEqual(new Set(["finished", "refused", "skipped"]));
  });

  test("a file that was changed is a run of its own; damage to a result is seen", async () => {
    const { file, ctx, folder } = start();
    await runGrid(openGrid(file), ctx, goOn);
    writeFileSync(join(folder, "few.jsonl"), facts(1));
    const counts = async (): Promise<number> => (await listSteps(openGrid(file), ctx)).filter(({ state }) => state === "finished").length;
    expect(await counts()).toBe(3);
    const [many] = listRuns(join(folder, "runs")).filter(({ record }) => (record.result as { rows: number }).rows === 9);
    writeFileSync(join(many!.path, "requests.jsonl"), "damaged");
    expect(await counts()).toBe(0);
  });
});
