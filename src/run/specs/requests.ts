/** The fields of steps that read rows of data, and of those that take requests: one in words, or a file of them. */
import * as field from "../fields.ts";

/** How rows of `--data` are read; used by every command with `--data`. */
export const DATA_FIELDS = {
  columns: field.text("which column of --data holds which field, as FIELD=COLUMN: prompt=question,answer=reply", {
    isInput: true,
    flag: { value: "<list>" },
  }),
  subjects: field.text("a JSONL file with the subjects of --data: row, subject and, optionally, rephrase (a paraphrase of the question)", {
    isInput: true,
    flag: { value: "<file>" },
  }),
  limit: field.number("the largest number of rows taken from --data", { isInput: true, min: 1, whole: true }),
} as const;

/** Which rows `--limit` takes; for commands without another seed. */
export const DRAW = {
  seed: field.number("draw the rows of --limit with this seed instead of taking the first", { isInput: true, min: 0, whole: true }),
} as const;

export const REQUEST_FIELDS = {
  prompt: field.text("the question whose answer the model must forget", { isInput: true }),
  subject: field.text("the subject of the prompt, spelled as in the prompt (guessed if absent)", { isInput: true }),
  answer: field.text("the answer that the unedited model gives, if you know it", { isInput: true }),
  data: field.pathOrSpec(
    "requests (JSONL, CSV, parquet) with the field prompt and, if known, subject, answer, paraphrases and neighbours; SET:PLACE for a published dataset, where PLACE may be a hub id",
    { flag: { value: "<file>" } },
  ),
  ...DATA_FIELDS,
} as const;
