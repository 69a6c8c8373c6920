/** What `lethe finetune` takes. */
import * as field from "../fields.ts";
import { DATA_FIELDS } from "./requests.ts";

export const finetuneSpec = {
  name: "finetune",
  doc: "Teaches a model questions and answers, and writes it as an ordinary checkpoint.",
  fields: {
    model: field.optionalModel("the model; without it, --recipe names a file that describes a model to train from scratch"),
    data: field.pathOrSpec(
      "questions and answers (JSONL, CSV, parquet) with the fields question and answer; SET:PLACE for a published dataset",
      {
        flag: { value: "<file>" },
      },
    ),
    columns: DATA_FIELDS.columns,
    limit: DATA_FIELDS.limit,
    recipe: field.text("the settings of a benchmark (tofu, pistol), or a file such as bundled/recipe.json", {
      isInput: true,
      flag: { value: "<name>" },
    }),
    set: field.map("a setting, such as lr=2e-5, epochs=10 or rank=8; repeatable", { isInput: true, default: {} }),
    plain: field.toggle("train without the model's chat template"),
    system: field.text("the system message (needs the chat template)"),
    validate: field.pathOrSpec("questions and answers for a validation loss after every epoch", { flag: { value: "<file>" } }),
    until: field.number("stop after the first epoch whose answers reach this ROUGE-1 recall", {
      min: 0,
      max: 1,
      flag: { value: "<share>" },
    }),
    seed: field.number("the seed", { min: 0, whole: true, default: 0 }),
    keep: field.toggle("keep the training journal and every checkpoint, for --method replay"),
    dtype: field.text("the type in which weights are stored", {
      choices: ["float32", "bfloat16", "float16"],
      default: "float32",
      flag: { value: "<name>" },
    }),
    every: field.number("steps between checkpoints", { isInput: true, min: 1, whole: true, default: 100 }),
  },
} as const;
