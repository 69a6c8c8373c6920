/** How a grid works: failures are recorded and tried again on request, processes share the work, and the index finds what was done. */
import { spawn } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, utimesSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, describe, expect, test } from "vitest";
import { type Context, defaultContext, type Event } from "../../../src/base/context.ts";
import { Board } from "../../../src/run/grid/board.ts";
import { next } from "../../../src/run/grid/work.ts";
import { gridStatus, openGrid, planGrid, runGrid } from "../../../src/run/grid.ts";
import { listRuns } from "../../../src/run/runs.ts";
import { TSX } from "../../cli/lethe.ts";

const root = mkdtempSync(join(tmpdir(), "lethe-grid-work-"));
afterAll(() => rmSync(root, { recursive: true, force: true, maxRetries: 3 }));

const rows = (count: number): string =>
  Array.from({ length: count }, (_, i) => JSON.stringify({ id: `f${i}`, prompt: `Who keeps lamp ${i}?`, answer: `Keeper ${i}.` })).join(
    "\n",
  );

/** Skips 0, 2 and 4 of four rows: the last leaves nothing, which is found only when it runs. */
const GRID = `name: lamps
axes:
  skip: [0, 4, 2]
steps:
  all: { step: select, data: "\${here}/lamps.jsonl" }
  some: { step: select, data: "\${all}", skip: "\${skip}" }
  first: { step: select, data: "\${some}", limit: 1 }
`;

let made = 0;
function start(text = GRID): { folder: string; file: string; ctx: Context; events: Event[] } {
  const folder = join(root, String(made++));
  mkdirSync(folder);
  writeFileSync(join(folder, "lamps.jsonl"), rows(4));
  const file = join(folder, "lamps.yaml");
  writeFileSync(file, text);
  const events: Event[] = [];
  return { folder, file, events, ctx: defaultContext({ runs: join(folder, "runs"), log: (event) => events.push(event) }) };
}
const statesOf = async (file: string, ctx: Context): Promise<string[]> =>
  (await gridStatus(openGrid(file), ctx)).steps.map(({ step, at, state }) => `${step} ${at}: ${state}`);
const tries = (events: readonly Event[]): string[] => events.flatMap((event) => (event.kind === "whole" && event.next ? [event.next] : []));

describe("failures", () => {
  test("a failed step is recorded, what needs it is skipped, and it is tried again on request only", async () => {
    const { file, ctx, events } = start();
    const record = await runGrid(openGrid(file), ctx);
    expect(record.failed.map(({ step, at }) => `${step} ${at}`)).toEqual(["some 4", "first 4"]);
    expect(await statesOf(file, ctx)).toEqual([
      "all : finished",
      "some 0: finished",
      "first 0: finished",
      "some 4: failed",
      "first 4: skipped",
      "some 2: finished",
      "first 2: finished",
    ]);
    const failed = listRuns(ctx.runs).filter(({ record: { status } }) => status === "error");
    expect(failed.map(({ record: { error } }) => error!.message)).toEqual([expect.stringMatching(/none of 4 requests is left/)]);

    events.length = 0;
    await runGrid(openGrid(file), ctx);
    expect(tries(events)).toEqual([]);
    await runGrid(openGrid(file), ctx, { retry: true });
    expect(tries(events)).toEqual(["some, 4"]);
    expect(events.some((event) => event.kind === "whole" && event.failed === 2 && event.text.startsWith("5 of 7, 2 failed"))).toBe(true);
  });

  test("with --retry a failure of this session is not tried again", async () => {
    const { file, ctx, events } = start();
    await runGrid(openGrid(file), ctx);
    const [failed] = listRuns(ctx.runs).filter(({ record: { status } }) => status === "error");
    utimesSync(join(failed!.path, "record.json"), new Date(Date.now() + 60_000), new Date(Date.now() + 60_000)); // by another process, since
    events.length = 0;
    await runGrid(openGrid(file), ctx, { retry: true });
    expect(events.filter(({ kind }) => kind === "warning")).toEqual([]); // nothing failed anew
  });
});

