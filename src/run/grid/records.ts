/** Committed records: the finished runs of a grid without their weights, so that a fresh clone goes on from them. */
import { existsSync, mkdirSync, renameSync, statSync } from "node:fs";
import { join } from "node:path";
import { writeAtomic } from "../../base/store.ts";
import { discard, sweepUnfinished, unfinishedName } from "../../base/store.ts";
import { linkOrCopy, RECORD, recordIn, SPEC, TIMINGS } from "../folder.ts";
import { copyAcceptances } from "./acceptance.ts";
import type { Board } from "./board.ts";
import { INDEX, IndexFile } from "./index-file.ts";

/** Files that are committed: text. Weights are made again where a step needs them. */
const TEXT = /\.(?:jsonl?|csv|txt|md)$/;

export interface Copied {
  readonly folder: string;
  /** Runs in the folder that belong to the grid, and those that were not there before. */
  readonly runs: number;
  readonly added: number;
  /** Finished steps that cannot be committed, because one of their inputs cannot be told by its content. */
  readonly left: number;
}

/** Copies the finished runs of a board into a folder. What is there stays. */
export async function copyRecords(board: Board, out: string): Promise<Copied> {
  mkdirSync(out, { recursive: true });
  sweepUnfinished(out);
  const index = new IndexFile(join(out, INDEX.records));
  const ids = new Set<string>();
  let [added, left] = [0, 0];
  for (const unit of board.units) {
    const { run } = board.of(unit.key);
    if (!run) continue;
    const listed = await board.entryOf(unit);
    if (!listed) {
      left++;
      continue;
    }
    if (!ids.has(run.id) && copyRun(run.path, join(out, run.id), out)) added++;
    ids.add(run.id);
    const { stamp: _, ...entry } = listed.entry;
    index.add({ code: entry.code, files: listed.files });
    index.add(entry);
  }
  writeAtomic(
    join(out, INDEX.records),
    index
      .lines()
      .map((line) => `${JSON.stringify(line)}\n`)
      .join(""),
  );
  copyAcceptances(board.ctx.runs, out);
  return { folder: out, runs: ids.size, added, left };
}

/** Copies the text of a run; the folder appears whole. False if it is there already. */
function copyRun(from: string, to: string, out: string): boolean {
  if (existsSync(join(to, RECORD))) return false;
  const names = [RECORD, SPEC, TIMINGS, ...Object.keys(recordIn(from)!.outputs).filter((name) => TEXT.test(name))];
  const making = join(out, unfinishedName("run"));
  try {
    for (const name of names.filter((one) => statSync(join(from, one), { throwIfNoEntry: false })?.isFile())) {
      mkdirSync(join(making, name, ".."), { recursive: true });
      linkOrCopy(join(from, name), join(making, name));
    }
    renameSync(making, to);
  } finally {
    discard(making);
  }
  return true;
}
