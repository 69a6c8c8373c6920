/** Stems and ROUGE scores worked out by hand. */
import { describe, expect, test } from "vitest";
import { rougeL, rougeLsum, rougeN, tokenize } from "../../src/eval/rouge.ts";
import { stem } from "../../src/eval/stem.ts";

const STEMS: Record<string, string> = {
  essay: "essay",
  geology: "geolog",
  skies: "sky",
  dying: "die",
  news: "news",
  internationally: "intern",
  skillfully: "skill",
  used: "use",
  aging: "age",
  ties: "tie",
  flies: "fli",
  died: "die",
  spied: "spi",
  enjoy: "enjoy",
  happy: "happi",
  always: "alway",
  agreed: "agre",
  relational: "relat",
  conditional: "condit",
  possibly: "possibl",
  sensational: "sensat",
  electrical: "electr",
  hopefulness: "hope",
  adoption: "adopt",
  controlling: "control",
  roll: "roll",
  rate: "rate",
  cease: "ceas",
  university: "univers",
  literature: "literatur",
  caresses: "caress",
  feed: "feed",
  hopping: "hop",
  filing: "file",
  sing: "sing",
};

describe("stem", () => {
  test.each(Object.entries(STEMS))("%s → %s", (word, wanted) => expect(stem(word)).toBe(wanted));
});

describe("tokenize", () => {
  test("accents, points and hyphens separate", () => {
    expect(tokenize("café Déjà vu")).toEqual(["caf", "d", "j", "vu"]);
    expect(tokenize("06-02-1998.")).toEqual(["06", "02", "1998"]);
    expect(tokenize("…!")).toEqual([]);
  });

  test("words of three letters are not stemmed", () => expect(tokenize("was gas")).toEqual(["was", "gas"]));
});

describe("rouge", () => {
  const cases: [gold: string, generated: string, one: number, longest: number][] = [
    ["The author's full name is Hsiao Yun-Hwa.", "Hsiao Yun-Hwa is the author's name.", 8 / 9, 4 / 9],
    ["06-02-1998.", "06-02-1999.", 2 / 3, 2 / 3],
    ["The quick studies", "quick studying quickly", 2 / 3, 2 / 3],
    ["", "x", 0, 0],
    ["x", "", 0, 0],
  ];
  test.each(cases)("%j | %j", (gold, generated, one, longest) => {
    const [a, b] = [tokenize(gold), tokenize(generated)];
    expect(rougeN(a, b, 1).recall).toBe(one);
    expect(rougeL(a, b).recall).toBe(longest);
  });

  test("a word counts as often as in the text that has it less often", () => {
    const { precision, recall, f1 } = rougeN(tokenize("a b"), tokenize("a a a b"), 1);
    expect([precision, recall, f1]).toEqual([0.5, 1, 2 / 3]);
  });

  test("bigrams, and sentences in another order", () => {
    expect(rougeN(tokenize("one two three"), tokenize("two three one"), 2).recall).toBe(0.5);
    const [gold, generated] = [
      ["one two", "three four"],
      ["three four", "one two"],
    ].map((lines) => lines.map((line) => tokenize(line)));
    expect(rougeLsum(gold!, generated!).recall).toBe(1);
    expect(rougeL(gold!.flat(), generated!.flat()).recall).toBe(0.5);
  });
});
