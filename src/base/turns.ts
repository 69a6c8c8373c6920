/** Locks for work that is done once: whoever comes second waits, and a lock that cannot be had stops nobody. */
import { setTimeout as sleep } from "node:timers/promises";
import { checkAbort, type Context } from "./context.ts";
import { LetheError } from "./fail.ts";
import { tryLock } from "./locks.ts";

/**
 * Locks files in an order that all processes share, so that no two wait for each other; returns how to release them. `what` they are is
 * said where there is something to wait for. Nobody waits for another machine, since one cannot tell whether the holder still lives.
 */
export async function lockAll(paths: readonly string[], what: string, ctx: Context): Promise<() => void> {
  const locks: (() => void)[] = [];
  const release = (): void => locks.forEach((unlock) => unlock());
  try {
    for (const path of [...new Set(paths)].sort()) {
      let lock = lockOf(path);
      for (let told = false; typeof lock === "object" && lock.isHere; told = true) {
        if (!told) ctx.log({ kind: "note", who: "cache", text: `process ${lock.pid} makes the ${what}; waiting for it` });
        await sleep(100, undefined, { signal: ctx.signal }).catch(() => checkAbort(ctx, "cache"));
        lock = lockOf(path);
      }
      if (typeof lock === "function") locks.push(lock);
    }
    return release;
  } catch (error) {
    release();
    throw error;
  }
}

/** How to release the lock of a file, or who holds it; undefined where its folder cannot be written. */
export function lockOf(path: string): ReturnType<typeof tryLock> | undefined {
  try {
    return tryLock(`${path}.lock`);
  } catch (error) {
    if (error instanceof LetheError) return undefined;
    throw error;
  }
}
