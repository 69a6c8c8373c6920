/** What `lethe export` takes. */
import * as field from "../fields.ts";

export const exportSpec = {
  name: "export",
  doc: "Writes an edited model as an ordinary checkpoint, or its edits as a LoRA adapter.",
  fields: {
    model: field.model("the model"),
    edit: field.edits("an edit file, or a folder with a PEFT adapter, to apply to the model; repeatable, the first is applied first"),
    format: field.text("the format: a whole checkpoint or an adapter", {
      choices: ["safetensors", "lora"],
      default: "safetensors",
      flag: { value: "<name>" },
    }),
    dtype: field.text("the type in which weights are stored", {
      choices: ["float32", "bfloat16", "float16"],
      default: "float32",
      flag: { value: "<name>" },
    }),
  },
} as const;
