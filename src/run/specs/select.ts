/** What `lethe select` takes. */
import * as field from "../fields.ts";
import { DATA_FIELDS } from "./requests.ts";

export const selectSpec = {
  name: "select",
  doc: "Selects requests: by an evaluation, by the fields that they have, or by number.",
  fields: {
    data: field.required(field.pathOrSpec("the requests, as for lethe forget", { flag: { value: "<file>" } })),
    also: field.pathOrSpec("more requests, which come after those of --data", { flag: { value: "<file>" } }),
    columns: DATA_FIELDS.columns,
    subjects: DATA_FIELDS.subjects,
    pair: field.toggle(
      "join questions of one subject with the same answer that ask the same: the later ones become paraphrases of the first",
    ),
    having: field.names(
      "only requests that have all of these fields, separated by commas: answer, subject, paraphrases, neighbours, wrong",
      {
        choices: ["answer", "subject", "paraphrases", "neighbours", "wrong"],
        default: [],
      },
    ),
    by: field.pathOrSpec("the folder of an evaluation of these requests (lethe eval -o)", { flag: { value: "<folder>" } }),
    number: field.text('the number of that evaluation that decides, by its title, such as "Exact match"', { flag: { value: "<title>" } }),
    least: field.number("only requests whose number is at least this"),
    most: field.number("only requests whose number is at most this"),
    answers: field.text(
      "whose answers the requests get: those of --data, what the evaluated model said, what it said to the question and to a paraphrase alike (other requests are left out), or those of --together",
      {
        choices: ["data", "said", "agreed", "together"],
        default: "data",
        flag: { value: "<which>" },
      },
    ),
    once: field.toggle("only the first request of each subject, and of each group if the data has groups"),
    seed: field.number("sample with this seed instead of taking the first", { min: 0, whole: true }),
    skip: field.number("leave out this many first", { min: 0, whole: true, default: 0 }),
    limit: field.number("then take at most this many", { min: 1, whole: true }),
    others: field.toggle("take the ones that --skip and --limit leave out"),
    neighbours: field.number("give each request this many neighbours: the left-out questions with the most similar wording", {
      min: 1,
      whole: true,
    }),
    wordings: field.toggle("ask each question and each paraphrase as a request of its own"),
    forms: field.text("a JSONL file with other forms of the questions of --data: row, yes, no, negated", {
      isInput: true,
      flag: { value: "<file>" },
    }),
    form: field.text("which form is asked; the answer is then Yes. or No.", {
      choices: ["yes", "no", "negated"],
      flag: { value: "<which>" },
    }),
    together: field.pathOrSpec("other requests: each request is asked in one prompt with one of these, which comes second", {
      flag: { value: "<file>" },
    }),
  },
} as const;
