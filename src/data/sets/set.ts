/** What a dataset is: a reader from its published file to requests. */
import { basename, extname } from "node:path";
import { z } from "zod";
import { fail } from "../../base/fail.ts";
import { check, type Located, readRecords } from "../records.ts";
import type { ForgetRequest } from "../request.ts";

export interface SetOptions {
  /** The file as published, or the folder of a dataset that is one. */
  readonly path: string;
  /** Its rows, where they have been read already; `path` then stands in errors only. */
  readonly records?: readonly Located[];
  /** The part of the dataset, where the path does not say. */
  readonly split?: string;
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
  /** Names of its parts, for help; a file may be called otherwise. */
  readonly splits?: readonly string[];
  /** What stands behind a split's name where a file has the same rows with more fields. */
  readonly richer?: string;
  /** Of a dataset that is a folder: which of its files belong to it. */
  readonly files?: RegExp;
  readonly read: (options: SetOptions) => Loaded;
}

/** A dataset as it is written down: nothing is added, the type is checked. */
export const defineSet = (set: DataSet): DataSet => set;

/** The rows of a dataset's file. */
export const rowsOf = ({ records, path }: SetOptions): readonly Located[] => records ?? readRecords(path);

/** Which part of a dataset it is: as was said, otherwise as the file is called. */
export const splitOf = ({ split, path }: SetOptions): string => split ?? basename(path, extname(path));

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
