/** What `lethe export` takes. */
import * as field from "../fields.ts";

export const exportSpec = {
  name: "export",
  doc: "Writes an edited model as an ordinary checkpoint, or its edits as a LoRA adapter.",
  fields: {
    model: field.model("the model"),
    edit: field.edits("an edit, or a folder with a PEFT adapter, on top of the model; may be given several times, first one lowest"),
    format: field.text("a whole checkpoint, or an adapter", {
      choices: ["safetensors", "lora"],
      default: "safetensors",
      flag: { value: "<name>" },
    }),
    dtype: field.text("how weights are stored", {
      choices: ["float32", "bfloat16", "float16"],
      default: "float32",
      flag: { value: "<name>" },
    }),
  },
} as const;
