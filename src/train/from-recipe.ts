/** Finetuning from a recipe file: model, data and training from one JSON, checkpoints beside the result, a Hugging Face folder at the end. */
import { existsSync } from "node:fs";
import { basename, dirname, join, resolve } from "node:path";
import { z } from "zod";
import { type Context } from "../base/context.ts";
import { fail } from "../base/fail.ts";
import { hash, type Hash } from "../base/hash.ts";
import { isRecord, readJson } from "../base/store.ts";
import { check, readText } from "../data/records.ts";
import { readWorld, trainingRows } from "../data/sets/bundled.ts";
import type { Model } from "../model/model.ts";
import { labelled, type LabelledRow } from "./batches.ts";
import { initModel } from "./init.ts";
import { type Recipe, train, type TrainEvent } from "./loop.ts";

const positive = z.number().positive({ error: "a number above 0" });
const COUNT = "a whole number from 1 to 1000000000";
const count = z.int({ error: COUNT }).positive({ error: COUNT }).max(1e9, { error: COUNT });
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
export type RecipeFile = z.output<typeof recipeSchema>;

/** The amount of data, reported before the first step. */
export interface DataEvent {
  readonly kind: "data";
  readonly rows: number;
  readonly tokens: number;
  readonly parameters: number;
}

export type FinetuneEvent = TrainEvent | DataEvent;

/** A model that was trained from a recipe, with the type in which the recipe wants it stored. */
export interface Built {
  /** The model with its new weights. */
  readonly model: Model;
  readonly dtype: RecipeFile["dtype"];
  readonly losses: readonly number[];
}

/**
 * Builds the model that a recipe describes and writes it to `outDir`: the same recipe, texts and thread count give the same bytes.
 * Checkpoints are in `outDir.training` until then; the same command resumes from them.
 */
export async function* fromRecipe(
  { recipe, home }: Prepared,
  { folder, every }: { readonly folder: string; readonly every: number },
  ctx: Context,
): AsyncGenerator<FinetuneEvent, Built> {
  const { model, rows } = prepare(recipe, home, ctx);
  try {
    yield {
      kind: "data",
      rows: rows.length,
      tokens: rows.reduce((sum, row) => sum + row.ids.length, 0),
      parameters: [...model.weights.values()].reduce((sum, { data }) => sum + data.length, 0),
    };
    const { weights, losses } = yield* train(model, rows, loopRecipe(recipe), ctx, { folder, every });
    return { model: { ...model, weights }, dtype: recipe.dtype, losses };
  } finally {
    await model.release();
  }
}

/** A recipe that was read, the folder that its paths start from, and the hash of all that it names. */
export interface Prepared {
  readonly recipe: RecipeFile;
  readonly home: string;
  readonly content: Hash;
}

/** Reads a recipe and the files that it names; refuses what is not right with any of them. */
export function openRecipe(path: string): Prepared {
  const recipe = readRecipe(path);
  const home = dirname(resolve(path));
  const folder = resolve(home, recipe.data.folder);
  const files = ["tokenizer.json", "tokenizer_config.json", "chat_template.jinja"].map((name) => readText(join(folder, name)));
  return { recipe, home, content: hash(recipe, readWorld(folder), ...files) };
}

/** Reads and checks a recipe; a wrong field is named with what is wanted. */
export function readRecipe(path: string): RecipeFile {
  if (!existsSync(path)) fail("finetune", `there is no recipe ${path}`, "a JSON file such as bundled/recipe.json", "Check the path.");
  return check(recipeSchema, { value: readJson(path, "finetune"), at: 1, place: basename(path) });
}

/** The model before its first step, and the rows it will see. */
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
  const rows = trainingRows(readWorld(folder), recipe.seed);
  return { model, rows: rows.map((row) => labelled(model, row, recipe.train.loss)) };
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
