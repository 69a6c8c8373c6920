/** The training: the folder that finetuning with its journal left. */
import { dirname, join } from "node:path";
import { fail } from "../../base/fail.ts";
import { hash, type Hash } from "../../base/hash.ts";
import { hasJournal, readJournal } from "../../train/journal.ts";
import { defineNeed } from "./need.ts";

declare module "../../methods/method.ts" {
  interface Needs {
    /** The folder that finetuning left: journal and checkpoints. */
    readonly training: string;
  }
}
declare module "../choice.ts" {
  interface Given {
    /** The folder that finetuning with its journal left, for methods that go back to it. */
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

/** The folder of a finetuning's journal: the one that is named, or what was kept beside the checkpoint that is named. */
const trainingAt = (path: string): string => [path, `${path}.training`, join(dirname(path), "training")].find(hasJournal) ?? path;

/** A training by its journal, wherever the model that it began from is. */
function journalOf(folder: string): Hash {
  const { base, ...journal } = readJournal(folder);
  return hash(base.id, journal);
}
