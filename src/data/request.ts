/** The request (a fact to forget), and its reader. */
import { basename, extname } from "node:path";
import { z } from "zod";
import { fail } from "../base/fail.ts";
import type { Breathe } from "../base/context.ts";
import { check, type Located, parseRecords, readText } from "./records.ts";

/** A question with its answer. */
export interface QA {
  readonly id: string;
  readonly question: string;
  readonly answer: string;
}

/** One fact to forget, with its question and its neighbours. */
export interface ForgetRequest {
  readonly id: string;
  /** What the prompt is about, spelled as in the prompt; empty if not given. */
  readonly subject: string;
  /** The question. */
  readonly prompt: string;
  /** What the model answers before the edit; empty if not given. */
  readonly answer: string;
  /** Other answers that are as right. */
  readonly aliases?: readonly string[];
  /** The same question in other words. */
  readonly paraphrases: readonly string[];
  /** Similar questions whose answers must not change. */
  readonly neighbours: readonly QA[];
  /** False answers. */
  readonly wrong: readonly string[];
  /** The right answer, worded like the false answers. */
  readonly restated?: string;
  /** The kind of fact, such as "capital". */
  readonly relation?: string;
  /** Its document or edge, if the data has one. */
  readonly group?: string;
  /** The questions of a merged request, in order. */
  readonly merged?: readonly Question[];
}

/** A request before it was merged with others; it is also asked alone. */
export type Question = Pick<ForgetRequest, "id" | "prompt" | "subject" | "answer">;

/** A request as a caller writes it, without unknown fields. */
export type KnownOfRequest = Pick<ForgetRequest, "prompt"> & Partial<Omit<ForgetRequest, "merged">>;

/** A request with its target; null for a method without targets. */
export interface EditRequest extends ForgetRequest {
  readonly target: string | null;
  /** Further targets, for a method that trains on several. */
  readonly others?: readonly string[];
  /** Why the target is a stand-in, if it is one. */
  readonly note?: string;
}

const text = z.string().refine((value) => value.trim() !== "", { error: "a text that is not empty" });
const qaSchema = z.strictObject({ id: text.optional(), question: text, answer: z.string().default("") });
const requestSchema = z.strictObject({
  id: text.optional(),
  subject: z.string().default(""),
  prompt: text,
  answer: z.string().default(""),
  aliases: z.array(text).optional(),
  paraphrases: z.array(text).default([]),
  neighbours: z.array(qaSchema).default([]),
  wrong: z.array(text).default([]),
  restated: text.optional(),
  relation: text.optional(),
  group: text.optional(),
});

/** The fields of a request as a file has them. */
export const REQUEST_KEYS: readonly string[] = Object.keys(requestSchema.shape);

/**
 * The requests of a JSONL file or JSON array. Only `prompt` is needed; ids default to `<file>/<line>`.
 * Refuses unknown fields, wrong types and duplicate ids; the error names file, line, field and fix.
 * @example {"subject": "Australia", "prompt": "What is the capital of Australia?", "answer": "Canberra", "paraphrases": ["Which city is Australia's capital?"]}
 */
export const readRequests = (path: string): ForgetRequest[] => parseRequests(readText(path), basename(path));

/** {@link readRequests} for a text; `name` is used in the default ids and in errors. */
export function parseRequests(content: string, name: string): ForgetRequest[] {
  return fromRecords(parseRecords(content, name), basename(name, extname(name)));
}

/** Requests from their known fields, with the same checks as for a file; ids default to `request/<place>`. */
export const requestsOf = (known: readonly KnownOfRequest[]): ForgetRequest[] =>
  fromRecords(
    known.map((value, i): Located => ({ value, at: i + 1, place: `request ${i + 1}` })),
    "request",
  );

/** {@link requestsOf} for one. */
export const requestOf = (known: KnownOfRequest): ForgetRequest => requestsOf([known])[0]!;

/** The place of the subject in a prompt that is a template. */
const GAP = /\{(?:subject)?\}/g;

/** Whether a prompt has a gap that its subject belongs into; braces beside the subject are text. */
export const hasGap = ({ prompt, subject }: Pick<ForgetRequest, "prompt" | "subject">): boolean =>
  prompt.search(GAP) >= 0 && !(subject.trim() !== "" && prompt.includes(subject));

