/** A disk that fills while a checkpoint is written: the run says so, and the last good checkpoint is there to go on from. */
import { spawnSync } from "node:child_process";
import { mkdirSync, mkdtempSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect, test } from "vitest";
import { checkpointsIn } from "../../src/train/checkpoint.ts";
import { train, type Trained } from "../../src/train/loop.ts";
import { defaultContext } from "../../src/base/context.ts";
import { RECIPE, tinyModel, tinyRows } from "./tiny.ts";

const folder = mkdtempSync(join(tmpdir(), "lethe-disk-"));
const disk = join(folder, "disk");
mkdirSync(disk);
const mount = (options: string): boolean => spawnSync("mount", ["-t", "tmpfs", "-o", options, "tmpfs", disk]).status === 0;
const isMounted = mount("size=4m");
const model = tinyModel();
afterAll(async () => {
  if (isMounted) spawnSync("umount", [disk]);
  rmSync(folder, { recursive: true, force: true });
  await model.release();
});

const run = async (at?: string): Promise<Trained> => {
  const events = train(model, tinyRows(model), { ...RECIPE, steps: 8 }, defaultContext(), at === undefined ? {} : { folder: at, every: 2 });
  for (;;) {
    const { value, done } = await events.next();
    if (done) return value;
  }
};

test.skipIf(!isMounted)(
  `a full disk ends a run, and loses nothing that was finished${isMounted ? "" : " (skipped: no right to mount a small disk)"}`,
  async () => {
    const at = join(disk, "run");
    // the first checkpoint shows how large they are; then there is room for one and not for two
    await run(join(folder, "probe"));
    const [probe] = checkpointsIn(join(folder, "probe"));
    expect(probe).toBeDefined();
    const { size } = statSync(probe!.path);
    expect(mount(`remount,size=${Math.round(1.6 * size)}`)).toBe(true);
    await expect(run(at)).rejects.toThrow(/the disk is full/);
    expect(checkpointsIn(at).map((c) => c.step)).toEqual([2]);
    expect(mount(`remount,size=${8 * size}`)).toBe(true);
    const rest = await run(at);
    const whole = await run();
    for (const [name, array] of whole.numbers) expect(rest.numbers.get(name)).toEqual(array);
    expect(rest.losses).toEqual(whole.losses);
  },
);
