/** Training from a recipe file: one JSON describes model, data and training; the result is a Hugging Face folder, with checkpoints next to it. */
import { existsSync, rmSync } from "node:fs";
import { basename, dirname, join, resolve } from "node:path";
import { z } from "zod";
import { type Context } from "../base/context.ts";
import { fail } from "../base/fail.ts";
import { isRecord, lockFile, readJson } from "../base/store.ts";
import { check, readText } from "../data/records.ts";
import { readWorld, trainingRows } from "../data/sets/bundled.ts";
import type { Model } from "../model/model.ts";
import { refuseOccupied, saveCheckpoint } from "../model/save.ts";
import { labelled, type LabelledRow } from "./batches.ts";
import { checkpointsIn } from "./checkpoint.ts";
import { initModel } from "./init.ts";
import { type Recipe, train, type TrainEvent } from "./loop.ts";

const positive = z.number().positive({ error: "a number above 0" });
const count = z.int().positive({ error: "a whole number above 0" });
const share = z.number().min(0).max(1, { error: "a number from 0 to 1" });

const recipeSchema = z.strictObject({
  about: z.string().optional(),
  /** config.json of the new model. */
  config: z.record(z.string(), z.unknown()),
  generation: z.record(z.string(), z.unknown()).optional(),
  /** The folder, relative to the recipe's, with the texts, tokenizer.json, tokenizer_config.json and chat_template.jinja. */
  data: z.strictObject({ set: z.literal("bundled", { error: "bundled" }), folder: z.string() }),
  train: z.strictObject({
    loss: z.literal(["answers", "every token"], { error: '"answers" or "every token"' }),
    steps: count,
    batch: count,
    /** Padded tokens per micro-batch. */
    budget: count.default(4096),
    /** Batches drawn together and divided by length. */
    together: count.default(1),
    executor: z.literal(["graph", "blocks"]).default("graph"),
    optimizer: z.strictObject({
      name: z.literal("adamw", { error: "adamw" }),
      lr: positive,
      betas: z.tuple([share, share]),
      eps: positive,
      weight_decay: z.number().min(0),
      clip: positive.optional(),
      warmup: z.int().min(0),
      schedule: z.literal(["constant", "linear", "cosine"]),
      floor: share.default(0),
    }),
  }),
  dtype: z.literal(["float32", "bfloat16", "float16"]).default("float32"),
  seed: z.union([z.int(), z.string()]).default(0),
});
type RecipeFile = z.output<typeof recipeSchema>;

export interface FinetuneOptions {
  /** Resume from the checkpoints of an earlier run (default true); else they are removed. */
  readonly resume?: boolean;
  /** Replace an existing folder. */
  readonly force?: boolean;
  /** Steps from one checkpoint to the next (default 100). */
  readonly every?: number;
}

/** The amount of data, reported before the first step. */
export interface DataEvent {
  readonly kind: "data";
  readonly rows: number;
  readonly tokens: number;
  readonly parameters: number;
}

export type FinetuneEvent = TrainEvent | DataEvent;

/** The result of a finished run. */
export interface Finetuned {
  readonly dir: string;
  readonly steps: number;
  readonly losses: readonly number[];
}

/**
 * Builds the model that a recipe describes and writes it to `outDir`: the same recipe, texts and thread count give the same bytes.
 * Checkpoints are in `outDir.training` until then; the same command resumes from them.
 */
export async function* finetuneRecipe(
  recipePath: string,
  outDir: string,
  ctx: Context,
  options: FinetuneOptions = {},
): AsyncGenerator<FinetuneEvent, Finetuned> {
  const recipe = readRecipe(recipePath);
  const dir = resolve(outDir);
  refuseOccupied(dir, options.force);
  const folder = `${dir}.training`;
  const release = lockFile(`${dir}.training.lock`, "finetune");
  try {
    if (options.resume === false) rmSync(folder, { recursive: true, force: true });
    const { model, rows } = prepare(recipe, dirname(resolve(recipePath)), ctx);
    try {
      yield {
        kind: "data",
        rows: rows.length,
        tokens: rows.reduce((sum, row) => sum + row.ids.length, 0),
        parameters: [...model.weights.values()].reduce((sum, { data }) => sum + data.length, 0),
      };
      const { weights, losses } = yield* train(model, rows, loopRecipe(recipe), ctx, { folder, every: options.every ?? 100 });
      saveCheckpoint(dir, { ...model, weights }, { dtype: recipe.dtype, force: options.force ?? false });
      rmSync(folder, { recursive: true, force: true });
      return { dir, steps: losses.length, losses };
    } finally {
      await model.release();
    }
  } finally {
    release();
  }
}

/** Reads and checks a recipe; an error names the field and what is expected. */
export function readRecipe(path: string): RecipeFile {
  if (!existsSync(path)) fail("finetune", `there is no recipe ${path}`, "a JSON file such as bundled/recipe.json", "Check the path.");
  return check(recipeSchema, { value: readJson(path, "finetune"), at: 1, place: basename(path) });
}

/** The steps of an unfinished run that `outDir` can resume. */
export const unfinished = (outDir: string): number => checkpointsIn(`${resolve(outDir)}.training`).at(-1)?.step ?? 0;

/** The model before its first step, and its training rows. */
function prepare(recipe: RecipeFile, home: string, ctx: Context): { model: Model; rows: LabelledRow[] } {
  const folder = resolve(home, recipe.data.folder);
  const object = (name: string): Record<string, unknown> => {
    const value = readJson(join(folder, name), "finetune");
    return isRecord(value) ? value : fail("finetune", `${name} is not an object`, "a JSON object", "", "unavailable");
  };
  const model = initModel(
    {
      config: recipe.config,
      tokenizerJson: object("tokenizer.json"),
      tokenizerConfig: object("tokenizer_config.json"),
      chatTemplate: readText(join(folder, "chat_template.jinja")),
      generation: recipe.generation,
    },
    recipe.seed,
    ctx,
  );
  const samples = trainingRows(readWorld(folder), recipe.seed);
  return { model, rows: samples.map((sample) => labelled(model, sample, recipe.train.loss)) };
}

function loopRecipe({ train: t, seed }: RecipeFile): Recipe {
  const { name, lr, betas, eps, weight_decay: decay, clip, warmup, schedule: shape, floor } = t.optimizer;
  return {
    steps: t.steps,
    batch: t.batch,
    budget: t.budget,
    together: t.together,
    executor: t.executor,
    seed,
    optimizer: { name, betas, eps, decay },
    schedule: { lr, warmup, shape, floor },
    ...(clip !== undefined && { clip }),
  };
}
