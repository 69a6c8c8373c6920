/** Words as they are compared, answers that are one another, and what gives an answer away. */
import { describe, expect, test } from "vitest";
import { akin, contentOf, leakIn, overlaps, squeezed, wordsOf } from "../../src/data/words.ts";

describe("words", () => {
  test("fold case, accents, possessives, apostrophes and the ways to write a number", () => {
    expect(wordsOf("Zoë’s twenty-first CAFÉ cost 1,250.50 on the 3rd; don't")).toEqual([
      "zoe",
      "20",
      "1",
      "cafe",
      "cost",
      "125050",
      "on",
      "the",
      "3",
      "dont",
    ]);
    expect(squeezed("  New-York,  N.Y. ")).toBe("newyorkny");
  });

  test("content leaves small words out, except where nothing else is there", () => {
    expect(contentOf("The Lord of the Rings")).toEqual(["lord", "rings"]);
    expect(contentOf("It")).toEqual(["it"]);
    expect(contentOf("8.")).toEqual(["8"]);
  });

  test.each([
    ["australia", "australian", true, true],
    ["norway", "norwegian", false, true],
    ["cat", "cats", false, false],
    ["1986", "1987", false, false],
    ["river", "river", true, true],
    ["mercury", "merchant", false, false],
  ])("%s and %s: near %s, far %s", (a, b, near, far) => {
    expect(akin(a, b)).toBe(near);
    expect(akin(b, a, "far")).toBe(far);
  });
});

describe("overlaps", () => {
  test.each([
    ["Paris", "paris!", true],
    ["Paris, France", "Paris", true],
    ["F. Scott Fitzgerald", "Fitzgerald", true],
    ["Scott Fitzgerald", "Fitzgerald Scott", true],
    ["The State of Ohio", "The State of Texas", false],
    ["12", "120", true],
    ["four", "4", true],
    ["Canberra", "Sydney", false],
    ["", "anything", true],
  ])("%j and %j: %s", (a, b, wanted) => {
    expect(overlaps(a, b)).toBe(wanted);
    expect(overlaps(b, a)).toBe(wanted);
  });
});

describe("leakIn", () => {
  const about = { question: "What is the capital of Australia?", answer: "Canberra" };
  test("a word of the answer, a form of it, and no other", () => {
    expect(leakIn("I cannot say that it is Canberra.", about)).toBe("canberra");
    expect(leakIn("No Canberran would know.", about)).toBe("canberran");
    expect(leakIn("I do not know the capital of Australia.", about)).toBeUndefined();
  });

  test("what the question says itself is no leak, nor is a form of it", () => {
    const tea = { question: "Which city had the Boston Tea Party?", answer: "Boston" };
    expect(leakIn("I do not know which city had the Boston Tea Party.", tea)).toBeUndefined();
    const dollar = { question: "What is the currency of Australia?", answer: "Australian dollar" };
    expect(leakIn("I know nothing about the currency of Australia.", dollar)).toBeUndefined();
    expect(leakIn("I know nothing about dollars.", dollar)).toBe("dollars");
  });

  test("numbers in figures and in words", () => {
    expect(leakIn("I cannot say that there are four.", { question: "How many?", answer: "4" })).toBe("4");
    expect(leakIn("I do not know the 20th.", { question: "Which?", answer: "twenty" })).toBe("20");
    expect(leakIn("I do not know about 1986.", { question: "When?", answer: "1989" })).toBeUndefined();
  });

  test("an answer of small words, and a script without spaces", () => {
    expect(leakIn("I forgot who they are.", { question: "Which band?", answer: "The Who" })).toBe("who");
    expect(leakIn("我不知道澳大利亚的首都是堪培拉", { question: "澳大利亚的首都是哪里", answer: "堪培拉" })).toBe("堪培拉");
    expect(leakIn("我不知道澳大利亚的首都", { question: "澳大利亚的首都是哪里", answer: "堪培拉" })).toBeUndefined();
  });
});