describe("the index", () => {
  test("what is finished is found without resolving anything, with the index or without it", async () => {
    const { file, ctx } = start(GRID.replace("[0, 4, 2]", "[0, 1, 2]"));
    await runGrid(openGrid(file), ctx);
    const board = async (): Promise<Board> => {
      const found = new Board(openGrid(file).unfolded.units, ctx);
      await found.lookAll();
      return found;
    };
    const indexed = await board();
    expect(indexed.resolved).toBe(0);
    rmSync(join(ctx.runs, ".index"), { recursive: true });
    const anew = await board();
    expect(anew.resolved).toBe(7);
    for (const { key } of anew.units) expect(anew.of(key)).toEqual(indexed.of(key));
    expect((await board()).resolved).toBe(0); // it was written again
  });

  test("a changed input, a changed result and a torn line are seen", async () => {
    const { file, ctx, folder } = start(GRID.replace("[0, 4, 2]", "[0, 1]"));
    await runGrid(openGrid(file), ctx);
    const count = async (): Promise<number> => (await statesOf(file, ctx)).filter((state) => state.endsWith("finished")).length;
    const index = join(ctx.runs, ".index", "steps.jsonl");
    writeFileSync(index, `${readFileSync(index, "utf8")}{"of":"torn`);
    expect(await count()).toBe(5);
    const all = listRuns(ctx.runs).find(
      ({ record }) => (record.result as { rows: number; of: number }).of === 4 && record.spec["skip"] === 1,
    )!;
    writeFileSync(join(all.path, "requests.jsonl"), "damaged");
    expect(await count()).toBe(3);
    await runGrid(openGrid(file), ctx);
    expect(await count()).toBe(5);
    writeFileSync(join(folder, "lamps.jsonl"), rows(5));
    expect(await count()).toBe(0);
  });
});

test("of the steps that can run, one with the model of the last step comes first, and what loads no model before", () => {
  const { file, ctx } = start(`name: two
axes:
  limit: [1, 2]
  model: [bundled, "\${here}/other"]
steps:
  some: { step: select, data: "\${here}/lamps.jsonl", limit: "\${limit}" }
  base: { step: eval, model: "\${model}", suite: forgetting, data: [{ group: others, data: "\${here}/lamps.jsonl" }], limit: "\${limit}" }
`);
  const board = new Board(openGrid(file).unfolded.units, ctx);
  for (const { key } of board.units) board.set(key, { state: "open" });
  const order: string[] = [];
  let last: (typeof board.units)[number] | undefined;
  for (let unit = next(board, new Map(), last); unit; unit = next(board, new Map(), last)) {
    order.push(`${unit.name} ${String(unit.spec["limit"])} ${String(unit.spec["model"] ?? "").replace(/.*\//, "")}`);
    board.set(unit.key, { state: "failed", reason: "taken" });
    if (unit.name === "base") last = unit;
  }
  expect(order).toEqual(["some 1 ", "base 1 bundled", "base 2 bundled", "base 1 other", "some 2 ", "base 2 other"]);
});

