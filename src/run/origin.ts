/** Which evaluation this is and when it was made, for files of other tools. */
import { readdirSync, statSync } from "node:fs";
import { join } from "node:path";
import { hash } from "../base/hash.ts";
import { secondsOf, timingsIn } from "./folder.ts";
import type { EvalRecord, Finished } from "./record.ts";

export interface Origin {
  /** 32 hexadecimal digits. */
  readonly id: string;
  /** Milliseconds since 1970. */
  readonly ended: number;
  readonly seconds: number;
}

/** Of a run: its id and its own timings, which stay the same however often it is found again. */
export function originOfRun({ record, path }: Finished): Origin {
  const timings = timingsIn(path);
  return {
    id: record.id,
    ended: timings === undefined ? changedAt(path) : Date.parse(timings.ended),
    seconds: secondsOf(timings),
  };
}

/** Of a log: a hash of the log and of how it was judged, and when its files were last changed. */
export function originOfLog(path: string, { log, suite, reference, compat }: EvalRecord): Origin {
  return { id: hash("log", log.hash, suite, reference?.hash ?? "", compat).slice(0, 32), ended: changedAt(path), seconds: 0 };
}

/** When a file, or the newest file of a folder, was last changed. */
function changedAt(path: string): number {
  const stat = statSync(path);
  if (!stat.isDirectory()) return Math.round(stat.mtimeMs);
  return Math.round(Math.max(0, ...readdirSync(path).map((name) => statSync(join(path, name)).mtimeMs)));
}
