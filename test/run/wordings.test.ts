/** Requests joined from questions that ask the same, divided by wordings, and one of each subject. */
import { describe, expect, test } from "vitest";
import { type KnownOfRequest, requestsOf } from "../../src/data/request.ts";
import { both, firstOfEach, paired, wordingsOf } from "../../src/run/wordings.ts";

const requests = (...known: readonly KnownOfRequest[]) => requestsOf(known);

describe("questions that ask the same", () => {
  const first = { id: "a", subject: "Norvane", prompt: "When did Norvane declare independence?", answer: "1911", group: "Norvane" };
  const later = { id: "b", subject: "Norvane", prompt: "When did Norvane declare its independence?", answer: "1911.", group: "Norvane" };

  test("become one request with a paraphrase", () => {
    const [one, ...rest] = paired(requests(first, later));
    expect(rest).toEqual([]);
    expect(one).toMatchObject({ id: "a", prompt: first.prompt, answer: "1911", paraphrases: [later.prompt] });
  });

  test("stay apart with another answer, another group, or other words", () => {
    const idsOf = (other: KnownOfRequest) => paired(requests(first, other)).map(({ id }) => id);
    expect(idsOf({ ...later, answer: "1912" })).toEqual(["a", "b"]);
    expect(idsOf({ ...later, group: "Veyra" })).toEqual(["a", "b"]);
    expect(idsOf({ ...later, prompt: "In which year was the capital of Norvane built?" })).toEqual(["a", "b"]);
    expect(paired(requests({ ...first, answer: "" }, { ...later, answer: "" }))).toHaveLength(2);
  });
});

test("each wording is a request, under the ids that evaluations give them", () => {
  const near = { id: "n", question: "Who?", answer: "Ada" };
  const [request] = requests({ id: "a", prompt: "One?", subject: "s", answer: "x", paraphrases: ["Two?", "Three?"], neighbours: [near] });
  const found = wordingsOf(request!);
  expect(found.map(({ id, prompt, answer }) => [id, prompt, answer])).toEqual([
    ["a", "One?", "x"],
    ["a/rephrased-1", "Two?", "x"],
    ["a/rephrased-2", "Three?", "x"],
  ]);
  expect(found.map(({ neighbours, paraphrases }) => [neighbours.length, paraphrases.length])).toEqual([
    [1, 0],
    [0, 0],
    [0, 0],
  ]);
});

test("one request of each subject and of each group; one without both is refused", () => {
  const ids = (...known: readonly KnownOfRequest[]) => firstOfEach(requests(...known)).map(({ id }) => id);
  const prompt = "Who?";
  expect(
    ids({ id: "a", prompt, subject: "Norvane" }, { id: "b", prompt, subject: "NORVANE" }, { id: "c", prompt, subject: "Veyra" }),
  ).toEqual(["a", "c"]);
  expect(ids({ id: "a", prompt, subject: "he", group: "Ada" }, { id: "b", prompt, subject: "she", group: "Ada" })).toEqual(["a"]);
  expect(ids({ id: "a", prompt, subject: "Ada" }, { id: "b", prompt, subject: "she", group: "Ada" })).toEqual(["a", "b"]);
  expect(() => ids({ id: "a", prompt })).toThrow(/a has no subject and no group.*--subjects/s);
});

test("two lists follow each other; an id in both is refused", () => {
  const [a, b] = [requests({ id: "a", prompt: "A?" }), requests({ id: "b", prompt: "B?" })];
  expect(both(a, b).map(({ id }) => id)).toEqual(["a", "b"]);
  expect(() => both(a, a)).toThrow(/both have a/);
});
