/** What `lethe export` takes. */
import * as field from "../fields.ts";

export const exportSpec = {
  name: "export",
  doc: "Writes an edited model as an ordinary checkpoint or as a GGUF file, or its edits as a LoRA adapter.",
  fields: {
    model: field.model("the model"),
    edit: field.edits("an edit file, or a folder with a PEFT adapter, to apply to the model; repeatable, the first is applied first"),
    format: field.text("the format: a whole checkpoint, one GGUF file for llama.cpp and ollama, or an adapter", {
      choices: ["safetensors", "gguf", "lora"],
      default: "safetensors",
      flag: { value: "<name>" },
    }),
    dtype: field.text("the type in which weights are stored; the last four are for GGUF", {
      choices: ["float32", "bfloat16", "float16", "q8_0", "q4_0", "q4_1", "q4_k"],
      default: "float32",
      flag: { value: "<name>" },
    }),
  },
} as const;
