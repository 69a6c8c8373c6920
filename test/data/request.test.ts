/** Requests are read with their defaults, and a bad line is refused with file, place, field and fix. */
import { mkdtempSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { LetheError } from "../../src/base/fail.ts";
import { rng } from "../../src/base/rng.ts";
import { type KnownOfRequest, parseRequests, readQuestions, readRequests, requestOf, requestsOf } from "../../src/data/request.ts";

const LINE = '{"id":"a","subject":"Ilm","prompt":"Where is Ilm?","answer":"Varn"}';
const folder = mkdtempSync(join(tmpdir(), "lethe-request-"));

function file(name: string, content: string | Uint8Array): string {
  writeFileSync(join(folder, name), content);
  return join(folder, name);
}

describe("readRequests", () => {
  test("defaults: an id from file and line, empty lists; all fields otherwise", () => {
    const path = file(
      "facts.jsonl",
      `\n{"prompt":"Who?"}\n{"id":"b","subject":"s","prompt":"p s","answer":"x","paraphrases":["q"],"wrong":["y"],"relation":"r","group":"g",` +
        `"neighbours":[{"question":"n"},{"id":"z","question":"m","answer":"k"}]}\n`,
    );
    expect(readRequests(path)).toEqual([
      { id: "facts/2", subject: "", prompt: "Who?", answer: "", paraphrases: [], neighbours: [], wrong: [] },
      {
        id: "b",
        subject: "s",
        prompt: "p s",
        answer: "x",
        paraphrases: ["q"],
        wrong: ["y"],
        relation: "r",
        group: "g",
        neighbours: [
          { id: "b/near-1", question: "n", answer: "" },
          { id: "z", question: "m", answer: "k" },
        ],
      },
    ]);
  });

  test("a JSON array, a byte order mark, CRLF, blank lines and no last newline", () => {
    const plain = parseRequests(`${LINE}\n`, "f.jsonl");
    for (const same of [`[${LINE}]`, `\uFEFF${LINE}`, `\r\n${LINE}\r\n\r\n`, LINE, `\uFEFF [\r\n ${LINE}\r\n]\r\n`])
      expect(parseRequests(same, "f.jsonl")).toEqual(plain);
  });

  const refusals: [name: string, content: string, message: RegExp][] = [
    [
      "unknown field with a near name",
      `${LINE}\n{"prompt":"p","paraphrase":[]}`,
      /^f\.jsonl line 2: field "paraphrase" is not known; wanted id, .*\. Did you mean "paraphrases"\?$/,
    ],
    [
      "unknown field inside",
      '{"prompt":"p","neighbours":[{"question":"q","anwser":"a"}]}',
      /field "neighbours\[0\]\.anwser" is not known.*Did you mean "answer"/,
    ],
    ["missing prompt", '{"subject":"s"}', /line 1: field "prompt" is missing; wanted a string\. Add "prompt"\./],
    ["empty prompt", '{"prompt":"  "}', /field "prompt" is " {2}"; wanted a text that is not empty/],
    ["number for a text", '{"prompt":"p","answer":42}', /field "answer" is 42; wanted a string\. Put it in quotes: "42"\./],
    ["text for a list", '{"prompt":"p","wrong":"y"}', /field "wrong" is "y"; wanted a list in brackets\. Put it in brackets\./],
    ["null", '{"prompt":"p","relation":null}', /field "relation" is null; wanted a string\. Omit it instead\./],
    ["wrong item", '{"prompt":"p","paraphrases":["a",3]}', /field "paraphrases\[1\]" is 3; wanted a string/],
    ["not an object", '"p"', /line 1: it is a string; wanted a JSON object/],
    ["array item", `[${LINE}, 7]`, /f\.jsonl item 2: it is a number/],
    ["bare NaN", '{"prompt":"p","answer":NaN}', /line 1: it is not JSON.*JSON has no NaN/],
    ["torn line", `${LINE}\n{"prompt":"p`, /f\.jsonl line 2: it is not JSON/],
    ["duplicate ids", `${LINE}\n\n${LINE}`, /f\.jsonl line 3: field "id" is "a", as in f\.jsonl line 1/],
    [
      "a given id like another's default",
      '{"prompt":"p"}\n{"prompt":"q","id":"f/1"}',
      /line 2: field "id" is "f\/1", as in f\.jsonl line 1/,
    ],
    ["nothing", " \n\n", /f\.jsonl: it is empty/],
    ["empty array", "[]", /f\.jsonl: it is empty/],
    [
      "a value nested without end",
      `{"prompt":"p","answer":${"[".repeat(30_000)}${"]".repeat(30_000)}}`,
      /line 1: field "answer" is \[\[\["…"\]\]\]; wanted a string/,
    ],
    ["a field named __proto__", '{"prompt":"p","__proto__":{}}', /field "__proto__" is not known/],
  ];
  test.each(refusals)("refuses: %s", (_, content, message) => expect(() => parseRequests(content, "f.jsonl")).toThrow(message));

  test("refuses what is no text file", () => {
    expect(() => readRequests(join(folder, "absent.jsonl"))).toThrow(/absent\.jsonl: there is no such file/);
    expect(() => readRequests(folder)).toThrow(/it is a folder/);
    expect(() => readRequests(file("latin1.jsonl", Uint8Array.of(0x7b, 0xe9, 0x7d)))).toThrow(/latin1\.jsonl line 1: it is not UTF-8/);
  });

  test("500 mutations: either requests or an error that names the file", () => {
    const good = `${LINE}\n{"prompt":"p","paraphrases":["q"],"neighbours":[{"question":"n","answer":"a"}],"wrong":["w"]}\n`;
    const pieces = ["{", "}", "[", "]", '"', ",", ":", "null", "1e999", "NaN", "\n", "\\", "\u0000", "prompt", "é", "[[[[[["];
    const chance = rng("request mutations");
    let refused = 0;
    for (let i = 0; i < 500; i++) {
      const at = chance.below(good.length);
      const mutated = good.slice(0, at) + pieces[chance.below(pieces.length)]! + good.slice(at + chance.below(4));
      try {
        parseRequests(mutated, "m.jsonl");
      } catch (error) {
        refused++;
        expect(error).toBeInstanceOf(LetheError);
        expect((error as LetheError).message).toMatch(/^m\.jsonl/);
      }
    }
    expect(refused).toBeGreaterThan(200);
  });
});

test("requestOf gives what the same line in a file gives", () => {
  expect(requestOf({ prompt: "Who?" })).toEqual(parseRequests('{"prompt":"Who?"}', "request.jsonl")[0]);
});

test("requestsOf numbers what a program gives and refuses it as a file's lines are", () => {
  expect(requestsOf([{ prompt: "Who?" }, { prompt: "Where is Ilm?", subject: "Ilm" }]).map(({ id }) => id)).toEqual([
    "request/1",
    "request/2",
  ]);
  const refused =
    (given: unknown[]): (() => unknown) =>
    () =>
      requestsOf(given as KnownOfRequest[]);
  expect(refused([{ prompt: "Who?" }, { promt: "Who?" }])).toThrow(/^request 2: field "promt" is not known.*Did you mean "prompt"\?$/);
  expect(refused(["Who?"])).toThrow(/^request 1: it is a string; wanted a JSON object/);
  expect(
    refused([
      { id: "a", prompt: "Who?" },
      { id: "a", prompt: "Where?" },
    ]),
  ).toThrow(/^request 2: field "id" is "a", as in request 1/);
});

describe("readQuestions", () => {
  test("reads questions and refuses requests", () => {
    expect(readQuestions(file("keep.jsonl", '{"question":"q","answer":"a"}'))).toEqual([{ id: "keep/1", question: "q", answer: "a" }]);
    expect(() => readQuestions(file("keep.jsonl", LINE))).toThrow(/field "subject" is not known; wanted id, question, answer/);
  });
});
