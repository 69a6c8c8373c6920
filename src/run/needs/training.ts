/** The need `training`: the folder with the journal of a finetuning. */
import { dirname, join } from "node:path";
import { fail } from "../../base/fail.ts";
import { hash, type Hash } from "../../base/hash.ts";
import { hasJournal, readJournal } from "../../train/journal.ts";
import { defineNeed } from "./need.ts";

declare module "../../methods/method.ts" {
  interface Needs {
    /** The folder of a finetuning: journal and checkpoints. */
    readonly training: string;
  }
}
declare module "../choice.ts" {
  interface Given {
    /** The folder with the journal of a finetuning, for methods that repeat it. */
    readonly training?: string;
  }
}

export const trainingNeed = defineNeed({
  name: "training",
  doc: "The folder that finetuning with `--keep` left. It must be given.",
  read: ({ training }) => (training === undefined ? undefined : trainingAt(training as string)),
  check({ method, given: { training } }) {
    if (training === undefined)
      fail(method.name, "no training to go back to", "the folder that finetuning with --keep left", "Give --training FOLDER.");
  },
  identity: ({ given: { training } }) => journalOf(training!),
  bring: ({ given: { training } }) => training,
});

/** The folder of a finetuning's journal: the named folder, or the one next to the named checkpoint. */
const trainingAt = (path: string): string => [path, `${path}.training`, join(dirname(path), "training")].find(hasJournal) ?? path;

/** The identity of a training: its journal, without the path of its first model. */
function journalOf(folder: string): Hash {
  const { base, ...journal } = readJournal(folder);
  return hash(base.id, journal);
}
