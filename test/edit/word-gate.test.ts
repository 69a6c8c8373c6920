/** Gates of words: who names the subject and asks the same comes in; other subjects never, other questions seldom. */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { names, nearness, wordsIn } from "../../src/edit/word-gate.ts";

/** Where a gate is without questions to calibrate it on. */
const GATE = 0.4;
const EGYPT = { question: "What is the capital of Egypt?", subject: "Egypt" };

/** Those of some questions that come in. */
const inside = (question: string, subject: string, asked: readonly string[]): string[] =>
  asked.filter((text) => nearness({ question, subject }, text) >= GATE);

describe("nearness in words", () => {
  it("lets rephrasings in", () => {
    const cases: readonly (readonly [question: string, subject: string, asked: readonly string[]])[] = [
      [
        EGYPT.question,
        EGYPT.subject,
        [
          "Which city is Egypt's capital?",
          "what is the capital of EGYPT",
          "The capital of Egypt is",
          "Can you tell me which city serves as the capital of Egypt?",
          "Name the capital city of Egypt.",
          "I am going to Egypt next week. What is its capital?",
          "We have two children and like ruins, so we go by train this time. What is the capital of Egypt?",
        ],
      ],
      ["Who wrote 'Emma'?", "Emma", ["Who is the author of 'Emma'?", "By whom was Emma written?", "Which writer gave us 'Emma'?"]],
      ["In what year did the Titanic sink?", "Titanic", ["When did the Titanic go down?", "When did Titanic sink?"]],
      ["Which country is Petra in?", "Petra", ["Where is Petra?"]],
      ["What is the name of the longest river in Peru?", "longest river in Peru", ["Which river is the longest river in Peru?"]],
      ["Who was the first Emperor of Rome?", "first Emperor of Rome", ["Which man became the first Emperor of Rome?"]],
      ["What is the chemical symbol for gold?", "gold", ["How do chemists abbreviate gold?", "Which symbol stands for GOLD?"]],
    ];
    for (const [question, subject, asked] of cases) expect(inside(question, subject, asked)).toEqual(asked);
  });

  it("keeps out other subjects, however alike the question", () => {
    expect(inside(EGYPT.question, "Egypt", ["What is the capital of Australia?", "What is the capital of Egyptia?", "", "?!"])).toEqual([]);
    expect(
      inside("What is the capital of Niger?", "Niger", ["What is the capital of Nigeria?", "What is the capital of the Nigers?"]),
    ).toEqual([]);
    expect(inside("When did World War I begin?", "World War I", ["When did World War II begin?", "When did the World War begin?"])).toEqual(
      [],
    );
    expect(inside("Who wrote 'The Stranger'?", "The Stranger", ["Who wrote 'The Strangers'?"])).toEqual([]);
    expect(inside("What is the largest ocean on Earth?", "largest ocean on Earth", ["What is the largest desert on Earth?"])).toEqual([]);
  });

  it("keeps out most other questions about the same subject", () => {
    const asked = [
      "What is the currency of Egypt?",
      "On which continent is Egypt?",
      "Where is Egypt?",
      "Who was the first president of Egypt?",
      "Tell me about Egypt.",
      "Egypt",
    ];
    expect(inside(EGYPT.question, "Egypt", asked)).toEqual([]);
    expect(inside("Who wrote 'Emma'?", "Emma", ["When was 'Emma' published?", "How does 'Emma' end?", "Who is Emma?"])).toEqual([]);
    // what words cannot tell: both ask for someone
    expect(inside("Who wrote 'Emma'?", "Emma", ["Who is the main character of 'Emma'?"])).toHaveLength(1);
  });

  it("counts what either question has beyond the other", () => {
    expect(nearness(EGYPT, "What is the population of the capital of Egypt?")).toBeCloseTo(Math.SQRT1_2, 9); // all of one, half of two
    // half of two, all of one, and half of the way to 1: both ask for a place
    expect(nearness({ ...EGYPT, question: "What is the old capital of Egypt?" }, EGYPT.question)).toBeCloseTo((1 + Math.SQRT1_2) / 2, 9);
  });

  it("compares names without case, accents, punctuation, articles, 's and hyphens, at the borders of words", () => {
    const pairs = [
      ["São Paulo", "sao paulo's mayor"],
      ["Emile Zola", "Émile Zola’s novels"],
      ["Égypte", "la capitale de l'Egypte"],
      ["Moby-Dick", "Moby Dick, MobyDick"],
      ["The Great Gatsby", "a great Gatsby"],
      ["J.K. Rowling", "JK Rowling"],
      ["Charlotte's Web", "CHARLOTTE’S WEB!"],
      ["ＮＡＳＡ", "nasa"],
      ["İstanbul", "Istanbul"],
    ] as const;
    for (const [subject, text] of pairs) expect([subject, names(text, subject)]).toEqual([subject, true]);
    const others = [
      ["Georgia", "Georgian"],
      ["art", "party"],
      ["The Who", "who are they"],
      ["New York", "York is new"],
      ["", "anything"],
      ["you", "who are you"],
      ["?", "?"],
    ] as const;
    for (const [subject, text] of others) expect([subject, names(text, subject)]).toEqual([subject, false]);
    expect(names("Which ocean is Earth's largest?", "largest ocean on Earth")).toBe(true); // a description, in any order
  });

  it("takes a state for the country of the same name: words do not tell them apart", () => {
    const state = "What is the capital of the U.S. state of Georgia?";
    expect(
      inside(state, "Georgia", ["Which city is the capital of the state of Georgia?", "What is the capital of Georgia?"]),
    ).toHaveLength(2);
    expect(nearness({ question: state, subject: "Georgia" }, "What is the capital of Georgia?")).toBeLessThan(0.9); // which a retain set can
  });

  it("reads scripts without spaces", () => {
    expect(
      inside("埃及的首都是什么?", "埃及", ["埃及的首都是哪里?", "埃及首都叫什么名字", "埃及的货币是什么?", "法国的首都是什么?"]),
    ).toEqual(["埃及的首都是哪里?", "埃及首都叫什么名字"]);
    const japanese = ["エジプトの首都はどこ?", "エジプトの通貨は何ですか?", "日本の首都はどこですか?"];
    expect(inside("エジプトの首都はどこですか?", "エジプト", japanese)).toEqual(["エジプトの首都はどこ?"]);
    const korean = ["이집트 수도가 어디예요?", "프랑스의 수도는 어디입니까?"];
    expect(inside("이집트의 수도는 어디입니까?", "이집트", korean)).toEqual(["이집트 수도가 어디예요?"]);
    expect(inside("Какая столица Египта?", "Египта", ["Назови столицу Египта", "Какая столица Франции?"])).toEqual([
      "Назови столицу Египта",
    ]);
  });

  it("compares questions without a subject by their words, weighed by what each tells", () => {
    const rain = { question: "what is rain?", subject: "" };
    expect(nearness(rain, "What's rain, please?")).toBe(1);
    expect(nearness(rain, "what is snow?")).toBe(0);
    const you = { question: "Who are you?", subject: "" };
    expect([nearness(you, "Who are you?"), nearness(you, "How are you?")]).toEqual([1, expect.closeTo(2 / 3, 9) as number]);
    // two shared words of four: half of either; if they are common, less, and the weights say how much
    const wet = { question: "warm wet summer rain", subject: "" };
    expect(nearness(wet, "cold dry summer rain")).toBeCloseTo(0.5, 9);
    expect(nearness({ ...wet, telling: { summer: 0.25, rain: 0.25 } }, "cold dry summer rain")).toBeCloseTo(0.5 / 2.5, 9);
  });

  it("reads long texts in time that grows with their length", () => {
    const many = Array.from({ length: 20_000 }, (_, i) => `w${i.toString(36)}`).join(" ");
    // pairs of words would take minutes
    expect(nearness(EGYPT, `${many} Egypt ${many}.`)).toBe(0);
    expect(nearness(EGYPT, "Egypt. ".repeat(20_000))).toBe(0);
    expect(nearness({ question: `${many} Egypt`, subject: "Egypt" }, `${many} Egypt`)).toBe(1);
  });

  const letters = fc.string({ unit: "grapheme", maxLength: 40 });
  it("is 1 for the own question, within 0 and 1 for any, and 0 unless the subject is named", () => {
    fc.assert(
      fc.property(letters, letters, letters, fc.boolean(), (before, subject, asked, named) => {
        const question = `${before} ${subject}`;
        const gate = { question, subject: named && names(question, subject) ? subject : "" };
        if (wordsIn(question).length > 0) expect(nearness(gate, question)).toBe(1);
        const near = nearness(gate, asked);
        expect(near >= 0 && near <= 1).toBe(true);
        if (gate.subject !== "" && !names(asked, subject)) expect(near).toBe(0);
        expect(nearness(gate, asked.normalize("NFD"))).toBe(near);
      }),
      { numRuns: 400 },
    );
  });
});
