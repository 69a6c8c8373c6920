/** Stores the answers of models on disk until the run is finished, so that a stopped run continues where it stopped. */
import type { Memory } from "../ask/in-turns.ts";
import { hash } from "../base/hash.ts";
import { appendLine, readLines } from "../base/store.ts";

/** One answer, by the hash of what was asked and of which model. */
interface Said {
  readonly asked: string;
  readonly answer: string;
}

export interface Heard {
  /** The number of answers from earlier attempts. */
  readonly size: number;
  /** The stored answers of one of the run's models. */
  of(by: string): Memory;
}

/** The answers in a file; each new answer is appended. Everything else that they depend on is constant in a run. */
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
