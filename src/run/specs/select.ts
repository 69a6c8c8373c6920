/** What `lethe select` takes. */
import * as field from "../fields.ts";

export const selectSpec = {
  name: "select",
  doc: "Chooses requests: by what an evaluation found, by what they list, or so many of them.",
  fields: {
    data: field.required(field.reference("the requests, as for lethe forget", { flag: { value: "<file>" } })),
    columns: field.text("which column of --data is which field, such as prompt=question,answer=reply", { flag: { value: "<list>" } }),
    subjects: field.text("subjects of --data by row: JSONL with row, subject and, if wanted, rephrase", { flag: { value: "<file>" } }),
    having: field.names("only requests that list all of these, divided by commas: answer, subject, paraphrases, neighbours, wrong", {
      choices: ["answer", "subject", "paraphrases", "neighbours", "wrong"],
      default: [],
    }),
    by: field.reference("an evaluation that asked them: the folder of lethe eval -o", { flag: { value: "<folder>" } }),
    number: field.text('the number of that evaluation that decides, by its title, such as "Exact match"', { flag: { value: "<title>" } }),
    least: field.number("only requests of which that number is at least this"),
    most: field.number("only requests of which that number is at most this"),
    answers: field.text("the answers of --data, or what the evaluated model said (without what it said nothing to)", {
      choices: ["data", "said"],
      default: "data",
      flag: { value: "<which>" },
    }),
    seed: field.number("draw them with this seed, in place of the first", { whole: true }),
    skip: field.number("leave out so many of them, from the first", { min: 0, whole: true, default: 0 }),
    limit: field.number("then take so many at most", { min: 1, whole: true }),
    others: field.toggle("take those that --skip and --limit leave"),
    neighbours: field.number("list so many of those that are left with each request: the questions that are worded most like its own", {
      min: 1,
      whole: true,
    }),
  },
} as const;
