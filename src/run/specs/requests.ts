/** The fields of steps that take requests: one in words, or a file of them. */
import * as field from "../fields.ts";

export const REQUEST_FIELDS = {
  prompt: field.text("the question whose answer shall go", { isInput: true }),
  subject: field.text("what the prompt is about, as it is spelled there (guessed without)", { isInput: true }),
  answer: field.text("what the model answers, where it is known", { isInput: true }),
  data: field.text(
    "requests (JSONL, CSV, parquet): prompt, and where known subject, answer, paraphrases, neighbours; or SET:PLACE for a dataset as it is published, which may be a hub id",
    { isInput: true, flag: { value: "<file>" } },
  ),
  columns: field.text("which column of --data is which field, such as prompt=question,answer=reply", {
    isInput: true,
    flag: { value: "<list>" },
  }),
  subjects: field.text("subjects of --data by row: JSONL with row, subject and, if wanted, rephrase", {
    isInput: true,
    flag: { value: "<file>" },
  }),
  limit: field.number("only so many requests of --data, from the first", { isInput: true, min: 1, whole: true }),
} as const;
