/** What `lethe trace` takes. */
import * as field from "../fields.ts";

export const traceSpec = {
  name: "trace",
  doc: "Shows which states of the model carry an answer (causal tracing).",
  fields: {
    model: field.model("the model"),
    edit: field.edits("an edit, or a folder with a PEFT adapter, on top of the model; may be given several times, first one lowest"),
    prompt: field.text("the question, or the text to go on with"),
    subject: field.text("what the prompt is about, as it is spelled there (guessed without)"),
    answer: field.text("the words whose first token is watched, in the model's own answer where it has them", {
      flag: { shown: "its first token" },
    }),
    data: field.reference("requests as JSONL: prompt, subject, answer; those that the model answers are traced", {
      flag: { value: "<file>" },
    }),
    kind: field.text("what is put back", { choices: ["hidden", "mlp", "attn"], default: "hidden", flag: { value: "<kind>" } }),
    sever: field.text("keep this part of the blocks above as it is in noise", { choices: ["mlp", "attn"], flag: { value: "<part>" } }),
    window: field.number("blocks put back together, for mlp and attn", { min: 1, whole: true, default: 10 }),
    noise: field.number("standard deviation of the noise, times that of the embeddings", {
      min: 0,
      default: 3,
      flag: { value: "<times>" },
    }),
    samples: field.number("noises that are tried", { min: 1, whole: true, default: 10 }),
    seed: field.number("the seed of the noise", { min: 0, whole: true, default: 0 }),
    plain: field.toggle("send the prompt as it is, without the model's chat template"),
    system: field.text("the system message (needs the chat template)"),
  },
} as const;
