/** Finetuning on questions and answers: the parameters, the recipes of the benchmarks, and the run with its training journal. */
import type { Context } from "../base/context.ts";
import { fail } from "../base/fail.ts";
import type { Declared } from "../base/schema.ts";
import type { QA } from "../data/request.ts";
import type { Config } from "../model/arch/arch.ts";
import type { Model, Precision } from "../model/model.ts";
import type { Format } from "../model/prompt.ts";
import type { Executor } from "../onnx/program.ts";
import { type Labels, labelled, type LabelledRow } from "./batches.ts";
import { type JournalRow, writeJournal } from "./journal.ts";
import { type Recipe, stepsOf, type TrainEvent, type TrainOptions, trainOn, type Trained } from "./loop.ts";
import { nll } from "./objective.ts";
import { DESCENT, type DescentParams, recipeOf } from "./recipe.ts";

export interface FinetuneParams extends DescentParams {
  epochs: number;
  learn: string;
}

export const FINETUNE: Declared<FinetuneParams, Config> = {
  epochs: { default: 5, doc: "number of times that every row is seen", source: "TOFU config/finetune.yaml", min: 1, whole: true },
  learn: {
    default: "answers",
    choices: ["answers", "every token"],
    doc: "which tokens are labels: the answers with their ends, or the questions too",
    source: "TOFU data_module.py",
  },
  ...DESCENT,
  batch: { ...DESCENT.batch, default: 16, source: "PISTOL config/config.yaml (TOFU: 32)" },
};

/** The finetuning settings of the benchmarks. */
export const RECIPES: Readonly<Record<string, { readonly doc: string; readonly params: Partial<FinetuneParams> }>> = {
  tofu: {
    doc: "every weight, 5 epochs, batches of 32; the learning rate rises to 1e-5 over the first epoch",
    params: { epochs: 5, batch: 32, lr: 1e-5, warmup: 0.2, decay: 0.01, rank: 0 },
  },
  pistol: {
    doc: "LoRA of rank 8, added to the weights at the end; 20 epochs, batches of 16, learning rate 1e-4",
    params: { epochs: 20, batch: 16, lr: 1e-4, warmup: 0.1, decay: 0, rank: 8, loraAlpha: 32, dropout: 0.05 },
  },
};

export interface TuneOptions {
  readonly params: FinetuneParams;
  readonly seed: number;
  readonly running: { readonly dtype: Precision; readonly executor: Executor };
  /** The folder of the checkpoints and, if kept, of the journal. */
  readonly folder: string;
  readonly every: number;
  /** Keep the journal and every checkpoint, so that rows can be removed later; `spec` is the path of the base model. */
  readonly keep?: { readonly spec: string };
  readonly stop?: TrainOptions<LabelledRow>["stop"];
}

/** Questions and answers as training rows, with unique ids. */
export function rowsFor(
  model: Model,
  pairs: readonly QA[],
  { format, system, learn }: { readonly format: Format; readonly system?: string; readonly learn: string },
): JournalRow[] {
  const seen = new Set<string>();
  return pairs.map(({ id, question, answer }) => {
    if (seen.has(id)) fail("finetune", `two rows have the id "${id}"`, "unique ids", "Give each row its own id.");
    seen.add(id);
    if (answer.trim() === "") fail("finetune", `row "${id}" has no answer`, "an answer to train on", "Add an answer, or remove the row.");
    return { ...asRow({ model, format, ...(system !== undefined && { system }) }, id, question, answer, learn as Labels), question };
  });
}

/** A question and an answer in the format of the model; the answer and its end are labels. */
export function asRow(
  { model, format, system }: { readonly model: Model; readonly format: Format; readonly system?: string },
  id: string,
  question: string,
  answer: string,
  learn: Labels = "answers",
): LabelledRow {
  if (format === "plain") return labelled(model, { id, kind: "pair", prompt: question, answer }, learn);
  const messages = [
    ...(system === undefined ? [] : [{ role: "system" as const, content: system }]),
    { role: "user" as const, content: question },
    { role: "assistant" as const, content: answer },
  ];
  return labelled(model, { id, kind: "chat", messages }, learn);
}

/** The recipe for a number of rows. */
const tuningOf = (model: Model, rows: number, { params, seed, running }: TuneOptions): Recipe =>
  recipeOf("finetune", model, { ...params, steps: params.epochs * Math.ceil(rows / params.batch) }, { seed, running });

/** Trains on rows; the same rows, parameters and seed give the same bytes. */
export async function* tune(
  model: Model,
  rows: readonly JournalRow[],
  options: TuneOptions,
  ctx: Context,
): AsyncGenerator<TrainEvent, Trained> {
  const { folder, every, keep, stop } = options;
  const recipe = tuningOf(model, rows.length, options);
  if (keep) {
    const at = stepsOf(rows, recipe, { objective: nll });
    const steps = Array.from({ length: recipe.steps }, (_, i) => at(i)) as { lr: number; passes: JournalRow[][] }[];
    writeJournal(folder, { base: { spec: keep.spec, id: model.id }, recipe, rows, steps });
  }
  return yield* trainOn(model, rows, recipe, ctx, { objective: nll, folder, every, keepsAll: keep !== undefined, ...(stop && { stop }) });
}
