/** What `lethe stats` takes. */
import * as field from "../fields.ts";

export const statsSpec = {
  name: "stats",
  doc: "Gathers second moments of a layer's activations over a text, ahead of an edit.",
  fields: {
    model: field.model("the model"),
    text: field.text("a text file; the default is text that the model generates itself", { isInput: true, flag: { value: "<file>" } }),
    tokens: field.number("the most tokens", { min: 1, whole: true, flag: { shown: "4096" } }),
    layer: field.required(field.numbers("the block, counted from 0; repeatable", { min: 0, whole: true })),
    site: field.text("the site in the block", { flag: { value: "<name>", shown: "the input of the MLP's output matrix" } }),
    seed: field.number("the seed of the generated text", { min: 0, whole: true, default: 0 }),
  },
} as const;
