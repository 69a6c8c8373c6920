/** How long an attempt at a run takes, noted while it works, so that a kill loses little of it. */
import { cpus } from "node:os";
import type { Context } from "../base/context.ts";
import { timingsIn, writeTimings } from "./folder.ts";

/** Milliseconds between notes of an attempt's time: what a kill may lose of it. */
const NOTED = 10_000;

/** Notes how long this attempt has taken, beside those before it; `isSeldom`: only if the last note is old. */
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
