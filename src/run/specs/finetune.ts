/** What `lethe finetune` takes. */
import * as field from "../fields.ts";

export const finetuneSpec = {
  name: "finetune",
  doc: "Teaches a model questions and answers, and writes it as an ordinary checkpoint.",
  fields: {
    model: field.optionalModel("the model; without one, the recipe file says which model to train from the start"),
    data: field.reference("questions and answers (JSONL, CSV, parquet): question, answer; or SET:PLACE for a dataset as it is published", {
      flag: { value: "<file>" },
    }),
    columns: field.text("which column is which field, such as prompt=question,answer=reply", { flag: { value: "<list>" } }),
    limit: field.number("only so many rows of --data, from the first", { min: 1, whole: true }),
    recipe: field.text("tofu, pistol, or a file such as bundled/recipe.json", { flag: { value: "<name>" } }),
    set: field.map("a setting, such as lr=2e-5, epochs=10, rank=8; may be given several times", { default: {} }),
    plain: field.toggle("learn questions as they are, without the model's chat template"),
    system: field.text("the system message (needs the chat template)"),
    validate: field.reference("other questions and answers whose loss is shown after every epoch", { flag: { value: "<file>" } }),
    until: field.number("stop after the epoch in which the answers have this ROUGE-1 recall", {
      min: 0,
      max: 1,
      flag: { value: "<share>" },
    }),
    seed: field.number("the seed of everything drawn", { min: 0, whole: true, default: 0 }),
    keep: field.toggle("keep the journal and every checkpoint, for --method replay"),
    dtype: field.text("how weights are stored", {
      choices: ["float32", "bfloat16", "float16"],
      default: "float32",
      flag: { value: "<name>" },
    }),
    every: field.number("steps from one checkpoint to the next", { min: 1, whole: true, default: 100 }),
  },
} as const;
