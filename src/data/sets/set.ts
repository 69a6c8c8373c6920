/** What a dataset is: a reader that turns its published file into requests. */
import { basename, extname } from "node:path";
import { z } from "zod";
import { fail, nearest } from "../../base/fail.ts";
import { isRecord } from "../../base/json.ts";
import { check, type Located, readRecords } from "../records.ts";
import { type ForgetRequest, hasGap } from "../request.ts";
import { findSubject } from "../subject.ts";

export interface SetOptions {
  /** The file as published, or the folder if the dataset is a folder. */
  readonly path: string;
  /** Its rows, if they have already been read; `path` is then used in errors only. */
  readonly records?: readonly Located[];
  /** The split, if the path does not contain it. */
  readonly split?: string;
  /** A file of subjects for data without them: one line per row with row, subject and optionally rephrase. */
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
  /** Names of its splits, for help; files may have other names. */
  readonly splits?: readonly string[];
  /** The suffix of the file with the same rows and more fields. */
  readonly richer?: string;
  /** For a dataset that is a folder: the files that belong to it. */
  readonly files?: RegExp;
  /** Whether a row can be of this dataset only; its files are then read without its name. */
  readonly claims?: (row: Readonly<Record<string, unknown>>) => boolean;
  readonly read: (options: SetOptions) => Loaded;
}

/** Whether a row has all of these keys. */
export const has =
  (...keys: readonly string[]) =>
  (row: Readonly<Record<string, unknown>>): boolean =>
    keys.every((key) => Object.hasOwn(row, key));

/** Refuses a file of subjects for data that names its own. */
export const ownSubjects = (name: string, { subjects }: SetOptions): void =>
  subjects === undefined
    ? undefined
    : fail(name, `a file of subjects (${subjects})`, "none: the data names its subjects", "Leave out --subjects.");

/** Checks the type of a dataset and returns it. */
export const defineSet = (set: DataSet): DataSet => set;

/** The rows of a dataset's file. */
export const rowsOf = ({ records, path }: SetOptions): readonly Located[] => records ?? readRecords(path);

/** The split: as given, else the file's name. */
export const splitOf = ({ split, path }: SetOptions): string => split ?? basename(path, extname(path));

/** A row of a published dataset. Copies of it have columns of their own, which are left out, unless one is a misspelt name of a field that is missing. */
export function checkRow<S extends z.ZodObject>(schema: S, record: Located): z.output<S> {
  const { value } = record;
  if (!isRecord(value)) return check(schema, record);
  const known = Object.keys(schema.shape);
  const missing = known.filter((key) => !Object.hasOwn(value, key));
  const kept = Object.entries(value).filter(([key]) => known.includes(key) || nearest(key, missing) !== undefined);
  return check(schema, { ...record, value: Object.fromEntries(kept) });
}

const subjectSchema = z.strictObject({
  row: z.int().min(0, { error: "a row number, counted from 0" }),
  subject: z.string().min(1, { error: "a text that is not empty" }),
  rephrase: z.string().optional(),
});
export type GivenSubject = z.output<typeof subjectSchema>;

/** The subjects of a file, by row; each has its place for errors. */
export function readSubjects(path: string): Map<number, GivenSubject & { readonly place: string }> {
  return new Map(
    readRecords(path).map((record) => {
      const given = check(subjectSchema, record);
      return [given.row, { ...given, place: record.place }];
    }),
  );
}

/** The subject given for a row; refuses one that is not in the row's question. */
export function givenFor(subjects: ReturnType<typeof readSubjects> | undefined, row: number, question: string): GivenSubject | undefined {
  const given = subjects?.get(row);
  if (given && !question.includes(given.subject) && !hasGap({ prompt: question, subject: given.subject }))
    fail(
      given.place,
      `subject "${given.subject}" is not in the question of row ${row}`,
      "a part of the question",
      "Spell it as the question does.",
    );
  return given;
}

/** What a dataset says of a question that has no field for its subject. */
interface Asked
  extends
    Pick<ForgetRequest, "id" | "prompt" | "answer">,
    Partial<Pick<ForgetRequest, "paraphrases" | "wrong" | "restated" | "relation" | "group">> {
  /** What the dataset knows of the row's subject; without it, the question's spelling shows one. */
  readonly named?: string | undefined;
}

/** Requests from questions that have no field for their subject: a file of subjects gives it, or it is guessed. */
export function fromQuestions<R>(rows: readonly R[], { subjects }: SetOptions, askedIn: (row: R, at: number) => Asked): Loaded {
  const given = subjects === undefined ? undefined : readSubjects(subjects);
  const guessed: string[] = [];
  const requests = rows.map((row, at): ForgetRequest => {
    const { id, prompt, answer, named, paraphrases = [], wrong = [], ...others } = askedIn(row, at);
    const known = givenFor(given, at, prompt);
    if (!known) guessed.push(id);
    return {
      id,
      subject: known?.subject ?? named ?? findSubject(prompt) ?? "",
      prompt,
      answer,
      paraphrases: [...(known?.rephrase === undefined ? [] : [known.rephrase]), ...paraphrases],
      neighbours: [],
      wrong,
      ...others,
    };
  });
  noStray(given, requests.length);
  return { requests, guessed };
}

/** Refuses subjects for rows that do not exist. */
export function noStray(subjects: ReturnType<typeof readSubjects> | undefined, rows: number): void {
  const stray = [...(subjects ?? [])].find(([row]) => row >= rows)?.[1];
  if (stray) fail(stray.place, `there is no row ${stray.row}`, `a row from 0 to ${rows - 1}`, "Rows are counted from 0.");
}
