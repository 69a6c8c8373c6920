/** A grid over PostgreSQL with workers that are killed, stopped and cut off: the bytes of a grid in process, nothing twice, nothing lost. */
import { type ChildProcess, spawn } from "node:child_process";
import { createHash } from "node:crypto";
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { defaultContext } from "../../../src/base/context.ts";
import { queueStatus } from "../../../src/run/queue/database.ts";
import { queueOf, suffices, tagsIn } from "../../../src/run/queue/tags.ts";
import { listRuns } from "../../../src/run/runs.ts";
import { command, environmentOf, lethe } from "../../cli/lethe.ts";
import { type Server, serverPrograms, startServer } from "./server.ts";

const programs = serverPrograms();
const root = mkdtempSync(join(tmpdir(), "lethe-queue-"));
const children: ChildProcess[] = [];
afterAll(() => {
  for (const child of children) child.kill("SIGKILL");
  rmSync(root, { recursive: true, force: true });
});

describe("tags", () => {
  test("of a number at least as much, of a text the same", () => {
    const has = { memory: 8e9, threads: 4, device: "cpu" };
    expect(suffices(has, { memory: 8e9, threads: 2 })).toBe(true);
    expect(suffices(has, { memory: 9e9 })).toBe(false);
    expect(suffices(has, { device: "gpu" })).toBe(false);
    expect(suffices(has, { license: 1 })).toBe(false);
    expect(queueOf({ a: 1, b: 2 })).toBe(queueOf({ b: 2, a: 1 }));
    expect(tagsIn("--tags", ["device=gpu", "memory=64e9"])).toEqual({ device: "gpu", memory: 64e9 });
    expect(() => tagsIn("--tags", ["gpu"])).toThrow(/--tags: "gpu"; wanted name=value/);
  });
});

const FACTS = fileURLToPath(new URL("../../../bundled/facts.jsonl", import.meta.url));
const GRID = `name: queued
axes:
  method:
    - { method: ft, layer: 4 }
    - { method: ft, layer: 3 }
    - { method: ft, layer: 2 }
    - { method: ft, layer: 1 }
    - { method: ft, layer: 0 }
    - { method: ft, layer: 5 }
steps:
  asked: { step: select, data: "bundled:${FACTS}", limit: 4 }
  edit:
    step: forget
    model: bundled
    data: \${asked}
    method: \${method}
    set: { layer: "\${layer}", steps: 12 }
    say: I do not know.
    maxTokens: 0
  judged:
    step: eval
    model: bundled
    edit: ["\${edit}"]
    suite: forgetting
    data: [{ group: forget, data: "\${asked}" }]
    maxTokens: 8
    batch: 1
`;

/** Everything that another process decides: the bytes of the runs but their timings. */
const bytesOf = (runs: string): Map<string, string> =>
  new Map(
    readdirSync(runs, { recursive: true, withFileTypes: true })
      .filter((entry) => entry.isFile() && entry.name !== "timings.json" && !entry.parentPath.includes(".index"))
      .map((entry) => {
        const path = join(entry.parentPath, entry.name);
        return [path.slice(runs.length), createHash("sha256").update(readFileSync(path)).digest("hex")] as const;
      })
      .sort(([a], [b]) => (a < b ? -1 : 1)),
  );

const pause = (ms: number): Promise<void> => new Promise((done) => setTimeout(done, ms));
async function until(what: string, test_: () => boolean | Promise<boolean>): Promise<void> {
  for (let tries = 0; !(await test_()); tries++) {
    if (tries > 1200) throw new Error(`never: ${what}`);
    await pause(100);
  }
}

interface Started {
  readonly child: ChildProcess;
  readonly ended: Promise<number | null>;
  said(): string;
}
function start(args: readonly string[], home: string): Started {
  const child = spawn(process.execPath, [...command(), ...args], { env: environmentOf({ LETHE_HOME: home }) });
  children.push(child);
  let text = "";
  child.stderr!.on("data", (piece: Buffer) => void (text += piece.toString()));
  child.stdout!.on("data", (piece: Buffer) => void (text += piece.toString()));
  return { child, ended: new Promise((done) => child.once("close", done)), said: () => text };
}

