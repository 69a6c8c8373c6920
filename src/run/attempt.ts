/** Records how long an attempt at a run takes while it works, so that little is lost if the process is killed. */
import { cpus } from "node:os";
import type { Context } from "../base/context.ts";
import { timingsIn, writeTimings } from "./folder.ts";

/** Milliseconds between two records of an attempt's time: the largest loss if the process is killed. */
const NOTED = 10_000;

/** Records the time of this attempt after those of earlier attempts. `isSeldom`: only if the last record is old. */
export function attemptAt(path: string, ctx: Context): (isSeldom?: boolean) => void {
  const [began, before] = [ctx.now(), timingsIn(path)?.seconds ?? []];
  let noted = began;
  return (isSeldom = false) => {
    if (isSeldom && ctx.now() - noted < NOTED) return;
    noted = ctx.now();
    const processors = cpus();
    writeTimings(path, {
      seconds: [...before, Number(((noted - began) / 1000).toFixed(3))],
      peak: process.resourceUsage().maxRSS * 1024,
      machine: {
        processor: processors[0]?.model.trim() ?? "unknown",
        cores: processors.length,
        threads: ctx.threads,
        node: process.version,
      },
      ended: ctx.date(),
    });
  };
}
