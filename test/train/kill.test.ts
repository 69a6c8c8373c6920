/** A training process killed at random points, again and again: what it ends in is what an undisturbed one ends in, byte for byte. */
import { spawn } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, expect, test } from "vitest";
import { rng } from "../../src/base/rng.ts";
import { loadFrom } from "../../src/model/load.ts";
import { writeRecipe } from "./tiny.ts";

const script = fileURLToPath(new URL("child.ts", import.meta.url));
const cwd = fileURLToPath(new URL("../../", import.meta.url));
/** LETHE_KILLS asks for more, over a longer run. */
const KILLS = Number(process.env["LETHE_KILLS"] ?? 3);
let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), "lethe-kill-"));
  mkdirSync(join(folder, "texts"));
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** Runs the child; `disturb` sees each line and may send a signal. */
function run(
  recipe: string,
  out: string,
  disturb: (line: string, send: (signal: NodeJS.Signals) => void) => void = () => {},
): Promise<{ code: number | null; signal: string | null; lines: string[] }> {
  const child = spawn(process.execPath, ["--import", "tsx", script, recipe, join(folder, "runs", basename(out)), out], {
    cwd,
    stdio: ["ignore", "pipe", "inherit"],
  });
  const lines: string[] = [];
  let rest = "";
  child.stdout.on("data", (data: Buffer) => {
    const parts = (rest + data.toString()).split("\n");
    rest = parts.pop()!;
    for (const line of parts) {
      lines.push(line);
      disturb(line, (signal) => child.kill(signal));
    }
  });
  return new Promise((done) => {
    child.on("close", (code, signal) => done({ code, signal, lines }));
  });
}

test(
  `${KILLS} kills -9 at random points and one Ctrl-C: the bytes of a run left alone`,
  { timeout: 120_000 + 20_000 * KILLS },
  async () => {
    const recipe = writeRecipe(join(folder, "texts"), { steps: 24 * Math.ceil(KILLS / 3) });
    const chance = rng("kill");
    expect((await run(recipe, join(folder, "whole"))).code).toBe(0);
    const out = join(folder, "killed");
    const stopped = await run(recipe, out, (line, send) => {
      if (line === "step 3") send("SIGINT");
    });
    expect(stopped.code).toBe(130);
    let kept = 3; // what was done is kept when a run is asked to stop
    let killed = 0;
    for (let attempt = 0; attempt < KILLS && !existsSync(out); attempt++) {
      const [lines, delay] = [1 + chance.below(6), 30 * chance.uniform()]; // so many lines from the start, then milliseconds
      let seen = 0;
      const ended = await run(recipe, out, (_, send) => {
        if (++seen === lines) setTimeout(() => send("SIGKILL"), delay);
      });
      if (ended.lines.length > 1) expect(numberIn(ended.lines[1]!)).toBeGreaterThanOrEqual(kept); // nothing finished is lost
      kept = Math.max(kept, checkpointBefore(ended.lines));
      killed += ended.signal === "SIGKILL" ? 1 : 0;
      expect(existsSync(join(out, "model.safetensors"))).toBe(ended.code === 0);
    }
    expect(killed).toBeGreaterThanOrEqual(Math.min(KILLS, 2));
    if (!existsSync(out)) expect((await run(recipe, out)).code).toBe(0);
    for (const name of readdirSync(join(folder, "whole")))
      expect(readFileSync(join(out, name)).equals(readFileSync(join(folder, "whole", name))), name).toBe(true);
    expect(readdirSync(folder).sort()).toEqual(["killed", "runs", "texts", "whole"]);
    const [id] = readdirSync(join(folder, "runs/whole"));
    expect(readdirSync(join(folder, "runs/killed"))).toEqual([id]);
    // no checkpoints, locks or temporaries are left
    for (const name of ["whole", "killed"])
      expect(readdirSync(join(folder, "runs", name, id!)).sort()).toEqual(["model", "record.json", "spec.json", "timings.json"]);
    const model = loadFrom(out);
    expect(model.weights.get("embed")!.shape).toEqual([1536, 32]);
    await model.release();
  },
);

const numberIn = (line: string): number => Number(/\d+$/.exec(line)![0]);

/** The last step of which a checkpoint is surely there: one is saved every other step, after that step was told. */
function checkpointBefore(lines: readonly string[]): number {
  const step = lines.filter((line) => line.startsWith("step ")).at(-1);
  return step === undefined ? 0 : 2 * Math.floor((numberIn(step) - 1) / 2);
}
