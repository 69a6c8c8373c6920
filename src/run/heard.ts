/** What models said in a run that asks them, on disk until the run is finished, so that a stopped run goes on where it was. */
import type { Memory } from "../ask/in-turns.ts";
import { hash } from "../base/hash.ts";
import { appendLine, readLines } from "../base/store.ts";

/** One answer, by the hash of what was asked and of which model. */
interface Said {
  readonly asked: string;
  readonly answer: string;
}

export interface Heard {
  /** How many answers earlier attempts left. */
  readonly size: number;
  /** The memory of one of the run's models. */
  of(by: string): Memory;
}

/** The answers in a file, which grows by each one more. Whatever else they depend on is the same for the whole run. */
export function heardIn(path: string): Heard {
  const known = new Map((readLines(path) as Said[]).map(({ asked, answer }) => [asked, answer]));
  return {
    size: known.size,
    of: (by) => ({
      recall: (asking) => known.get(hash(by, asking)),
      keep(asking, answer) {
        const asked = hash(by, asking);
        known.set(asked, answer);
        appendLine(path, { asked, answer } satisfies Said);
      },
    }),
  };
}
