/** What `lethe trace` takes. */
import * as field from "../fields.ts";
import { DATA_FIELDS } from "./requests.ts";

export const traceSpec = {
  name: "trace",
  doc: "Shows which hidden states of the model carry an answer (causal tracing).",
  fields: {
    model: field.model("the model"),
    edit: field.edits("an edit file, or a folder with a PEFT adapter, to apply to the model; repeatable, the first is applied first"),
    prompt: field.text("the question, or the text to continue", { isInput: true }),
    subject: field.text("the subject of the prompt, spelled as in the prompt (guessed if absent)", { isInput: true }),
    answer: field.text("the answer whose first token is traced, at its place in the model's own answer", {
      isInput: true,
      flag: { shown: "the token of that answer that loses most when the subject is in noise" },
    }),
    data: field.pathOrSpec("requests as JSONL: prompt, subject, answer; the ones that the model answers correctly are traced", {
      flag: { value: "<file>" },
    }),
    ...DATA_FIELDS,
    kind: field.text("which states are restored", { choices: ["hidden", "mlp", "attn"], default: "hidden", flag: { value: "<kind>" } }),
    sever: field.text("after the restored state, keep the outputs of this part as in the corrupted run", {
      choices: ["mlp", "attn"],
      flag: { value: "<part>" },
    }),
    window: field.number("blocks restored together, for mlp and attn", { min: 1, whole: true, default: 10 }),
    noise: field.number("standard deviation of the noise, in units of that of the embeddings", {
      min: 0,
      max: 1_000_000,
      default: 3,
      flag: { value: "<times>" },
    }),
    samples: field.number("noise draws per token and layer", { min: 1, whole: true, default: 10 }),
    seed: field.number("the seed of the noise", { min: 0, whole: true, default: 0 }),
    plain: field.toggle("send the prompt without the model's chat template"),
    system: field.text("the system message; it needs the chat template"),
  },
} as const;
