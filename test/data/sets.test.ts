/** Datasets: subjects that are found, subjects that are given, and what is refused. */
import { mkdtempSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { registry } from "../../src/data/sets/registry.ts";
import { findSubject } from "../../src/data/subject.ts";

const folder = mkdtempSync(join(tmpdir(), "lethe-sets-"));

function file(name: string, content: unknown): string {
  writeFileSync(join(folder, name), typeof content === "string" ? content : JSON.stringify(content));
  return join(folder, name);
}

describe("findSubject", () => {
  const cases: [question: string, subject: string | undefined][] = [
    ["What is the capital of Norvane?", "Norvane"],
    ["Who wrote the play 'The Amber Ferry'?", "The Amber Ferry"],
    ["Who wrote 'Lowen's Lamp' and 'Ash'?", "Lowen's Lamp"],
    ["In which town did Ilse Maren's mother live?", "Ilse Maren"],
    ["The Battle of Orrin was fought in which year?", "Battle of Orrin"],
    ["Who was the leader of Dol during World War I?", "World War I"],
    ["What is the name of the deepest lake in Varn?", "deepest lake in Varn"],
    ["Who was the first person to cross the Sel, and when?", "first person to cross the Sel"],
    ["When were the first kite races held?", "first kite races"],
    ["Where is the U.S. embassy?", "U.S."],
    ["why is it so?", undefined],
  ];
  test.each(cases)("%s → %s", (question, subject) => {
    expect(findSubject(question)).toBe(subject);
    if (subject !== undefined) expect(question).toContain(subject);
  });
});

describe("factual", () => {
  const path = file("factual.json", [
    { question: "What is the capital of Norvane?", answer: "Sella" },
    { question: "Who wrote 'Ash'?", answer: "Bren Odal" },
  ]);

  test("guesses subjects and says which it guessed", () => {
    const { requests, guessed } = registry.factual.read({ path });
    expect(requests.map(({ id, subject }) => [id, subject])).toEqual([
      ["factual/0", "Norvane"],
      ["factual/1", "Ash"],
    ]);
    expect(guessed).toEqual(["factual/0", "factual/1"]);
  });

  test("takes given subjects and rephrases", () => {
    const subjects = file("subjects.jsonl", '{"row":1,"subject":"\'Ash\'","rephrase":"Whose book is \'Ash\'?"}');
    const { requests, guessed } = registry.factual.read({ path, subjects });
    expect(requests[1]).toMatchObject({ subject: "'Ash'", paraphrases: ["Whose book is 'Ash'?"], answer: "Bren Odal" });
    expect(guessed).toEqual(["factual/0"]);
  });

  test("refuses subjects that the question does not hold, rows that are not there, and other layouts", () => {
    const read = (line: string) => () => registry.factual.read({ path, subjects: file("bad.jsonl", line) });
    expect(read('{"row":0,"subject":"norvane"}')).toThrow(/bad\.jsonl line 1: subject "norvane" is not in the question of row 0/);
    expect(read('{"row":9,"subject":"x"}')).toThrow(/there is no row 9; wanted a row from 0 to 1/);
    expect(read('{"row":1.5,"subject":"x"}')).toThrow(/field "row" is 1\.5/);
    expect(() => registry.factual.read({ path: file("other.json", [{ prompt: "p" }]) })).toThrow(/other\.json item 1/);
  });
});

describe("zsre", () => {
  const row = {
    subject: "Ash",
    prompt: "Who wrote Ash?",
    ground_truth: "Bren Odal",
    rephrase_prompt: "Ash was written by whom?",
    locality_prompt: "nq question: who sang the ferry song",
    locality_ground_truth: "Ilse Maren",
  };
  test("reads rephrase and locality pair; the name of the set is no part of the question", () => {
    const { requests, guessed } = registry.zsre.read({ path: file("zsre.json", [row]) });
    expect(requests[0]).toMatchObject({
      id: "zsre/0",
      subject: "Ash",
      paraphrases: ["Ash was written by whom?"],
      neighbours: [{ id: "zsre/0/near", question: "who sang the ferry song", answer: "Ilse Maren" }],
    });
    expect(guessed).toEqual([]);
  });
  test("refuses a subject that the prompt does not hold, a field that is missing, and subjects of one's own", () => {
    const read = (rows: unknown) => () => registry.zsre.read({ path: file("zsre-bad.json", rows) });
    expect(read([{ ...row, subject: "Elm" }])).toThrow(/subject "Elm" is not in the prompt/);
    expect(read([{ ...row, prompt: undefined }])).toThrow(/prompt/);
    expect(() => registry.zsre.read({ path: file("zsre.json", [row]), subjects: "x" })).toThrow(/names its subjects/);
  });
});

describe("pistol", () => {
  const path = file("pistol.json", [
    { question: "What was the effective date of the contract between Wexo SAS and Jorin SA?", answer: "06-02-1998.", edge: "A_B" },
    { question: "What was the address of Jorin SA in the contract with Wexo SAS?", answer: "9 Elm Way.", edge: "A_B" },
    { question: "What was the name of the seller in the contract with Jorin SA as of 06-02-1998?", answer: "Wexo SAS.", edge: "A_B" },
  ]);
  test("the party named first is the subject; questions of a kind have one relation, questions of a contract one group", () => {
    const { requests, guessed } = registry.pistol.read({ path });
    expect(requests.map((r) => r.subject)).toEqual(["Wexo SAS", "Jorin SA", "Jorin SA"]);
    expect(requests.map((r) => r.group)).toEqual(["A_B", "A_B", "A_B"]);
    expect(requests[2]!.relation).toBe("What was the name of the seller in the contract with … as of …?");
    expect(guessed).toHaveLength(3);
  });
});
