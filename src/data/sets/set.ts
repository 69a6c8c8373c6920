/** What a dataset is: a reader from its published file to requests. */
import { z } from "zod";
import { fail } from "../../base/fail.ts";
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

/** The subject that was given for a row, held against its question: it must be a span of it. */
export function givenFor(subjects: ReturnType<typeof readSubjects> | undefined, row: number, question: string): GivenSubject | undefined {
  const given = subjects?.get(row);
  if (given && !question.includes(given.subject))
    fail(given.place, `subject "${given.subject}" is not in the question of row ${row}`, "a span of it", "Spell it as the question does.");
  return given;
}

/** Refuses subjects of rows that the data does not have. */
export function noStray(subjects: ReturnType<typeof readSubjects> | undefined, rows: number): void {
  const stray = [...(subjects ?? [])].find(([row]) => row >= rows)?.[1];
  if (stray) fail(stray.place, `there is no row ${stray.row}`, `a row from 0 to ${rows - 1}`, "Rows are counted from 0.");
}
