/** What `lethe stats` takes. */
import * as field from "../fields.ts";

export const statsSpec = {
  name: "stats",
  doc: "Gathers second moments of a layer's activations over a text, ahead of an edit.",
  fields: {
    model: field.model("the model"),
    text: field.text("a text file, in place of texts that the model samples itself", { isInput: true, flag: { value: "<file>" } }),
    tokens: field.number("tokens at most", { min: 1, whole: true, flag: { shown: "16384" } }),
    layer: field.required(field.numbers("the block, counted from 0; may be given several times", { min: 0, whole: true })),
    site: field.text("where in the block", { flag: { value: "<name>", shown: "the input of the MLP's output matrix" } }),
    seed: field.number("the seed of the samples", { min: 0, whole: true, default: 0 }),
  },
} as const;
