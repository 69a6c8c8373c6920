/** The training journal: base model, rows, and every update with its micro-batches, so that the run can be replayed. */
import { existsSync, mkdirSync } from "node:fs";
import { join } from "node:path";
import { fail } from "../base/fail.ts";
import type { Hash } from "../base/hash.ts";
import { isRecord, readLines, writeAtomic } from "../base/store.ts";
import type { LabelledRow } from "./batches.ts";
import type { Recipe, Step } from "./loop.ts";

/** A row with the question it was made from. */
export interface JournalRow extends LabelledRow {
  readonly question: string;
}

export interface Journal {
  /** The model before training: path or hub id, and its id. */
  readonly base: { readonly spec: string; readonly id: Hash };
  readonly recipe: Recipe;
  readonly rows: readonly JournalRow[];
  readonly steps: readonly Step<JournalRow>[];
}

const VERSION = 1;
const FILE = "journal.jsonl";

/** Writes a journal: one line for the run, one per row, one per update with the ids of its rows, by micro-batch. */
export function writeJournal(folder: string, { rows, steps, ...run }: Journal): void {
  mkdirSync(folder, { recursive: true });
  const lines = [
    { kind: "run", version: VERSION, ...run },
    ...rows.map((row) => ({ kind: "row", ...row })),
    ...steps.map(({ lr, passes }, i) => ({ kind: "step", step: i + 1, lr, passes: passes.map((pass) => pass.map((row) => row.id)) })),
  ];
  writeAtomic(join(folder, FILE), lines.map((line) => `${JSON.stringify(line)}\n`).join(""));
}

/** Whether a folder contains a journal. */
export const hasJournal = (folder: string): boolean => existsSync(join(folder, FILE));

/** Reads a journal; refuses a missing, incomplete or other version's journal. */
export function readJournal(folder: string): Journal {
  const path = join(folder, FILE);
  const wrong = (what: string): never =>
    fail(
      "journal",
      `${path} ${what}`,
      "the training journal of a finetuning with --keep",
      "Finetune with --keep, and name the folder that it makes.",
      "unavailable",
    );
  if (!existsSync(path)) return wrong("is missing");
  const lines = readLines(path) as Record<string, unknown>[];
  const of = (kind: string): Record<string, unknown>[] => lines.filter((line) => isRecord(line) && line["kind"] === kind);
  const [run] = of("run");
  if (run?.["version"] !== VERSION) return wrong(`has version ${String(run?.["version"])}, not ${VERSION}`);
  const rows = of("row") as unknown as JournalRow[];
  const known = new Map(rows.map((row) => [row.id, row]));
  const steps = (of("step") as unknown as { readonly lr: number; readonly passes: readonly (readonly string[])[] }[]).map(
    ({ lr, passes }) => ({
      lr,
      passes: passes.map((pass) => pass.map((id) => known.get(id) ?? wrong(`names row "${id}", which it does not contain`))),
    }),
  );
  const { base, recipe } = run as unknown as Journal;
  if (steps.length !== recipe.steps) return wrong(`contains ${steps.length} updates of ${recipe.steps}`);
  return { base, recipe, rows, steps };
}

/** The updates of a journal without some rows, which are removed from their micro-batches. */
export const without =
  ({ steps }: Journal, gone: ReadonlySet<string>): ((step: number) => Step<JournalRow>) =>
  (step) => {
    const { lr, passes } = steps[step]!;
    return { lr, passes: passes.map((pass) => pass.filter((row) => !gone.has(row.id))) };
  };