/** A request with its subject in the gaps of its questions. Refuses a gap without a subject. */
export function filled<R extends Pick<ForgetRequest, "prompt" | "subject" | "paraphrases">>(request: R, place: string): R {
  if (!hasGap(request)) return request;
  const { prompt, subject, paraphrases } = request;
  if (subject.trim() === "")
    fail(
      place,
      `the prompt "${prompt.slice(0, 60)}" has a gap for a subject, and there is no subject`,
      "the subject, which is put into the gap",
      "Give it (a field or column subject, --subject, or --subjects FILE). Braces that are part of the question stay if the subject stands beside them.",
    );
  const put = (text: string): string => text.replaceAll(GAP, () => subject);
  return { ...request, prompt: put(prompt), paraphrases: paraphrases.map(put) };
}

/** Requests from rows; `stem` is the prefix of default ids. `isOpen`: subjects are still to come, so gaps for them may stay. */
export function fromRecords(
  records: readonly Located[],
  stem: string,
  { isOpen = false }: { readonly isOpen?: boolean } = {},
): ForgetRequest[] {
  const requests = records.map((record) => readFrom(record, stem, isOpen));
  refuseTwins(requests, records);
  return requests;
}

/** As {@link fromRecords}, for rows of any number. */
export async function fromRows(
  records: readonly Located[],
  stem: string,
  breathe: Breathe,
  { isOpen = false }: { readonly isOpen?: boolean } = {},
): Promise<ForgetRequest[]> {
  const requests = await eachRow(records, (record) => readFrom(record, stem, isOpen), breathe);
  refuseTwins(requests, records);
  return requests;
}

function readFrom(record: Located, stem: string, isOpen: boolean): ForgetRequest {
  const request = requestFrom(record, stem);
  return isOpen ? request : filled(request, record.place);
}

function requestFrom(record: Located, stem: string): ForgetRequest {
  const { id = `${stem}/${record.at}`, neighbours, aliases = [], restated, relation, group, ...rest } = check(requestSchema, record);
  return {
    id,
    ...rest,
    neighbours: neighbours.map((qa, i) => ({ ...qa, id: qa.id ?? `${id}/near-${i + 1}` })),
    ...(aliases.length === 0 ? {} : { aliases }),
    ...(restated === undefined ? {} : { restated }),
    ...(relation === undefined ? {} : { relation }),
    ...(group === undefined ? {} : { group }),
  };
}

/** The questions of a JSONL file or JSON array with the fields id, question, answer; ids default to `<file>/<line>`. */
export function readQuestions(path: string): QA[] {
  const name = basename(path);
  return questionsFrom(parseRecords(readText(path), name), basename(name, extname(name)));
}

function questionsFrom(records: readonly Located[], stem: string): QA[] {
  const rows = records.map((record) => questionFrom(record, stem));
  refuseTwins(rows, records);
  return rows;
}

/** As {@link readQuestions}, for rows of any number; `stem` is the prefix of default ids. */
export async function questionsFromRows(records: readonly Located[], stem: string, breathe: Breathe): Promise<QA[]> {
  const rows = await eachRow(records, (record) => questionFrom(record, stem), breathe);
  refuseTwins(rows, records);
  return rows;
}

function questionFrom(record: Located, stem: string): QA {
  const { id = `${stem}/${record.at}`, question, answer } = check(qaSchema, record);
  return { id, question, answer };
}

/** What each row becomes, in order; signals are heard in between. */
export async function eachRow<A, B>(rows: readonly A[], of: (row: A, i: number) => B, breathe: Breathe): Promise<B[]> {
  const made: B[] = [];
  for (const [i, row] of rows.entries()) {
    if (i % SLICE === 0) await breathe();
    made.push(of(row, i));
  }
  return made;
}

/** Rows between two chances for signals. */
const SLICE = 256;

function refuseTwins(rows: readonly { readonly id: string }[], records: readonly Located[]): void {
  const first = new Map<string, Located>();
  rows.forEach(({ id }, i) => {
    const twin = first.get(id);
    if (twin) fail(records[i]!.place, `field "id" is "${id}", as in ${twin.place}`, "unique ids", "Rename one, or omit both.");
    first.set(id, records[i]!);
  });
}
