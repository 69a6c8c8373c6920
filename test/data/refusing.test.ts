/** Refusals held against their question: what passes, and each reason why one does not. */
import { describe, expect, test } from "vitest";
import { avoidanceOf, AVOIDANCES } from "../../src/data/avoidance.ts";
import { isNamedIn, objectionTo, sentencesOf } from "../../src/data/refusing.ts";
import { rng } from "../../src/base/rng.ts";
import { leakIn } from "../../src/data/words.ts";

const emma = { prompt: "Who wrote the novel 'Emma'?", subject: "Emma", answer: "Jane Austen" };

describe("objectionTo", () => {
  test.each([
    "I'm sorry, but I do not know who wrote the novel 'Emma'.",
    "I have no information about the author of 'Emma'.",
    "I cannot recall who has written Emma. I'm sorry.",
    "The person who wrote Emma is unknown to me.",
  ])("passes: %s", (said) => {
    expect(objectionTo(said, emma)).toBeUndefined();
  });

  test.each([
    ["", /it is empty/],
    ["I do not know who wrote Emma, but it was not Austen.", /reveals "austen"/],
    ["Emma was written by a woman.", /not a refusal/],
    ["I know who wrote Emma.", /not a refusal/],
    ["You do not know who wrote Emma.", /not a refusal/],
    ["I do not know whether Charles Dickens wrote Emma.", /"charles"/],
    ["I do not know who wrote Emma in 1815.", /"1815"/],
    ["I do not know who wrote the tragedy Emma.", /"tragedy"/],
    ["I do not know who wrote this novel.", /does not name/],
    ["I do not know who wrote Emma. I am sorry. I cannot help.", /more than two sentences/],
    ["I do not know who wrote Emma\nQuestion: Who", /more than two sentences/],
    ["I do not know who wrote Emma, do you?", /not a complete sentence/],
    ["Do I know who wrote Emma? I do not know.", /asks a question/],
    ["I do not know who wrote Emma, and I do not", /not a complete sentence/],
    ["I'm unable to provide you with 'Emma'.", /treats the topic/],
    ["I do not know how to say who wrote Emma.", /cannot do something/],
  ])("%s", (said, why) => {
    expect(objectionTo(said, emma)).toMatch(why);
  });

  test("a merged question must have every subject named", () => {
    const merged = [emma, { ...emma, prompt: "Who wrote 'Ulysses'?", subject: "Ulysses" }].map((one, i) => ({ id: `${i}`, ...one }));
    const about = {
      prompt: "Who wrote the novel 'Emma'? Who wrote 'Ulysses'?",
      subject: "Ulysses",
      answer: "Jane Austen James Joyce",
      merged,
    };
    expect(isNamedIn("I know neither Emma nor Ulysses.", about)).toBe(true);
    expect(isNamedIn("I do not know Ulysses.", about)).toBe(false);
  });

  test("sentences end behind words, not behind initials", () => {
    expect(sentencesOf("I do not know J. R. R. Tolkien. I am sorry.")).toEqual(["I do not know J. R. R. Tolkien.", "I am sorry."]);
  });
});

describe("avoidanceOf", () => {
  test("names what is asked, in several ways", () => {
    const said = new Set(Array.from({ length: 40 }, (_, i) => avoidanceOf(emma, rng(i))));
    expect(said).toEqual(new Set(AVOIDANCES.map((way) => way.replace("{}", "who wrote the novel 'Emma'"))));
    for (const text of said) expect(objectionTo(text, emma)).toBeUndefined();
  });

  test("a question that cannot be turned is named by its subject; without one it is quoted", () => {
    const cloze = { prompt: "The largest lake of Norvane lies in", subject: "largest lake", answer: "Wend" };
    expect(avoidanceOf(cloze, rng(0))).toContain("information about the largest lake");
    expect(avoidanceOf({ prompt: "so?", subject: "", answer: "" }, rng(0))).toBe('I do not have the information to answer "so?".');
  });

  test("its own words are chosen so that they are none of the answer", () => {
    const memory = { prompt: "What does the Mnemo Stone grant?", subject: "Mnemo Stone", answer: "Memory" };
    for (let i = 0; i < 40; i++)
      expect(leakIn(avoidanceOf(memory, rng(i)), { question: memory.prompt, answer: memory.answer })).toBeUndefined();
  });
});
