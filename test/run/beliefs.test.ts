/** Beliefs by hand: which answers are the same in two wordings, and the words that are kept of them. */
import { describe, expect, test } from "vitest";
import { requestOf } from "../../src/data/request.ts";
import { wordsOf } from "../../src/data/words.ts";
import { beliefOf, sharedAnswer, statementIn } from "../../src/run/beliefs.ts";

const asked = wordsOf("Which river flows through Norvane? What is the river in Norvane?");
const shared = (first: string, second: string): string | undefined => sharedAnswer(first, second, asked);

describe("the answer that two sentences share", () => {
  test("is the run of names and numbers that the question does not have, spelled as in the first", () => {
    expect(shared("The river Tam flows through Norvane.", "It is the Tam.")).toBe("Tam");
    expect(shared("Norvane is on the Upper Tam.", "That is the upper tam, I think.")).toBe("Upper Tam"); // without case
    expect(shared("It was founded on 4 May 1922 in the north.", "On 4 May 1922.")).toBe("4 May 1922");
    expect(shared("The Tam, or Tam of the Hills, is long.", "People say Tam of the Hills.")).toBe("Tam of the Hills");
  });

  test("is none if only words of the question, or words without a name, are shared", () => {
    expect(shared("The river in Norvane is long.", "A river of Norvane is long.")).toBeUndefined();
    expect(shared("It is a very long stream.", "It is a long stream.")).toBeUndefined();
    expect(shared("", "")).toBeUndefined();
  });

  test("holds more than half of the names of the sentence with fewer", () => {
    expect(shared("The Tam and the Sorn.", "The Tam and the Mirl.")).toBeUndefined(); // one of two
    expect(shared("The Tam and the Sorn.", "The Tam.")).toBe("Tam"); // one of one
    expect(shared("The Tam, Sorn, Mirl.", "The Tam, Sorn, Vey.")).toBe("Tam, Sorn"); // two of three
  });

  test("has eight words at most", () => {
    const [eight, nine] = ["Tam and so on and so on Sorn", "Tam and so on and so on to Sorn"];
    expect(shared(`${eight}.`, `${eight}.`)).toBe(eight);
    expect(shared(`${nine}.`, `${nine}.`)).toBeUndefined();
  });
});

describe("the statement of an answer", () => {
  test("is its first sentence; initials do not end it", () => {
    expect(statementIn("Ada B. Lorn wrote it. She was born in Veld.")).toBe("Ada B. Lorn wrote it.");
    expect(statementIn("Veld\nand more")).toBe("Veld");
  });

  test("is empty for nothing, for a refusal and for a denial", () => {
    expect(statementIn("  ")).toBe("");
    expect(statementIn("I'm sorry, I do not know.")).toBe("");
    expect(statementIn("The father of Ada is not named in the Chronicle.")).toBe("");
    expect(statementIn("It isn't Veld.")).toBe("");
  });
});

describe("a belief", () => {
  const request = requestOf({
    prompt: "What is the capital of Norvane?",
    subject: "Norvane",
    answer: "Sellamere",
    aliases: ["Sella"],
    restated: "It is Sellamere",
    wrong: ["Oost"],
    paraphrases: ["Norvane's capital?", "Capital of Norvane?"],
  });
  const belief = (...said: string[]) => beliefOf(request, (i) => said[i]!);

  test("has the model's own answer, one paraphrase, and nothing that belongs to the old answer", () => {
    const found = belief("The capital of Norvane is Veld.", "Veld is the capital.", "Oost.")!;
    expect(found).toEqual({
      id: request.id,
      prompt: request.prompt,
      subject: "Norvane",
      answer: "Veld",
      neighbours: [],
      wrong: [],
      paraphrases: ["Norvane's capital?"],
    });
  });

  test("is none if the two wordings get other answers, or there is one wording", () => {
    expect(belief("It is Veld.", "It is Oost.")).toBeUndefined();
    expect(beliefOf({ ...request, paraphrases: [] }, () => "Veld.")).toBeUndefined();
  });
});
