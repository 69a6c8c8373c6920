/** Committed records: the finished runs of a grid without their weights, so that a fresh clone goes on from them. */
import { existsSync, mkdirSync } from "node:fs";
import { join } from "node:path";
import { sweepUnfinished, writeAtomic } from "../../base/store.ts";
import { copyRun, RECORD, recordIn } from "../folder.ts";
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
    const to = join(out, run.id);
    if (!ids.has(run.id) && !existsSync(join(to, RECORD))) {
      copyRun(run.path, to, recordIn(run.path)!, (name) => TEXT.test(name));
      added++;
    }
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
