/** What a dataset is: a reader from its published file to requests. */
import { z } from "zod";
import { check, readRecords } from "../records.ts";
import type { ForgetRequest } from "../request.ts";

export interface SetOptions {
  /** The file as published. */
  readonly path: string;
  /** A file of subjects for data that names none: a line a row with row, subject and, if wanted, rephrase. */
  readonly subjects?: string;
}

/** Requests in file order, and the ids of those whose subject was guessed from the question's spelling. */
export interface Loaded {
  readonly requests: readonly ForgetRequest[];
  readonly guessed: readonly string[];
}

export interface DataSet {
  readonly name: string;
  readonly doc: string;
  readonly source: string;
  readonly licence: string;
  readonly read: (options: SetOptions) => Loaded;
}

/** A dataset as it is written down: nothing is added, the type is checked. */
export const defineSet = (set: DataSet): DataSet => set;

const subjectSchema = z.strictObject({
  row: z.int().min(0, { error: "a row number, counted from 0" }),
  subject: z.string().min(1, { error: "a text that is not empty" }),
  rephrase: z.string().optional(),
});
export type GivenSubject = z.output<typeof subjectSchema>;

/** A file of subjects by row; each names its place for errors. */
export function readSubjects(path: string): Map<number, GivenSubject & { readonly place: string }> {
  return new Map(
    readRecords(path).map((record) => {
      const given = check(subjectSchema, record);
      return [given.row, { ...given, place: record.place }];
    }),
  );
}
