/** What `lethe attack` takes. */
import * as field from "../fields.ts";
import { REQUEST_FIELDS } from "./requests.ts";

export const attackSpec = {
  name: "attack",
  doc: "Attacks a model for what it was made to forget, and measures how much of it comes back.",
  fields: {
    model: field.model("the model"),
    edit: field.edits("an edit file, or a folder with a PEFT adapter, to apply to the model; repeatable, the first is applied first"),
    ...REQUEST_FIELDS,
    attack: field.text("the attack (listed below)", { flag: { value: "<name>" } }),
    from: field.names("sources of attempts, separated by commas", { isInput: true, flag: { value: "<sources>", shown: "all" } }),
    samples: field.number("the largest number of questions from each source per request; the same as --set samples=N", {
      isInput: true,
      min: 1,
      whole: true,
      flag: { shown: "8" },
    }),
    set: field.map("a parameter of the attack; repeatable", { isInput: true, default: {} }),
    sizes: field.numbers("numbers of attempts for which the result is computed", {
      min: 0,
      whole: true,
      flag: { value: "<n,n,...>", shown: "1,2,4,... up to all" },
    }),
    seed: field.number("the seed", { min: 0, whole: true, default: 0 }),
    plain: field.toggle("send prompts without the model's chat template"),
    system: field.text("the system message; it needs the chat template"),
  },
} as const;
