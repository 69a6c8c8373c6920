/** What kind of answer a question asks for: pairs that can have the same answer, and pairs that cannot. */
import { expect, test } from "vitest";
import { asksAlike } from "../../src/data/kind.ts";

test.each([
  ["Who wrote 'Emma'?", "Which writer is 'Emma' by?", true],
  ["Who wrote 'Emma'?", "In which play is Emma?", false],
  ["When was Wend founded?", "In what year did people found Wend?", true],
  ["When was Wend founded?", "Where was Wend founded?", false],
  ["Where is Mount Sorrel?", "In which country is Mount Sorrel?", true],
  ["What is the capital of Peru?", "The capital of which country is Peru?", false],
  ["Which planet is red?", "What is the name of the planet that is red?", true],
  ["Which planet is red?", "Which star is red?", false],
  ["How many towers has Wend?", "What is the number of towers in Wend?", true],
  ["How many towers has Wend?", "Which towers has Wend?", false],
  ["How tall is Mount Sorrel?", "How old is Mount Sorrel?", false],
  ["'Emma', which they liked, was written by whom?", "Who wrote 'Emma'?", true],
  ["The year of the flood is what?", "When was the flood?", true],
  ["Why is Wend empty?", "Why did people leave Wend?", true],
])("%s | %s: %s", (a, b, wanted) => {
  expect(asksAlike(a, b)).toBe(wanted);
  expect(asksAlike(b, a)).toBe(wanted);
});
