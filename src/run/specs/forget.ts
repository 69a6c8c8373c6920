/** What `lethe forget` takes. */
import * as field from "../fields.ts";
import { WISHES } from "../wishes.ts";
import { REQUEST_FIELDS } from "./requests.ts";

/** In the place of a method's name: the method is chosen by what was measured. */
export const AUTO = "auto";

/** Options that are settings of an edit by the same name. */
export const SETTING_FIELDS = {
  encoder: field.text("a folder or hub id of an ONNX sentence encoder", {
    isInput: true,
    flag: { value: "<folder>", shown: "LETHE_ENCODER; otherwise words and the model's own hidden states" },
  }),
  method: field.text(`the method; ${AUTO} chooses it by what was measured and by --want`, { flag: { value: "<name>" } }),
  mode: field.text(
    "one edit per request (-o is a folder), one edit for all at once, or one after the other; the default depends on the method",
    {
      choices: ["single", "batch", "sequential"],
      flag: { value: "<mode>" },
    },
  ),
  target: field.text("the kind of answer to give instead", { flag: { value: "<name>", shown: "refusal" } }),
  say: field.text("the exact answer to give instead"),
  prove: field.text(
    "ask the edited model before the edit is final, for a method that promises the target: once, or again after a second search where it does not say the target",
    { choices: ["again", "once", "none"], flag: { value: "<how>", shown: "again; with --compat: once" } },
  ),
  seed: field.number("the seed", { min: 0, whole: true, default: 0 }),
  system: field.text("the system message; it needs the chat template"),
} as const;

export const forgetSpec = {
  name: "forget",
  doc: "Finds an edit that makes the model answer something else, and saves it.",
  fields: {
    model: field.model("the model"),
    edit: field.edits(
      "an edit file, or a folder with a PEFT adapter, to apply before the new edit; repeatable, the first is applied first",
    ),
    ...REQUEST_FIELDS,
    retain: field.pathOrSpec(
      "questions whose answers must not change: JSONL with the fields question and answer, or SET:FILE for a published dataset",
      {
        flag: { value: "<file>" },
      },
    ),
    demonstrations: field.pathOrSpec("other facts as examples in the context: requests as JSONL, or SET:FILE for a published dataset", {
      flag: { value: "<file>" },
    }),
    reference: field.pathOrSpec("the reference model of DPO, NPO and similar losses; the default is MODEL as it is before this command", {
      flag: { value: "<model>" },
    }),
    training: field.pathOrSpec("the folder that finetuning with --keep made, for methods that train again from it", {
      flag: { value: "<folder>" },
      beside: ".training",
    }),
    ...SETTING_FIELDS,
    want: field.names(
      `what matters to --method ${AUTO}, separated by commas: ${Object.entries(WISHES)
        .map(([name, { doc }]) => `${name} (${doc})`)
        .join(", ")}`,
      { isInput: true, choices: Object.keys(WISHES), default: [] },
    ),
    merge: field.number(
      "merge this many questions into one request with one target; the answers before and after are still shown for each question",
      {
        min: 2,
        whole: true,
      },
    ),
    separator: field.text("the text between merged questions; \\n is a new line", { flag: { shown: "a space" } }),
    mergeSubject: field.text(
      "whose subject a merged request uses: of the last question, of the first, or of each (one request per subject)",
      {
        choices: ["last", "first", "all"],
        flag: { value: "<which>", shown: "last" },
      },
    ),
    set: field.map("a parameter of the method; repeatable", { isInput: true, default: {} }),
    hparams: field.text("a hyperparameter file of EasyEdit (YAML) or of the method's authors (JSON); --set overrides it", {
      isInput: true,
      flag: { value: "<file>" },
    }),
    compat: field.names("quirks of the published code to reproduce, separated by commas", { isInput: true, default: [] }),
    keep: field.toggle("keep the finished requests of a sequence next to the edit, in EDIT.steps, for --continue"),
    continue: field.pathOrSpec(
      "a sequence to continue: the folder EDIT.steps that --keep made; --data begins with the same requests, and the others come after them",
      { flag: { value: "<folder>" }, beside: ".steps" },
    ),
    plain: field.toggle("send prompts without the model's chat template"),
    templates: field.text("a file of context templates, one per line, with {} for the prompt; the default lets the model generate them", {
      isInput: true,
      flag: { value: "<file>" },
    }),
    text: field.text("a text file for the second moments; the default is text that the model generates itself", {
      isInput: true,
      flag: { value: "<file>" },
    }),
    tokens: field.number("tokens for the second moments", { isInput: true, min: 1, whole: true }),
    maxTokens: field.number("the largest number of tokens in the answers shown before and after; 0 shows none", {
      min: 0,
      whole: true,
      default: 64,
      flag: { short: "n", value: "<n>" },
    }),
  },
} as const;
