/** What a rephrase, and a question to be answered yes or no, must keep of the question that it is made from. */
import { readFileSync } from "node:fs";
import { saysSomething } from "../../src/data/words.ts";
import { tokenize } from "../../src/eval/rouge.ts";

export interface Rephrase {
  readonly row: number;
  readonly subject: string;
  readonly rephrase: string;
}
export interface YesNo {
  readonly row: number;
  /** The right answer to this one and to `no` is no, and to `yes` it is yes. */
  readonly negated: string;
  readonly yes: string;
  readonly no: string;
}
export interface Asked {
  readonly question: string;
  readonly answer: string;
}

/** The lines of a JSONL file of studies/. */
export const linesOf = <T>(name: string): T[] =>
  readFileSync(new URL(`../../studies/${name}`, import.meta.url), "utf8")
    .trim()
    .split("\n")
    .map((line) => JSON.parse(line) as T);

/** The longest run of words that a rephrase may share with its question, as a part of the question's words. */
const MOST = 0.75;

/** What is wrong with a rephrase. `less`: details of the question that it may leave out; `most`: the run of words that it may share. */
export function faultsOfRephrase(
  { subject, rephrase }: Pick<Rephrase, "subject" | "rephrase">,
  { question, answer }: Asked,
  { less = [], most = MOST }: { readonly less?: readonly string[]; readonly most?: number } = {},
): string[] {
  const faults = [
    ...(question.includes(subject) ? [] : ["the subject is not in the question"]),
    ...(times(rephrase, subject) === 1 ? [] : ["the subject is not once in the rephrase"]),
  ];
  const [asked, said] = [new Set(tokenize(question)), new Set(tokenize(rephrase))];
  const told = tokenize(answer).filter((word) => saysSomething(word) && said.has(word) && !asked.has(word));
  if (told.length > 0) faults.push(`tells of the answer: ${told.join(" ")}`);
  const lost = detailsOf(question).filter((detail) => !less.includes(detail) && !tokenize(detail).every((word) => said.has(word)));
  if (lost.length > 0) faults.push(`leaves out ${lost.join(", ")}`);
  const words = split(question, subject);
  if (longestRun(words, split(rephrase, subject)) > most * words.length) faults.push("hardly differs from the question");
  return faults;
}

/** What is wrong with the three questions of a row. */
export function faultsOfYesNo({ negated, yes, no }: Omit<YesNo, "row">, { answer }: Pick<Asked, "answer">, subject: string): string[] {
  const gold = tokenize(answer.replace(/^the /i, ""));
  const bare = (text: string): string => text.replace(subject, "");
  const names = (text: string): boolean => longestRun(gold, tokenize(text)) === gold.length;
  const [left, right] = different(tokenize(yes), tokenize(no));
  return [
    ...Object.entries({ negated, yes, no }).flatMap(([name, text]) => [
      ...(text.includes(subject) ? [] : [`${name}: the subject is not there`]),
      ...(text.endsWith("?") ? [] : [`${name}: is not a question`]),
    ]),
    ...(names(negated) ? [] : ["negated: the answer is not there"]),
    ...(/ not /.test(bare(negated)) ? [] : ["negated: says nothing with not"]),
    ...(names(yes) ? [] : ["yes: the answer is not there"]),
    ...(names(bare(no)) ? ["no: names the right answer"] : []),
    ...(right.length > 0 && left.length > 0 && longestRun(left, ["the", ...gold]) === left.length
      ? []
      : ["yes and no differ in more than the answer"]),
  ];
}

const times = (text: string, part: string): number => text.split(part).length - 1;

/** Words of a text, its subject as one of them. */
const split = (text: string, subject: string): string[] =>
  text.split(subject).flatMap((part, i) => (i === 0 ? tokenize(part) : [subject, ...tokenize(part)]));

/** Numbers and capitalised words behind the first word. */
const detailsOf = (question: string): string[] => question.replace(/^\S+/, "").match(/(?<![\p{L}\p{N}])[\p{Lu}\p{N}][\p{L}\p{N}]*/gu) ?? [];

/** The length of the longest run of words that two texts share. */
function longestRun(a: readonly string[], b: readonly string[]): number {
  let longest = 0;
  for (let i = 0; i < a.length; i++)
    for (let k = 0; k < b.length; k++) {
      let length = 0;
      while (i + length < a.length && a[i + length] === b[k + length]) length++;
      longest = Math.max(longest, length);
    }
  return longest;
}

/** What two texts have between their common beginning and their common end. */
function different(a: readonly string[], b: readonly string[]): [a: readonly string[], b: readonly string[]] {
  const least = Math.min(a.length, b.length);
  let from = 0;
  while (from < least && a[from] === b[from]) from++;
  let to = 0;
  while (to < least - from && a.at(-1 - to) === b.at(-1 - to)) to++;
  return [a.slice(from, a.length - to), b.slice(from, b.length - to)];
}
