/** What `lethe forget` takes. */
import * as field from "../fields.ts";
import { REQUEST_FIELDS } from "./requests.ts";

export const forgetSpec = {
  name: "forget",
  doc: "Finds an edit after which the model says something else, and saves it.",
  fields: {
    model: field.model("the model"),
    edit: field.edits("an edit, or a folder with a PEFT adapter, under the new one; may be given several times, first one lowest"),
    ...REQUEST_FIELDS,
    retain: field.reference("questions whose answers must stay, as JSONL: question, answer; or SET:FILE for a dataset as it is published", {
      flag: { value: "<file>" },
    }),
    demonstrations: field.reference("other facts to show as examples: requests as JSONL, or a dataset's file as NAME:FILE", {
      flag: { value: "<file>" },
    }),
    reference: field.reference("what losses compare with, in place of the model before training (its base, for instance)", {
      flag: { value: "<model>" },
    }),
    training: field.reference("what finetuning with --keep left, for methods that go back to it", { flag: { value: "<folder>" } }),
    encoder: field.text("a folder or hub id of an ONNX sentence encoder", {
      flag: { value: "<folder>", shown: "LETHE_ENCODER; otherwise the model's own hidden states" },
    }),
    method: field.text("how the edit is found", { flag: { value: "<name>" } }),
    mode: field.text("each request alone (-o is a folder), all in one batch, or one upon the other; as the method can", {
      choices: ["single", "batch", "sequential"],
      flag: { value: "<mode>" },
    }),
    target: field.text("what to say instead, by name", { flag: { value: "<name>", shown: "refusal" } }),
    say: field.text("what to say instead, word for word"),
    merge: field.number("put so many questions into one request with one target; each is still asked by itself", { min: 2, whole: true }),
    separator: field.text("what stands between merged questions, \\n for a new line", { flag: { shown: "a space" } }),
    mergeSubject: field.text("whose subject merged questions are edited by", {
      choices: ["last", "first", "all"],
      flag: { value: "<which>", shown: "last" },
    }),
    set: field.map("a parameter of the method; may be given several times", { default: {} }),
    hparams: field.text(
      "parameters from a hyperparameter file of EasyEdit (YAML) or of the method's authors (JSON); --set goes before it",
      {
        flag: { value: "<file>" },
      },
    ),
    compat: field.names("quirks of the reference implementation to reproduce, comma-separated", { default: [] }),
    seed: field.number("the seed of everything drawn", { min: 0, whole: true, default: 0 }),
    plain: field.toggle("send prompts as they are, without the model's chat template"),
    system: field.text("the system message (needs the chat template)"),
    templates: field.text("context templates, one a line with {} where the prompt stands, in place of sampled ones", {
      flag: { value: "<file>" },
    }),
    text: field.text("the text of the statistics, in place of the model's own samples", { flag: { value: "<file>" } }),
    tokens: field.number("tokens of the statistics", { min: 1, whole: true }),
    maxTokens: field.number("tokens of the answers shown before and after; 0 shows none", {
      min: 0,
      whole: true,
      default: 64,
      flag: { short: "n", value: "<n>" },
    }),
  },
} as const;