describe.skipIf(programs === undefined)("with PostgreSQL (skipped without its server: apt-get install postgresql)", () => {
  let server: Server;
  beforeAll(async () => {
    server = await startServer(programs!);
    mkdirSync(store);
    mkdirSync(kept);
  }, 60_000);
  afterAll(async () => server?.remove());

  const file = join(root, "queued.yaml");
  const store = join(root, "store");
  const few = join(root, "few.yaml");
  const kept = join(root, "few-store");
  const worker = (name: string, ...more: string[]): Started => {
    const args = ["worker", "--queue", server.url, "--store", store, "--lost-after", "12", ...more];
    return start(args, join(root, name));
  };

  // its moments depend on the machine, so it runs on request: LETHE_WORKERS=1
  test.skipIf(process.env["LETHE_WORKERS"] === undefined)(
    "three workers, one killed, one stopped, the server restarted (skipped without LETHE_WORKERS)",
    { timeout: 600_000 },
    async () => {
      writeFileSync(file, GRID);
      const whole = join(root, "whole");
      const alone = await lethe(["grid", file, "--threads", "1"], { env: { LETHE_HOME: whole } });
      expect(alone.code, alone.err).toBe(0);

      const grid = start(
        ["grid", file, "--threads", "1", "--queue", server.url, "--store", store, "--lost-after", "12"],
        join(root, "coordinator"),
      );
      const workers = ["w1", "w2", "w3"].map((name) => worker(name));
      const isBusy = (one: Started): boolean => /worker: edit/.test(one.said());
      await until("a worker works", () => workers.some(isBusy));
      const killed = workers.find(isBusy)!;
      killed.child.kill("SIGKILL");
      await until("another works", () => workers.some((one) => one !== killed && isBusy(one)));
      const stopped = workers.find((one) => one !== killed && isBusy(one))!;
      stopped.child.kill("SIGTERM");
      expect(await stopped.ended, stopped.said()).toBe(143);
      await server.stop();
      await pause(1500);
      await server.start();
      const late = worker("late");
      const code = await grid.ended;
      expect(code, grid.said()).toBe(0);
      expect(grid.said()).toMatch(/13 of 13 steps are done/);
      expect(bytesOf(store)).toEqual(bytesOf(join(whole, "runs")));

      expect(listRuns(store)).toHaveLength(13);
      const all = [...workers.filter((one) => one !== killed && one !== stopped), late];
      for (const one of all) one.child.kill("SIGTERM");
      for (const one of all) expect(await one.ended, one.said()).toBe(143);
      // nothing twice: only the steps of the killed and of the stopped worker were begun again
      const begun = [...workers, late].flatMap((one) => [...one.said().matchAll(/worker: (edit|judged|asked)/g)]).length;
      expect(begun).toBeLessThanOrEqual(13 + 2);
      expect((await queueStatus(server.url, defaultContext())).deadLetters).toEqual([]);
    },
  );

  test("the step of a killed worker is told as lost, and goes to another", { timeout: 300_000 }, async () => {
    writeFileSync(
      few,
      GRID.replace("name: queued", "name: few")
        .replace("limit: 4", "limit: 5")
        .replace(/( {4}- \{ method: ft, layer: [12350] \}\n)+/g, ""),
    );
    const args = ["--threads", "1", "--queue", server.url, "--store", kept, "--lost-after", "4"];
    const grid = start(["grid", few, ...args], join(root, "few"));
    const first = start(["worker", ...args.slice(2)], join(root, "w7"));
    await until("it works", () => /worker: edit/.test(first.said()));
    first.child.kill("SIGKILL");
    await first.ended;
    const second = start(["worker", ...args.slice(2), "--idle", "20"], join(root, "w8"));
    expect(await grid.ended, grid.said()).toBe(0);
    expect(grid.said()).toMatch(/its worker was lost; the step goes to another/);
    second.child.kill("SIGTERM");
    await second.ended;
  });

  test("again: everything is in the store, and no worker is needed", { timeout: 120_000 }, async () => {
    const args = ["grid", few, "--threads", "1", "--queue", server.url, "--store", kept];
    const { code, out } = await lethe(args, { env: { LETHE_HOME: join(root, "other") } });
    expect([code, out]).toEqual([0, "3 of 3 steps are done.\n"]);
    const status = await lethe(["grid", "status", few, "--threads", "1", "--runs", kept, "--queue", server.url], {
      env: { LETHE_HOME: join(root, "other") },
    });
    expect(status.out).toMatch(/^few: 3 of 3 steps finished/);
  });

  test("a worker of another build is refused with the way out", { timeout: 120_000 }, async () => {
    const plugin = fileURLToPath(new URL("../../plugins/deflect.mjs", import.meta.url));
    const args = ["worker", "--queue", server.url, "--store", store, "--idle", "1", "--plugin", plugin];
    const { code, err } = await lethe(args, { env: { LETHE_HOME: join(root, "stranger") } });
    expect([code, err]).toEqual([
      3,
      expect.stringMatching(/this is build \w+, and the grid of the queue has build \w+[\s\S]*Install the version/),
    ]);
  });

  test("a failed step is told, recorded in the store, and tried again on request", { timeout: 300_000 }, async () => {
    const bad = join(root, "bad.yaml");
    writeFileSync(bad, `name: bad\nsteps:\n  none: { step: select, data: "bundled:${FACTS}", skip: 100000 }\n`);
    const one = worker("w4");
    const args = ["grid", bad, "--threads", "1", "--queue", server.url, "--store", store];
    for (const more of [[], [], ["--retry"]]) {
      const { code, err } = await lethe([...args, ...more], { env: { LETHE_HOME: join(root, "other") } });
      expect([code, err]).toEqual([4, expect.stringMatching(/1 step of 1 failed/)]);
    }
    const times = (): number => one.said().match(/none failed: .*is left/g)?.length ?? 0;
    await until("the worker has said it twice", () => times() >= 2); // it ends a job before it says so
    expect(times()).toBe(2);
    one.child.kill("SIGTERM");
    await one.ended;
  });

  test("a step that needs what no worker has waits; one that has it does it", { timeout: 300_000 }, async () => {
    const gpu = join(root, "gpu.yaml");
    writeFileSync(gpu, `name: gpu\nneeds: { device: gpu }\nsteps:\n  few: { step: select, data: "bundled:${FACTS}", limit: 3 }\n`);
    const plain = worker("w5", "--idle", "3");
    const grid = start(["grid", gpu, "--threads", "1", "--queue", server.url, "--store", store], join(root, "other"));
    expect(await plain.ended).toBe(0);
    expect(plain.said()).toMatch(/0 steps done/);
    expect(grid.said()).toMatch(/steps wait for a worker with memory 0, threads 1, device gpu; start one/);
    const able = worker("w6", "--tags", "device=gpu", "--idle", "3");
    expect(await grid.ended, grid.said()).toBe(0);
    expect(await able.ended).toBe(0);
    expect(able.said()).toMatch(/1 step done/);
  });
});
