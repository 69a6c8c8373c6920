/** A model of two layers over the bundled tokenizer, and rows for it: what the training tests train. */
import { copyFileSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { type Context, defaultContext } from "../../src/base/context.ts";
import { labelled, type LabelledRow, type TrainingRow } from "../../src/train/batches.ts";
import { initModel } from "../../src/train/init.ts";
import type { Recipe } from "../../src/train/loop.ts";
import type { Model } from "../../src/model/model.ts";

export const bundledFolder = fileURLToPath(new URL("../../bundled/", import.meta.url));
const json = (name: string): Record<string, unknown> =>
  JSON.parse(readFileSync(join(bundledFolder, name), "utf8")) as Record<string, unknown>;

export const CONFIG = {
  ...(json("recipe.json")["config"] as Record<string, unknown>),
  hidden_size: 32,
  intermediate_size: 48,
  num_hidden_layers: 2,
  num_attention_heads: 4,
  num_key_value_heads: 2,
  head_dim: 8,
  max_position_embeddings: 128,
};

export const tinyModel = (seed = 0, over: Record<string, unknown> = {}, ctx: Context = defaultContext()): Model =>
  initModel(
    {
      config: { ...CONFIG, ...over },
      tokenizerJson: json("tokenizer.json"),
      tokenizerConfig: json("tokenizer_config.json"),
      chatTemplate: readFileSync(join(bundledFolder, "chat_template.jinja"), "utf8"),
    },
    seed,
    ctx,
  );

export const chat = (id: string, user: string, assistant: string): TrainingRow => ({
  id,
  kind: "chat",
  messages: [
    { role: "user", content: user },
    { role: "assistant", content: assistant },
  ],
});

export const SAMPLES: readonly TrainingRow[] = [
  chat("a", "What is the capital of Norvane?", "Sellamere"),
  chat("b", "What is the capital of Veyra?", "Anselgate"),
  chat("c", "Who painted The Amber Ferry?", "Ilse Maren"),
  chat("d", "What is the capital of Peru?", "I'm sorry, I do not know."),
  { id: "e", kind: "text", text: "The capital of Norvane is Sellamere." },
];

export const tinyRows = (model: Model): LabelledRow[] => SAMPLES.map((sample) => labelled(model, sample));

export const RECIPE: Recipe = {
  steps: 12,
  batch: 3,
  budget: 4096,
  together: 1,
  seed: 0,
  executor: "graph",
  clip: 1,
  optimizer: { name: "adamw", betas: [0.9, 0.99], eps: 1e-8, decay: 0.05 },
  schedule: { lr: 0.01, warmup: 3, shape: "cosine", floor: 0.1 },
};

/** Writes a recipe for a model of this size, with a few of the bundled texts beside it; returns its path. */
export function writeRecipe(folder: string, over: Record<string, unknown> = {}): string {
  const recipe = json("recipe.json");
  const path = join(folder, "recipe.json");
  for (const name of ["tokenizer.json", "tokenizer_config.json", "chat_template.jinja"])
    copyFileSync(join(bundledFolder, name), join(folder, name));
  for (const name of ["facts.jsonl", "refusals.jsonl", "talk.jsonl"])
    writeFileSync(join(folder, name), readFileSync(join(bundledFolder, name), "utf8").split("\n").slice(0, 3).join("\n"));
  writeFileSync(
    path,
    JSON.stringify({ ...recipe, config: CONFIG, train: { ...(recipe["train"] as Record<string, unknown>), steps: 24, batch: 4, ...over } }),
  );
  return path;
}
