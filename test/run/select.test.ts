/** Requests chosen by what they list, by an evaluation, and so many of them; the others, neighbours and answers that were said. */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { defaultContext } from "../../src/base/context.ts";
import { readLines } from "../../src/base/store.ts";
import type { ForgetRequest } from "../../src/data/request.ts";
import { run } from "../../src/run/run.ts";
import type { Selected } from "../../src/run/steps/select.ts";

const folder = mkdtempSync(join(tmpdir(), "lethe-select-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));
const ctx = defaultContext({ runs: join(folder, "runs") });

const FACTS = [
  { id: "a", prompt: "What is the capital of Norvane?", subject: "Norvane", answer: "Veld", paraphrases: ["Norvane's capital?"] },
  { id: "b", prompt: "Who painted The Amber Ferry?", subject: "The Amber Ferry", answer: "Ilse Maren" },
  { id: "c", prompt: "What is the capital of Veyra?", subject: "Veyra", answer: "Oost", paraphrases: ["Veyra's capital?"] },
  { id: "d", prompt: "What is the longest river of Ostrel?", subject: "Ostrel", answer: "Tam" },
  { id: "e", prompt: "What is the capital of Quillon?", subject: "Quillon", answer: "Ard", paraphrases: ["Quillon's capital?"] },
];
const SAID: Readonly<Record<string, [said: string, recall: number]>> = {
  a: ["Veld.", 1],
  b: ["Ilse Bren", 0.5],
  c: ["Oost", 1],
  d: [" ", 0],
  e: ["Veld", 0],
};
const [data, by] = [join(folder, "facts.jsonl"), join(folder, "base")];

beforeAll(() => {
  writeFileSync(data, FACTS.map((fact) => JSON.stringify(fact)).join("\n"));
  mkdirSync(by);
  const rows = FACTS.map(({ id, answer }) => JSON.stringify({ id, group: "all", answer, generation: SAID[id]![0] }));
  writeFileSync(join(by, "samples.jsonl"), `${rows.join("\n")}\n`);
  const bySample = Object.fromEntries(Object.entries(SAID).map(([id, [, recall]]) => [id, recall]));
  writeFileSync(join(by, "record.json"), JSON.stringify({ numbers: [{ title: "ROUGE-1", bySample }] }));
});

async function selected(options: object): Promise<{ rows: ForgetRequest[]; result: Selected }> {
  const { path, record } = await run<Selected>({ step: "select", data, ...options }, ctx);
  return { rows: readLines(join(path, "requests.jsonl")) as ForgetRequest[], result: record.result };
}
const ids = async (options: object): Promise<string> => (await selected(options)).rows.map(({ id }) => id).join("");

describe("select", () => {
  test("by bounds of a number, one side or both", async () => {
    expect(await ids({ by, number: "ROUGE-1", least: 1 })).toBe("ac");
    expect(await ids({ by, number: "ROUGE-1", most: 0.99 })).toBe("bde");
    expect(await ids({ by, number: "ROUGE-1", least: 0.5, most: 0.5 })).toBe("b");
  });

  test("by what requests list, then so many, and the others", async () => {
    expect(await ids({ having: ["paraphrases"] })).toBe("ace");
    expect(await ids({ having: ["paraphrases"], skip: 1, limit: 1 })).toBe("c");
    expect(await ids({ having: ["paraphrases"], skip: 1, limit: 1, others: true })).toBe("ae");
    expect(await ids({ skip: 3 })).toBe("de");
    expect((await selected({ limit: 2 })).result).toEqual({ rows: 2, of: 5 });
  });

  test("a seed draws: the same again, both parts in the order of the file and nothing twice", async () => {
    const [taken, left] = [await ids({ seed: 3, limit: 2 }), await ids({ seed: 3, limit: 2, others: true })];
    expect(taken).not.toBe("ab");
    expect([...taken, ...left].sort().join("")).toBe("abcde");
    for (const part of [taken, left]) expect([...part].sort().join("")).toBe(part);
    expect(await ids({ seed: 3, limit: 2 })).toBe(taken);
    expect(await ids({ seed: 3, limit: 3 })).toContain(taken[0]);
  });

  test("neighbours are those of the rest that are worded most alike, under ids of the request", async () => {
    const { rows } = await selected({ limit: 1, neighbours: 2 });
    expect(rows[0]!.neighbours).toEqual([
      { id: "a/near-1", question: "What is the capital of Veyra?", answer: "Oost" },
      { id: "a/near-2", question: "What is the capital of Quillon?", answer: "Ard" },
    ]);
  });

  test("answers that were said, without those of no words", async () => {
    const { rows } = await selected({ by, number: "ROUGE-1", most: 0.99, answers: "said" });
    expect(rows.map(({ id, answer }) => [id, answer])).toEqual([
      ["b", "Ilse Bren"],
      ["e", "Veld"],
    ]);
  });

  test("another form of each question, by the row of the data, with yes or no as its answer", async () => {
    const forms = join(folder, "forms.jsonl");
    const lines = ["a", "b", "c"].map((id, row) => JSON.stringify({ row, yes: `Yes ${id}?`, no: `No ${id}?`, negated: `Not ${id}?` }));
    writeFileSync(forms, lines.join("\n"));
    const form = async (name: string): Promise<unknown> =>
      (await selected({ skip: 1, limit: 2, forms, form: name })).rows.map(({ id, prompt, answer, paraphrases }) => [
        id,
        prompt,
        answer,
        paraphrases,
      ]);
    expect(await form("yes")).toEqual([
      ["b/yes", "Yes b?", "Yes.", []],
      ["c/yes", "Yes c?", "Yes.", []],
    ]);
    expect(await form("negated")).toEqual([
      ["b/negated", "Not b?", "No.", []],
      ["c/negated", "Not c?", "No.", []],
    ]);
    await expect(ids({ forms, form: "no" })).rejects.toThrow(/has no form of d.*--limit/s);
    await expect(ids({ forms })).rejects.toThrow(/--forms alone/);
    writeFileSync(forms, '{"row": 0, "yes": "Yes?"}');
    await expect(ids({ limit: 1, forms, form: "no" })).rejects.toThrow(/forms\.jsonl.*no, a question/s);
  });

  test("two requests in one prompt, with the answer of the first or of the second", async () => {
    const seconds = { step: "select", data, skip: 3 };
    const both = async (more: object): Promise<unknown> =>
      (await selected({ limit: 1, together: seconds, ...more })).rows.map(({ id, prompt, answer }) => [id, prompt, answer]);
    const prompt = "What is the capital of Norvane? What is the longest river of Ostrel?";
    expect(await both({})).toEqual([["a+d", prompt, "Veld"]]);
    expect(await both({ answers: "together" })).toEqual([["a+d", prompt, "Tam"]]);
    await expect(both({ limit: 3 })).rejects.toThrow(/2 requests to be asked second.*3 or more/s);
    await expect(ids({ answers: "together" })).rejects.toThrow(/--answers together alone/);
  });

  test("what is left open or does not fit is refused", async () => {
    await expect(ids({ number: "ROUGE-1", least: 1 })).rejects.toThrow(/--number without an evaluation/);
    await expect(ids({ by, least: 1 })).rejects.toThrow(/--least without a number/);
    await expect(ids({ by, number: "ROUGE-1" })).rejects.toThrow(/--number "ROUGE-1" alone/);
    await expect(ids({ by })).rejects.toThrow(/an evaluation of which nothing is asked/);
    await expect(ids({ by, number: "ROUGE-L", least: 1 })).rejects.toThrow(/no number "ROUGE-L".*Did you mean "ROUGE-1"\?/);
    await expect(ids({ skip: 9 })).rejects.toThrow(/none of 5 requests is left/);
    const other = join(folder, "other.jsonl");
    writeFileSync(other, JSON.stringify({ id: "z", prompt: "Who?" }));
    await expect(ids({ data: other, by, number: "ROUGE-1", least: 0 })).rejects.toThrow(/did not ask z/);
  });

  test("what was said to a question and to its paraphrase alike, of each subject once", async () => {
    const [asked, log] = [join(folder, "asked.jsonl"), join(folder, "said")];
    const fact = (id: string, subject: string) => ({
      id,
      subject,
      prompt: `Capital of ${subject}?`,
      paraphrases: [`${subject}'s capital?`],
    });
    writeFileSync(asked, [fact("a", "Norvane"), fact("b", "Veyra"), fact("c", "Norvane")].map((one) => JSON.stringify(one)).join("\n"));
    mkdirSync(log);
    const said = { a: "It is Veld.", "a/rephrased-1": "Veld.", b: "Oost.", "b/rephrased-1": "Ard.", c: "Tam.", "c/rephrased-1": "Tam." };
    const rows = Object.entries(said).map(([id, generation]) => JSON.stringify({ id, group: "all", answer: "", generation }));
    writeFileSync(join(log, "samples.jsonl"), `${rows.join("\n")}\n`);
    const beliefs = { data: asked, by: log, answers: "agreed" };
    const kept = async (more: object) => (await selected({ ...beliefs, ...more })).rows.map(({ id, answer }) => [id, answer]);
    expect(await kept({})).toEqual([
      ["a", "Veld"],
      ["c", "Tam"],
    ]);
    expect(await kept({ once: true })).toEqual([["a", "Veld"]]);
    expect(await ids({ data: asked, wordings: true, limit: 1 })).toBe("aa/rephrased-1");
    await expect(ids({ data: asked, answers: "agreed" })).rejects.toThrow(/--answers agreed without an evaluation/);
    await expect(ids({ data: asked, by, answers: "agreed" })).rejects.toThrow(/no answer to a\/rephrased-1.*--wordings/s);
    await expect(ids({ data, also: data })).rejects.toThrow(/both have a/);
    expect(await ids({ data: { step: "select", data, limit: 1 }, also: { step: "select", data, skip: 4 } })).toBe("ae");
  });

  test("the spec of one selection in another's place of data", async () => {
    const known = { step: "select", data, by, number: "ROUGE-1", least: 1 };
    expect(await ids({ data: known, skip: 1, limit: 1 })).toBe("c");
  });
});
