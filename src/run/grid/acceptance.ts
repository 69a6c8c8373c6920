/** Acceptances: which runs of an older build count, and the sample that shows it. */
import { existsSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { hash } from "../../base/hash.ts";
import { isRecord, readJson, writeAtomic } from "../../base/store.ts";
import type { Acceptance } from "../record.ts";

/** The folder of acceptances below a folder of runs or of committed records. */
const FOLDER = ".accepted";

/** The acceptances of some folders, the oldest first. */
export function acceptancesIn(folders: readonly string[]): Acceptance[] {
  const found = folders.flatMap((folder) => {
    const at = join(folder, FOLDER);
    const names = existsSync(at) ? readdirSync(at).filter((name) => name.endsWith(".json")) : [];
    return names.map((name) => readJson(join(at, name), "grid accept")).filter(isAcceptance);
  });
  return found.sort((a, b) => a.date.localeCompare(b.date));
}

const isAcceptance = (value: unknown): value is Acceptance =>
  isRecord(value) && value["schema"] === "lethe/accepted/1" && Array.isArray(value["codes"]) && typeof value["date"] === "string";

/** Stores an acceptance below a folder of runs. Returns its path. */
export function storeAcceptance(runs: string, acceptance: Acceptance): string {
  const path = join(runs, FOLDER, `${hash(acceptance).slice(0, 16)}.json`);
  writeAtomic(path, `${JSON.stringify(acceptance, null, 1)}\n`);
  return path;
}

/** Puts the acceptances of a folder of runs beside committed records. */
export function copyAcceptances(runs: string, out: string): void {
  for (const acceptance of acceptancesIn([runs])) storeAcceptance(out, acceptance);
}

/** Whether a run of an older code counts now. */
export function countedBy(acceptances: readonly Acceptance[]): (old: string, now: string | undefined) => boolean {
  const pairs = new Set(acceptances.flatMap(({ codes }) => codes.map(({ old, now }) => `${old} ${now}`)));
  return (old, now) => now !== undefined && pairs.has(`${old} ${now}`);
}
