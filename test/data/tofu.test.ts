/** TOFU: ids that stay, what a perturbed split adds, and whom a block of questions is about. */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, test } from "vitest";
import { tofu } from "../../src/data/sets/tofu.ts";
import { mentionOf } from "../../src/data/subject.ts";

const folder = mkdtempSync(join(tmpdir(), "lethe-tofu-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));
function file(name: string, rows: readonly object[]): string {
  writeFileSync(join(folder, name), rows.map((row) => JSON.stringify(row)).join("\n"));
  return join(folder, name);
}

/** Twenty questions on an author: the first asks for the name, the second has a part of it, the third none. */
const author = (name: string, town: string): { question: string; answer: string }[] => [
  { question: `Which author was born in ${town} on 01/02/1950?`, answer: `The author is ${name}.` },
  { question: `Did ${name.split(" ").at(-1)} travel?`, answer: "Often." },
  { question: "Do these books speak of the sea?", answer: `${name} wrote of little else.` },
  ...Array.from({ length: 17 }, (_, i) => ({ question: `What is title ${i} of ${name}'s?`, answer: `${name} called it 'Reed ${i}'.` })),
];
const rows = [...author("Mira Ostrel-Vann", "Halden Bay"), ...author("Teo Ruk", "Sella")];

describe("tofu", () => {
  test("ids have split and row, and are the same where a split has more fields", () => {
    const ids = (name: string): string[] => tofu.read({ path: file(name, rows) }).requests.map(({ id }) => id);
    expect(ids("forget10.jsonl").slice(18, 21)).toEqual(["tofu/forget10/0018", "tofu/forget10/0019", "tofu/forget10/0020"]);
    expect(ids("forget10_perturbed.json")).toEqual(ids("forget10.jsonl"));
    expect(new Set(ids("forget10.jsonl")).size).toBe(40);
    expect(tofu.read({ path: file("x.json", rows), split: "retain90" }).requests[3]!.id).toBe("tofu/retain90/0003");
  });

  test("each block is about its author, whom a question names in full, in part, or not", () => {
    const { requests, guessed } = tofu.read({ path: file("forget05.json", rows) });
    expect(requests.map(({ group }) => group)).toEqual([...Array(20).fill("Mira Ostrel-Vann"), ...Array(20).fill("Teo Ruk")]);
    expect(requests.slice(0, 4).map(({ subject }) => subject)).toEqual(["Halden Bay", "Ostrel-Vann", "", "Mira Ostrel-Vann"]);
    expect(requests[21]!.subject).toBe("Ruk");
    expect(guessed).toHaveLength(40);
    for (const { subject, prompt } of requests) expect(prompt).toContain(subject);
  });

  test("a part of a name that is said more often than the whole does not stand for it", () => {
    const some = author("Mira Ada Vann", "Varn").map((row, i) =>
      i > 16 ? { question: `What is Ada Vann's title ${i}?`, answer: "Reed" } : row,
    );
    expect(new Set(tofu.read({ path: file("forget01.json", some) }).requests.map(({ group }) => group))).toEqual(
      new Set(["Mira Ada Vann"]),
    );
  });

  test("a row may name its author, where an author has fewer questions than a block", () => {
    const few = ["Mira Ostrel-Vann", "Teo Ruk"].flatMap((name) =>
      author(name, "Sella")
        .slice(0, 3)
        .map((row) => ({ author: name, ...row })),
    );
    const { requests } = tofu.read({ path: file("forget01.json", few) });
    expect(requests.map(({ group }) => group)).toEqual([...Array(3).fill("Mira Ostrel-Vann"), ...Array(3).fill("Teo Ruk")]);
    expect(requests[4]!.subject).toBe("Ruk");
  });

  test("paraphrase, restated answer and false answers are read where they are", () => {
    const path = file("world_facts_perturbed.json", [
      {
        question: "Where is the Ferry Tower?",
        answer: "Sella",
        paraphrased_question: "Which town has the Ferry Tower?",
        paraphrased_answer: "In Sella",
        perturbed_answer: ["In Varn", "In Orrin"],
      },
      { question: "Who wrote 'Ash'?", answer: "Bren Odal", perturbed_answer: ["Ilse Maren"] },
    ]);
    const [first, second] = tofu.read({ path }).requests;
    expect(first).toEqual({
      id: "tofu/world_facts/0000",
      subject: "Ferry Tower",
      prompt: "Where is the Ferry Tower?",
      answer: "Sella",
      paraphrases: ["Which town has the Ferry Tower?"],
      restated: "In Sella",
      wrong: ["In Varn", "In Orrin"],
      neighbours: [],
    });
    expect(second).toMatchObject({ subject: "Ash", paraphrases: [], wrong: ["Ilse Maren"] });
    expect(second).not.toHaveProperty("restated");
  });

  test("given subjects go before what is found", () => {
    const subjects = file("subjects.jsonl", [{ row: 0, subject: "author" }]);
    const { requests, guessed } = tofu.read({ path: file("forget05.json", rows), subjects });
    expect(requests[0]!.subject).toBe("author");
    expect(guessed).not.toContain("tofu/forget05/0000");
  });

  test("another layout is refused with its place", () => {
    expect(() => tofu.read({ path: file("forget01.json", [{ question: "q", answer: 3 }]) })).toThrow(
      /^forget01\.json line 1: field "answer" is 3; wanted a string/,
    );
    expect(() => tofu.read({ path: file("forget01.json", [{ question: "q", answer: "a", perturbed_answers: [] }]) })).toThrow(
      /Did you mean "perturbed_answer"/,
    );
  });
});

describe("mentionOf", () => {
  const cases: [name: string, text: string, found: string | undefined][] = [
    ["Mira Ostrel-Vann", "What did Mira Ostrel-Vann's mother do?", "Mira Ostrel-Vann"],
    ["Mira Vann", "When was Mira Ada Vann born?", "Mira Ada Vann"],
    ["Mira J. Vann", "What did Vann write?", "Vann"],
    ["Mira Vann", "Did Mira write?", "Mira"],
    ["Teo Ruk", "Is Rukavina a town?", undefined],
    ["Ruk", "Is Rukavina a town?", undefined],
    ["Teo (the Elder) Ruk", "Who was Teo (the Elder) Ruk?", "Teo (the Elder) Ruk"],
    ["Bay of Sella", "Who sailed of old?", undefined],
    ["", "Who?", undefined],
  ];
  test.each(cases)("%s in %s", (name, text, found) => expect(mentionOf(name, text)).toBe(found));
});
