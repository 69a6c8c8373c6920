/** Questions inside sentences: each form that is turned, and those that are left alone. */
import { describe, expect, test } from "vitest";
import { indirect } from "../../src/data/question.ts";
import { past, third } from "../../src/data/verbs.ts";

describe("indirect", () => {
  test.each([
    ["Who wrote The Moth Accountant?", "The Moth Accountant", "who wrote The Moth Accountant"],
    ["What is the capital of Norvane?", "Norvane", "the capital of Norvane"],
    ["Which is the oldest mill of Wend?", "Wend", "the oldest mill of Wend"],
    ["Who is the mayor of Wend?", "Wend", "who the mayor of Wend is"],
    ["Who was Ada Lovelace?", "Ada Lovelace", "who Ada Lovelace was"],
    ["What is Ada Lovelace's profession?", "Ada Lovelace", "Ada Lovelace's profession"],
    ["When was Ada Lovelace born?", "Ada Lovelace", "when Ada Lovelace was born"],
    ["When did Ada Lovelace die?", "Ada Lovelace", "when Ada Lovelace died"],
    ["What did the Titanic carry?", "Titanic", "what the Titanic carried"],
    ["Which country did Rome invade?", "Rome", "which country Rome invaded"],
    ["How many moons does Mars have?", "Mars", "how many moons Mars has"],
    ["Where do you find the Eiffel Tower?", "Eiffel Tower", "where you find the Eiffel Tower"],
    ["In which city is the Golden Gate Bridge?", "Golden Gate Bridge", "in which city the Golden Gate Bridge is"],
    ["Which city is Peru's capital?", "Peru", "which city is Peru's capital"],
    ["Which author is known for 'Emma'?", "Emma", "which author is known for 'Emma'"],
    ["Who is the Irish author of 'Ulysses'?", "Ulysses", "who the Irish author of 'Ulysses' is"],
    ["In Norvane, which city is the largest?", "Norvane", "which city is the largest in Norvane"],
    ["The novel 'Lolita' was written by which author?", "Lolita", "by which author the novel 'Lolita' was written"],
    ["Can you tell me who keeps the light at Gull Stairs?", "Gull Stairs", "who keeps the light at Gull Stairs"],
    ["Please name the river of Wend.", "Wend", "the river of Wend"],
    ["Is Ada Lovelace a poet?", "Ada Lovelace", "whether Ada Lovelace is a poet"],
    ["During which war was Milton F. Pavlic an officer?", "Milton F. Pavlic", "during which war Milton F. Pavlic was an officer"],
  ])("%s", (question, subject, wanted) => {
    expect(indirect(question, subject)).toBe(wanted);
  });

  test("a subject that nobody gave is found", () => {
    expect(indirect("When was Gideon Marsh born?")).toBe("when Gideon Marsh was born");
  });

  test.each([
    ["The mother tongue of Danielle Darrieux is", "a text that goes on"],
    ["Peru is a country. What is its capital?", "two sentences"],
    ["Who wrote Emma? Who wrote Ulysses?", "two questions"],
    ["Where was the main landing of the fleet in southern Norvane?", "a place where nobody can say what ends the noun"],
    ["¿Quién escribió Emma?", "another language"],
  ])("%s: left alone (%s)", (question) => {
    expect(indirect(question, "Emma")).toBeUndefined();
  });
});

test.each([
  ["write", "wrote", "writes"],
  ["study", "studied", "studies"],
  ["play", "played", "plays"],
  ["stop", "stopped", "stops"],
  ["enter", "entered", "enters"],
  ["teach", "taught", "teaches"],
  ["have", "had", "has"],
  ["die", "died", "dies"],
])("%s: %s, %s", (verb, before, now) => {
  expect([past(verb), third(verb)]).toEqual([before, now]);
});
