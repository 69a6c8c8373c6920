/** What `lethe eval` takes. */
import * as field from "../fields.ts";

export const evalSpec = {
  name: "eval",
  doc: "Asks a model the questions of a suite and judges what it has forgotten and kept.",
  fields: {
    model: field.model("the model"),
    edit: field.edits("an edit on top of MODEL; may be given several times, first one lowest"),
    suite: field.required(field.text("which numbers: a suite of the list below", { flag: { value: "<name>" } })),
    data: field.required(
      field.grouped("questions for MODEL, as for lethe forget; GROUP=SPEC where the suite has groups; may be given several times", {
        flag: { value: "<spec>" },
      }),
    ),
    text: field.text("a text file, whose perplexity is measured too", { flag: { value: "<file>" } }),
    textTokens: field.number("tokens of --text, from the first", { min: 2, whole: true, flag: { shown: "20480" } }),
    limit: field.number("only so many questions of each --data, from the first", { min: 1, whole: true }),
    seed: field.number("draw them with this seed instead", { whole: true }),
    plain: field.toggle("ask without the model's chat template"),
    system: field.text("the system message (needs the chat template)"),
    maxTokens: field.number("tokens of an answer at most", { min: 1, whole: true, default: 200, flag: { short: "n", value: "<n>" } }),
    batch: field.number("questions asked together", { min: 1, whole: true, default: 32 }),
    dtype: field.text("precision of the computation", { choices: ["float32", "float64"], default: "float32", flag: false }),
    reference: field.reference("what to compare with: a log, the folder of an earlier run, or another model, which is asked the same", {
      flag: { value: "<path>" },
    }),
    targetsOf: field.edits("edits whose targets are scored, although they are not applied", false),
    compat: field.names("quirks of references to reproduce, divided by commas (docs/metrics has them)", { default: [] }),
  },
} as const;
