/** RWKU: facts about famous people, asked in three ways, and neighbours whose answers must not change. */
import { existsSync, readdirSync, statSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import { z } from "zod";
import { fail, nearest } from "../../base/fail.ts";
import { type Located, readRecords } from "../records.ts";
import type { ForgetRequest, QA } from "../request.ts";
import { findSubject, mentionOf } from "../subject.ts";
import { checkRow, defineSet, has, ownSubjects, type SetOptions } from "./set.ts";

const text = z.string().min(1);
const rowSchema = z.strictObject({
  subject: text,
  query: text,
  answer: text,
  level: z.union([z.string(), z.number()]).transform(String).default("1"),
  neighbor: text.optional(),
});
type Row = z.output<typeof rowSchema>;

/** Filling in a blank, answering a question, answering an adversarial question. */
const FORGET = ["forget_level1", "forget_level2", "forget_level3"];
const NEAR = ["neighbor_level1", "neighbor_level2"];

export const rwku = defineSet({
  name: "rwku",
  doc: "200 famous people: blanks to fill in (level 1), questions (level 2), attacks (level 3), and neighbours to retain",
  source: "RWKU (jinzhuoran/RWKU), a folder of JSON files per person",
  licence: "CC BY 4.0",
  splits: [...FORGET, ...NEAR],
  files: /(^|\/)(forget|neighbor)_level\d\.json$/,
  claims: has("subject", "query", "answer"),
  read(options) {
    ownSubjects("rwku", options);
    const ids = numbered();
    const guessed: string[] = [];
    const { rows, near } = levelsOf(options);
    const neighbours = new Map<string, QA[]>();
    for (const record of near) {
      const { subject, level, query, answer } = checkRow(rowSchema, record);
      const qa = { id: ids(`rwku/${slug(subject)}/near${level}`), question: query, answer };
      const known = neighbours.get(subject);
      if (known) known.push(qa);
      else neighbours.set(subject, [qa]);
    }
    const requests = rows.map((record): ForgetRequest => {
      const row = checkRow(rowSchema, record);
      const { subject: group, query: prompt, answer, level, neighbor } = row;
      const id = ids(`rwku/${slug(group)}/${neighbor === undefined ? "level" : "near"}${level}`);
      const subject = subjectOf(row);
      if (subject !== (neighbor ?? group)) guessed.push(id);
      return { id, subject, prompt, answer, paraphrases: [], neighbours: neighbours.get(group) ?? [], wrong: [], group };
    });
    return { requests, guessed };
  },
});

/** The person or the neighbour as the query spells the name; if it does not name them, what it mentions instead. */
function subjectOf({ subject, neighbor, query }: Row): string {
  const named = neighbor === undefined ? undefined : mentionOf(neighbor, query);
  return named ?? mentionOf(subject, query) ?? findSubject(query) ?? "";
}

interface Levels {
  readonly rows: readonly Located[];
  readonly near: readonly Located[];
}

/** The rows of one file, or the split's levels of a person's folder or of a folder of such (default: all levels to forget). */
function levelsOf({ path, split, records }: SetOptions): Levels {
  if (records) return { rows: records, near: [] };
  if (!existsSync(path) || !statSync(path).isDirectory()) return { rows: readRecords(path), near: [] };
  const known = [...FORGET, ...NEAR];
  if (split !== undefined && !known.includes(split)) {
    const near = nearest(split, known);
    fail("rwku", `there is no split "${split}"`, known.join(", "), near ? `Did you mean "${near}"?` : "");
  }
  const levels = split === undefined ? FORGET : [split];
  const folders = foldersIn(path);
  if (folders.length === 0)
    fail(
      "rwku",
      `${path} holds no ${FORGET[0]}.json`,
      "a person's folder, or a folder of such folders",
      "Name the folder that contains them.",
    );
  const read = (names: readonly string[]): Located[] =>
    folders
      .flatMap((folder) => names.map((name) => join(folder, `${name}.json`)))
      .filter(existsSync)
      .flatMap((file) => readRecords(file, join(basename(dirname(file)), basename(file))));
  return { rows: read(levels), near: levels.every((level) => NEAR.includes(level)) ? [] : read(NEAR) };
}

/** The folder itself if it contains levels, else its subfolders, up to three deep, sorted by the number before their name. */
function foldersIn(path: string, depth = 3): string[] {
  if ([...FORGET, ...NEAR].some((name) => existsSync(join(path, `${name}.json`)))) return [path];
  if (depth === 0) return [];
  return readdirSync(path, { withFileTypes: true })
    .filter((entry) => entry.isDirectory() || entry.isSymbolicLink())
    .map(({ name }) => name)
    .sort((a, b) => (parseInt(a, 10) || 0) - (parseInt(b, 10) || 0) || (a < b ? -1 : 1))
    .map((name) => join(path, name))
    .filter((folder) => statSync(folder).isDirectory())
    .flatMap((folder) => foldersIn(folder, depth - 1));
}

/** Gives `stem/0`, `stem/1`, … for every stem. */
function numbered(): (stem: string) => string {
  const counts = new Map<string, number>();
  return (stem) => {
    const n = counts.get(stem) ?? 0;
    counts.set(stem, n + 1);
    return `${stem}/${n}`;
  };
}

const slug = (name: string): string =>
  name
    .normalize("NFKD")
    .replaceAll(/\p{M}/gu, "")
    .toLowerCase()
    .replaceAll(/[^\p{L}\p{N}]+/gu, "-")
    .replaceAll(/^-|-$/g, "") || "someone";