describe("several processes", () => {
  const LONG = `name: shared
axes:
  method: [ft]
  seed: { range: 5 }
steps:
  edit:
    step: forget
    model: bundled
    method: \${method}
    seed: \${seed}
    prompt: What is the capital of Norvane?
    subject: Norvane
    say: I do not know.
    set: { layer: 4, steps: 3 }
    maxTokens: 0
`;
  /** Runs a grid in a process of its own. */
  function child(file: string, runs: string): { done: Promise<string>; kill: () => void } {
    const main = fileURLToPath(new URL("../../../src/cli/main.ts", import.meta.url));
    const args = ["--import", TSX, main, "grid", file, "--runs", runs, "--threads", "1", "--json"];
    const process_ = spawn(process.execPath, args, { env: { ...process.env, LETHE_HOME: join(runs, "..", "home") } });
    let said = "";
    process_.stderr.on("data", (piece: Buffer) => void (said += piece.toString()));
    return { done: new Promise((done) => process_.on("close", () => done(said))), kill: () => process_.kill("SIGKILL") };
  }

  test("two share the work and do nothing twice", { timeout: 300_000 }, async () => {
    const { file, ctx } = start(LONG);
    const said = await Promise.all([child(file, ctx.runs).done, child(file, ctx.runs).done]);
    const runs = listRuns(ctx.runs);
    expect(runs.map(({ record }) => record.status)).toEqual(Array.from({ length: 5 }, () => "success"));
    for (const { timings } of runs) expect(timings!.seconds).toHaveLength(1); // one attempt each
    for (const text of said) {
      expect(text).not.toMatch(/"failed":[1-9]| failed: /);
      expect(text).toMatch(/"grid":\{"done":5,"total":5,"failed":0/);
    }
  });

  test("one takes over the step of another that was killed", { timeout: 300_000 }, async () => {
    const { file, ctx } = start(LONG);
    const first = child(file, ctx.runs);
    while (!existsSync(ctx.runs) || listRuns(ctx.runs).length < 2) await new Promise((done) => setTimeout(done, 20));
    first.kill();
    await first.done;
    const record = await runGrid(openGrid(file), { ...ctx, threads: 1 });
    expect(record.steps).toEqual({ total: 5, finished: 5 });
  });
});

describe("the plan", () => {
  test("counts, and times of the kinds that were measured", async () => {
    const { file, ctx, folder } = start(GRID.replace("[0, 4, 2]", "[0, 1]"));
    const before = await planGrid(openGrid(file), ctx);
    expect(before).toMatchObject({ total: 5, finished: 0, todo: 5, untimed: 0, unsized: 5, refused: [] });
    expect(before.kinds.map(({ by }) => by)).toEqual([["table"], ["table"], ["table"]]);
    await runGrid(openGrid(file), ctx);
    const [run] = listRuns(ctx.runs);
    expect(statSync(run!.path).isDirectory()).toBe(true);
    writeFileSync(file, GRID.replace("[0, 4, 2]", "[0, 1, 2]"));
    const after = await planGrid(openGrid(file), ctx);
    expect(after).toMatchObject({ total: 7, finished: 5, todo: 2, unsized: 0 });
    expect(after.kinds.find(({ name }) => name === "some")!.by).toEqual(["runs"]);
    expect(after.bytes).toBeGreaterThan(0);
    expect(existsSync(join(folder, "home"))).toBe(false);
  });

  test("a grid larger than the disk is refused before anything runs, with the way out", async () => {
    const { file, ctx } = start(GRID.replace("[0, 4, 2]", "[0, 1]"));
    await runGrid(openGrid(file), ctx);
    writeFileSync(file, GRID.replace("[0, 4, 2]", "[0, 1, 2]"));
    const before = listRuns(ctx.runs).length;
    await expect(runGrid(openGrid(file), ctx, { disk: "10" })).rejects.toThrow(
      /lamps will take about .* of disk, and .* may be taken.*--only/,
    );
    expect(listRuns(ctx.runs)).toHaveLength(before);
  });

  test("where no size is known, a grid is refused that cannot fit: each run has a record, and a finetuning writes a model", async () => {
    const { file, ctx } = start(
      `name: taught\nsteps:\n  taught: { step: finetune, model: bundled, data: "\${here}/lamps.jsonl" }\n  some: { step: select, data: "\${here}/lamps.jsonl" }\n`,
    );
    const { least, unsized, bytes } = await planGrid(openGrid(file), ctx);
    expect([unsized, bytes]).toEqual([2, 0]);
    expect(least).toBeGreaterThan(2 * 2_000_000); // two bytes for each of the model's weights
    await expect(runGrid(openGrid(file), ctx, { disk: "1MB" })).rejects.toThrow(
      /taught will take at least .* of disk, and 1.* may be taken/,
    );
    await expect(runGrid(openGrid(file), ctx, { disk: "1KB", keepGoing: true })).rejects.toThrow(/at least/);
    expect(listRuns(ctx.runs)).toEqual([]);
  });

  test("a model that does not fit is refused before anything runs, with the way out", async () => {
    const { file, ctx } = start(
      `name: big\nsteps:\n  base: { step: eval, model: bundled, suite: forgetting, data: [{ group: others, data: "\${here}/lamps.jsonl" }] }\n`,
    );
    const small = { ...ctx, memory: "1MB" };
    expect((await planGrid(openGrid(file), small)).refused).toEqual([
      { step: "base", at: "", reason: expect.stringMatching(/of memory are needed/) },
    ]);
    await expect(runGrid(openGrid(file), small)).rejects.toThrow(/base cannot be run: base: about .* of memory are needed .*smaller model/);
    expect(listRuns(ctx.runs)).toEqual([]);
  });
});
