/** RWKU: a folder a person, three levels that must go, two whose answers must stay. */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, test } from "vitest";
import { rwku } from "../../src/data/sets/rwku.ts";

const folder = mkdtempSync(join(tmpdir(), "lethe-rwku-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const row = (subject: string, level: string, query: string, answer: string, neighbor?: string): object => ({
  subject,
  level,
  query,
  answer,
  type: "simple question",
  ...(neighbor && { neighbor }),
});
function person(name: string, files: Readonly<Record<string, readonly object[]>>): string {
  const at = join(folder, "Target", name);
  mkdirSync(at, { recursive: true });
  for (const [file, rows] of Object.entries(files)) writeFileSync(join(at, `${file}.json`), JSON.stringify(rows, null, 1));
  return at;
}
const ilse = person("2_Ilse_Maren", {
  forget_level1: [row("Ilse Maren", "1", "Ilse Ada Maren was born in ___.", "Sella")],
  forget_level2: [
    row("Ilse Maren", "2", "What did Ilse Maren sing?", "Ferry songs"),
    row("Ilse Maren", "2", "Where did Maren live?", "Varn"),
  ],
  forget_level3: [row("Ilse Maren", "3", "Who sang 'The Amber Ferry'?", "Ilse Maren")],
  neighbor_level2: [row("Ilse Maren", "2", "How long is The Amber Ferry?", "Nine minutes", "The Amber Ferry")],
  passage: [{ subject: "Ilse Maren", text: "…" }],
});
person("10_Zoë_Ruk", { forget_level2: [row("Zoë Ruk", "2", "What did Zoë Ruk build?", "A mill")] });

describe("rwku", () => {
  test("people in the order of their numbers, levels in order, with the neighbours of the same person", () => {
    const { requests, guessed } = rwku.read({ path: folder });
    expect(requests.map(({ id, subject }) => [id, subject])).toEqual([
      ["rwku/ilse-maren/level1/0", "Ilse Ada Maren"],
      ["rwku/ilse-maren/level2/0", "Ilse Maren"],
      ["rwku/ilse-maren/level2/1", "Maren"],
      ["rwku/ilse-maren/level3/0", "The Amber Ferry"],
      ["rwku/zoe-ruk/level2/0", "Zoë Ruk"],
    ]);
    expect(guessed).toEqual(["rwku/ilse-maren/level1/0", "rwku/ilse-maren/level2/1", "rwku/ilse-maren/level3/0"]);
    expect(requests[0]!.neighbours).toEqual([
      { id: "rwku/ilse-maren/near2/0", question: "How long is The Amber Ferry?", answer: "Nine minutes" },
    ]);
    expect(requests[4]!.neighbours).toEqual([]);
    expect(requests.map(({ group }) => group)).toEqual([...Array(4).fill("Ilse Maren"), "Zoë Ruk"]);
  });

  test("one person, one level, one file", () => {
    const ids = (options: Parameters<typeof rwku.read>[0]): string[] => rwku.read(options).requests.map(({ id }) => id);
    expect(ids({ path: ilse })).toHaveLength(4);
    expect(ids({ path: folder, split: "forget_level2" })).toEqual([
      "rwku/ilse-maren/level2/0",
      "rwku/ilse-maren/level2/1",
      "rwku/zoe-ruk/level2/0",
    ]);
    expect(ids({ path: join(ilse, "forget_level3.json") })).toEqual(["rwku/ilse-maren/level3/0"]);
  });

  test("neighbours are asked about themselves", () => {
    const { requests, guessed } = rwku.read({ path: folder, split: "neighbor_level2" });
    expect(requests).toMatchObject([{ id: "rwku/ilse-maren/near2/0", subject: "The Amber Ferry", neighbours: [] }]);
    expect(guessed).toEqual([]);
  });

  test("refuses what it does not know, with person, file and item", () => {
    expect(() => rwku.read({ path: folder, split: "forget_level4" })).toThrow(/no split "forget_level4".*Did you mean "forget_level1"/);
    expect(() => rwku.read({ path: join(folder, "..", "none") })).toThrow(/none: there is no such file/);
    const bad = person("3_Bad", { forget_level2: [row("Bad", "2", "q", "a"), { subject: "Bad", query: 7 }] });
    expect(() => rwku.read({ path: bad })).toThrow(/^3_Bad[\\/]forget_level2\.json item 2: field "query" is 7/);
    rmSync(bad, { recursive: true });
    mkdirSync(join(folder, "empty"));
    expect(() => rwku.read({ path: join(folder, "empty") })).toThrow(/holds no forget_level1\.json/);
    expect(() => rwku.read({ path: ilse, subjects: "x" })).toThrow(/names its subjects/);
  });
});
