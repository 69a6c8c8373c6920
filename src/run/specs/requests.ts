/** The fields of steps that take requests: one in words, or a file of them. */
import * as field from "../fields.ts";

export const REQUEST_FIELDS = {
  prompt: field.text("the question whose answer shall go"),
  subject: field.text("what the prompt is about, as it is spelled there (guessed without)"),
  answer: field.text("what the model answers, where it is known"),
  data: field.reference(
    "requests (JSONL, CSV, parquet): prompt, and where known subject, answer, paraphrases, neighbours; or SET:PLACE for a dataset as it is published, which may be a hub id",
    { flag: { value: "<file>" } },
  ),
  columns: field.text("which column of --data is which field, such as prompt=question,answer=reply", { flag: { value: "<list>" } }),
  subjects: field.text("subjects of --data by row: JSONL with row, subject and, if wanted, rephrase", { flag: { value: "<file>" } }),
  limit: field.number("only so many requests of --data, from the first", { min: 1, whole: true }),
} as const;
