/** What `lethe eval` takes. */
import * as field from "../fields.ts";
import { DATA_FIELDS, DRAW } from "./requests.ts";

export const evalSpec = {
  name: "eval",
  doc: "Asks a model the questions of a suite and judges what it has forgotten and kept.",
  fields: {
    model: field.model("the model"),
    edit: field.edits("an edit file, or a folder with a PEFT adapter, to apply to MODEL; repeatable, the first is applied first"),
    suite: field.required(
      field.text("the suite: which metrics of which groups (listed below), or a file FILE.json", { flag: { value: "<name>" } }),
    ),
    data: field.required(
      field.grouped("questions for MODEL, as for lethe forget; GROUP=SPEC if the suite has groups; repeatable", {
        flag: { value: "<spec>" },
      }),
    ),
    text: field.text("a text file whose perplexity is measured too", { isInput: true, flag: { value: "<file>" } }),
    textTokens: field.number("the first tokens of --text to measure", { isInput: true, min: 2, whole: true, flag: { shown: "20480" } }),
    ...DATA_FIELDS,
    ...DRAW,
    plain: field.toggle("send prompts without the model's chat template"),
    system: field.text("the system message; it needs the chat template"),
    maxTokens: field.number("the largest number of tokens in an answer", {
      min: 1,
      whole: true,
      default: 200,
      flag: { short: "n", value: "<n>" },
    }),
    batch: field.number("questions per batch", { min: 1, whole: true, default: 32 }),
    dtype: field.text("precision of the computation", { choices: ["float32", "float64"], default: "float32", flag: false }),
    reference: field.pathOrSpec(
      "what to compare with: a log, the folder of an earlier evaluation, or another model, which is asked the same questions",
      {
        flag: { value: "<path>" },
      },
    ),
    alone: field.toggle("leave out the numbers that compare the model with another", { flag: false }),
    targetsOf: field.edits("edits whose targets are scored, although they are not applied", false),
    compat: field.names("quirks of the published code to reproduce, separated by commas (see docs/metrics)", { default: [] }),
  },
} as const;
