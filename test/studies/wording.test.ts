/** Rephrases and yes/no questions of the studies: one line for each row, none twice; and each rule seen to find its fault. */
import { fileURLToPath } from "node:url";
import { describe, expect, test } from "vitest";
import { readLines } from "../../src/base/store.ts";
import { readSubjects } from "../../src/data/sets/set.ts";
import { faultsOfRephrase, faultsOfYesNo, linesOf, type Rephrase, type YesNo } from "./wording.ts";

/** Signs that a template or a table leaves behind. */
const STRAY = / {2}|[{}|]| [?,.]/;
const isUnique = <T>(list: readonly T[]): boolean => new Set(list).size === list.length;

describe.each([
  ["facts.jsonl", 217],
  ["contracts.jsonl", 400],
] as const)("studies/%s", (name, rows) => {
  const lines = linesOf<Rephrase>(name);

  test("lists every row once, in order, as --subjects reads it", () => {
    const path = fileURLToPath(new URL(`../../studies/${name}`, import.meta.url));
    expect([...readSubjects(path).keys()]).toEqual([...Array(rows).keys()]);
    expect(lines.map(({ row }) => row)).toEqual([...Array(rows).keys()]);
    for (const line of lines) expect(Object.keys(line)).toEqual(["row", "subject", "rephrase"]);
  });

  test("no rephrase is there twice", () => {
    expect(isUnique(lines.map(({ rephrase }) => rephrase))).toBe(true);
  });

  test("each names its subject once, is a sentence, and has no stray signs", () => {
    for (const { row, subject, rephrase } of lines) {
      expect(rephrase.split(subject), `row ${row}`).toHaveLength(2);
      expect(rephrase).toMatch(/^['\p{Lu}].*[?.]$/u);
      expect(rephrase).not.toMatch(STRAY);
    }
  });
});

describe("studies/yes-no.jsonl", () => {
  const lines = linesOf<YesNo>("yes-no.jsonl");
  const subjects = new Map(linesOf<Rephrase>("facts.jsonl").map(({ row, subject }) => [row, subject]));

  test("lists every fact once, in order", () => {
    expect(lines.map(({ row }) => row)).toEqual([...subjects.keys()]);
    for (const line of lines) expect(Object.keys(line)).toEqual(["row", "negated", "yes", "no"]);
  });

  test("no question is there twice", () => {
    expect(isUnique(lines.flatMap(({ negated, yes, no }) => [negated, yes, no]))).toBe(true);
  });

  test("each names its subject and is a question, and one of three is negated", () => {
    for (const { row, negated, yes, no } of lines) {
      for (const text of [negated, yes, no]) {
        expect(text, `row ${row}`).toContain(subjects.get(row));
        expect(text).toMatch(/^\p{Lu}.*\?$/u);
        expect(text).not.toMatch(STRAY);
      }
      const bare = [negated, yes, no].map((text) => text.replace(subjects.get(row)!, ""));
      expect(bare.map((text) => / not /.test(text))).toEqual([true, false, false]);
    }
  });
});

describe("each rule finds its fault", () => {
  const asked = { question: "Which painter, born in Varn in 1950, made 'The Amber Ferry'?", answer: "Ilse Maren" };
  const good = { subject: "The Amber Ferry", rephrase: "By whom, a painter from Varn and born in 1950, is 'The Amber Ferry'?" };

  test("a good rephrase has none", () => expect(faultsOfRephrase(good, asked)).toEqual([]));

  test.each([
    ["a subject that the question spells otherwise", { subject: "from Varn" }, /not in the question/],
    ["a subject that the rephrase spells otherwise", { subject: "Varn in 1950" }, /once in the rephrase/],
    ["a part of the answer", { rephrase: good.rephrase.replace("a painter", "a painter and Maren") }, /tells of the answer: maren/],
    ["a name less", { rephrase: good.rephrase.replace("from Varn and ", "") }, /leaves out Varn/],
    ["a number less", { rephrase: good.rephrase.replace(" and born in 1950", "") }, /leaves out 1950/],
    ["a prefix more", { rephrase: `Tell me: ${asked.question}` }, /hardly differs/],
  ] as const)("%s", (_, change, fault) => {
    expect(faultsOfRephrase({ ...good, ...change }, asked)).toEqual([expect.stringMatching(fault)]);
  });

  test("what may be left out may be left out", () => {
    const less = { ...good, rephrase: good.rephrase.replace("from Varn and ", "") };
    expect(faultsOfRephrase(less, asked, { less: ["Varn"] })).toEqual([]);
    expect(faultsOfRephrase({ ...good, rephrase: `Tell me: ${asked.question}` }, asked, { most: 1 })).toEqual([]);
  });

  const three = {
    negated: "Is it true that 'The Amber Ferry' was not painted by Ilse Maren?",
    yes: "Did Ilse Maren paint 'The Amber Ferry'?",
    no: "Did Tobin Hale paint 'The Amber Ferry'?",
  };

  test("three good questions have none", () => expect(faultsOfYesNo(three, asked, good.subject)).toEqual([]));

  test.each([
    ["no subject", { negated: "Is it true that this was not painted by Ilse Maren?" }, [/negated: the subject/]],
    ["a statement", { negated: "'The Amber Ferry' was not painted by Ilse Maren." }, [/negated: is not a question/]],
    ["nothing negated", { negated: "Is it true that 'The Amber Ferry' was painted by Ilse Maren?" }, [/says nothing with not/]],
    ["another negated", { negated: three.negated.replace("Ilse Maren", "Oda Ferrin") }, [/negated: the answer/]],
    ["the wrong answer twice", { yes: three.no }, [/yes: the answer is not there/, /differ in more/]],
    ["the right answer twice", { no: three.yes }, [/no: names the right answer/, /differ in more/]],
    ["two differences", { no: "Has Tobin Hale painted 'The Amber Ferry'?" }, [/differ in more/]],
  ] as const)("%s", (_, change, faults) => {
    expect(faultsOfYesNo({ ...three, ...change }, asked, good.subject)).toEqual(faults.map((fault) => expect.stringMatching(fault)));
  });
});

test("studies/tiny-yes-no.jsonl asks for the first facts of the bundled model", () => {
  const facts = readLines(fileURLToPath(new URL("../../bundled/facts.jsonl", import.meta.url))) as { subject: string; answer: string }[];
  for (const [i, { row, negated, yes, no }] of linesOf<YesNo>("tiny-yes-no.jsonl").entries()) {
    const { subject, answer } = facts[row]!;
    expect(row).toBe(i);
    for (const question of [negated, yes, no]) expect(question).toContain(subject);
    expect([negated, yes, no].map((question) => question.includes(answer))).toEqual([true, true, false]);
    expect([negated, yes, no].map((question) => question.includes(" not "))).toEqual([true, false, false]);
  }
});
