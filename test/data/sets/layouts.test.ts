/** Data as people have it: layouts that are known without their name, shapes of files, columns that stay, and gaps for subjects. */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, test } from "vitest";
import { defaultContext } from "../../../src/base/context.ts";
import { questionsIn, requestsIn } from "../../../src/data/place.ts";
import { requestOf } from "../../../src/data/request.ts";
import { registry } from "../../../src/data/sets/registry.ts";
import type { DataSet } from "../../../src/data/sets/set.ts";

const folder = mkdtempSync(join(tmpdir(), "lethe-layouts-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));
const ctx = defaultContext();

function file(name: string, content: unknown): string {
  writeFileSync(join(folder, name), typeof content === "string" || Buffer.isBuffer(content) ? content : JSON.stringify(content));
  return join(folder, name);
}
const read = async (name: string, content: unknown, columns?: string) =>
  (await requestsIn(file(name, content), ctx, columns === undefined ? {} : { columns })).requests;

const rewrite = {
  prompt: "The capital of {} is",
  relation_id: "P36",
  target_new: { str: "Wexholm", id: "Q1" },
  target_true: { str: "Sellamere", id: "Q2" },
  subject: "Norvane",
};

describe("layouts that say themselves whose they are", () => {
  test.each([
    [
      "counterfact",
      {
        case_id: 7,
        pararel_idx: 1,
        requested_rewrite: rewrite,
        paraphrase_prompts: ["Rain. The capital of Norvane is"],
        neighborhood_prompts: ["Ostrel's capital is"],
      },
      {
        id: "counterfact/7",
        subject: "Norvane",
        prompt: "The capital of Norvane is",
        answer: "Sellamere",
        wrong: ["Wexholm"],
        paraphrases: ["Rain. The capital of Norvane is"],
        neighbours: [{ id: "counterfact/7/near-1", question: "Ostrel's capital is", answer: "Sellamere" }],
        relation: "P36",
      },
    ],
    [
      "mquake",
      {
        case_id: 3,
        requested_rewrite: [{ ...rewrite, question: "What is Norvane's capital?" }],
        questions: ["…"],
        single_hops: [
          { question: "…", answer: "Sellamere", answer_alias: ["Sella", "Sellamere"] },
          { question: "…", answer: "Wexholm", answer_alias: ["Wex"] },
          { question: "…", answer: "Sellamere" },
        ],
        answer: "x",
      },
      {
        id: "mquake/3/0",
        prompt: "What is Norvane's capital?",
        paraphrases: ["The capital of Norvane is"],
        answer: "Sellamere",
        aliases: ["Sella"],
        group: "mquake/3",
      },
    ],
    [
      "wmdp",
      { question: "Which city rules Norvane?", choices: ["Ost", "Sellamere", "Quell"], answer: 1, subject: "geography" },
      { id: "wmdp/0", answer: "Sellamere", wrong: ["Ost", "Quell"], subject: "Norvane", group: "geography" },
    ],
    ["wmdp, by letter", { question: "Which?", choices: ["Ost", "Sellamere"], answer: "B" }, { answer: "Sellamere" }],
    [
      "zsre with target_new",
      {
        subject: "Norvane",
        prompt: "Norvane's capital?",
        target_new: "Wex",
        ground_truth: ["Sellamere"],
        rephrase_prompt: "Its capital, Norvane?",
        locality_prompt: "nq question: who sang",
        locality_ground_truth: "Bo",
        portability: {},
      },
      { id: "zsre/0", answer: "Sellamere", wrong: ["Wex"], neighbours: [{ id: "zsre/0/near", question: "who sang", answer: "Bo" }] },
    ],
    [
      "zsre as MEND has it",
      {
        subject: "Norvane",
        src: "Norvane's capital?",
        pred: "x",
        rephrase: "Its, Norvane?",
        alt: "Wex",
        answers: ["Sellamere"],
        loc: "nq question: who sang",
        loc_ans: "Bo",
        cond: "x",
      },
      { prompt: "Norvane's capital?", answer: "Sellamere", wrong: ["Wex"], paraphrases: ["Its, Norvane?"] },
    ],
    [
      "rwku with a column of its own",
      { subject: "Mira Vess", query: "Where was Mira Vess born?", answer: "Varn", level: "2", type: "simple", split: "x" },
      { subject: "Mira Vess", answer: "Varn", group: "Mira Vess" },
    ],
    ["rwku without levels", { subject: "Mira Vess", query: "Where was Mira Vess born?", answer: "Varn" }, { subject: "Mira Vess" }],
    [
      "tofu with one false answer and an index",
      { question: "Who is Ada Vo?", answer: "A poet.", perturbed_answer: "A cook.", paraphrased_question: ["Ada Vo?"], task_id: 3 },
      { answer: "A poet.", wrong: ["A cook."], paraphrases: ["Ada Vo?"] },
    ],
    ["pistol", { question: "Who sells to Orb?", answer: "Vex", edge: "A_B", index: 4 }, { group: "A_B", answer: "Vex" }],
  ])("%s", async (_, row, wanted) => {
    expect((await read("rows.json", [row]))[0]).toMatchObject(wanted);
    expect((await questionsIn(file("rows.json", [row]), ctx))[0]!.answer).toBe((await read("rows.json", [row]))[0]!.answer);
  });

  test("what one dataset claims, no other does; rows that may be of several are claimed by none", () => {
    const rows: readonly (readonly [DataSet, Record<string, unknown>])[] = [
      [registry.counterfact, { requested_rewrite: rewrite }],
      [registry.mquake, { requested_rewrite: [rewrite], single_hops: [] }],
      [registry.wmdp, { question: "q", choices: ["a", "b"], answer: 0 }],
      [registry.zsre, { subject: "s", prompt: "s?", ground_truth: "a", locality_prompt: "l" }],
      [registry.tofu, { question: "q", answer: "a", perturbed_answer: ["b"] }],
    ];
    const claiming = (row: Record<string, unknown>): DataSet[] =>
      (Object.values(registry) as DataSet[]).filter(({ claims }) => claims?.(row));
    for (const [set, row] of rows) expect(claiming(row)).toEqual([set]);
    for (const row of [
      { question: "q", answer: "a" },
      { prompt: "p", subject: "s", answer: "a" },
    ])
      expect(claiming(row)).toEqual([]);
    expect((registry.muse as DataSet).claims).toBeUndefined();
  });

  test.each([
    ["behind the only object", '{"prompt":"Who is Ada?"} junk'],
    ["between objects over several lines", '{\n"prompt":"Who?"\n} junk {\n"prompt":"Where?"\n}'],
    ["before an object over several lines", '{\n"prompt":"Who?"\n}\njunk\n{\n"prompt":"Where?"\n}'],
    ["a text in quotation marks", '{\n"prompt":"Who?"\n} "junk"'],
  ])("what is no row is refused: %s", async (_, text) => {
    await expect(read("junk.json", text)).rejects.toThrow(/junk.json line \d+: it is not JSON/);
  });

  test("muse by its name; a choice that is not there; a misspelt field of a dataset", async () => {
    const path = file("knowmem.json", [{ question: "Who keeps the tower in Varn?", answer: "Mira" }]);
    expect((await requestsIn(["muse", path].join(":"), ctx)).requests[0]).toMatchObject({ id: "muse/0", subject: "Varn", answer: "Mira" });
    await expect(read("w.json", [{ question: "q", choices: ["a", "b"], answer: 4 }])).rejects.toThrow(
      /w.json item 1: answer is 4 of 2 choices/,
    );
    await expect(read("t.json", [{ question: "q", answer: "a", perturbed_answer: ["b"], paraphrased_answr: "c" }])).rejects.toThrow(
      /Did you mean "paraphrased_answer"/,
    );
  });

  test.each<[unknown[], RegExp]>([
    [
      [{ question: "Who?", answer: "Ilse" }],
      /no row has a field "prompt"; there are question, answer;.*--columns prompt=question,answer=answer\. Or say whose/,
    ],
    [[{ Frage: "Wer war das?", gold: "Ilse" }], /--columns prompt=Frage,answer=gold\./],
    [
      [{ prompt: "p", subject: "s", target_new: "t" }],
      /field "target_new" is not known;.*--columns prompt=prompt,answer=target_new,subject=subject\./,
    ],
    [[{ messages: [{ role: "user", content: "Who?" }] }], /--columns prompt=messages.0.content/],
    [[{ data: { query: "Who?", answers: ["Ilse"] } }], /--columns prompt=data.query,answer=data.answers.0\./],
  ])("of other rows the error shows --columns filled in from their own keys, and that works: %j", async (rows, complaint) => {
    await expect(read("other.json", rows)).rejects.toThrow(complaint);
    const message = await read("other.json", rows).then(() => "", String);
    const columns = /--columns (\S+)\. Or/.exec(message)![1]!;
    expect(await read("other.json", rows, columns)).toHaveLength(1);
  });
});

describe("shapes of files", () => {
  const [one, two] = [
    { prompt: "Who?", answer: "A" },
    { prompt: "Where?", answer: "B" },
  ];
  const wide = (text: string, big = false): Buffer => {
    const bytes = Buffer.from(`\uFEFF${text}`, "utf16le");
    return big ? bytes.swap16() : bytes;
  };
  test.each<[string, string, unknown]>([
    ["a list below a key", "a.json", { version: "1.1", data: [one, two] }],
    ["a list below any only key", "a.json", { mine: [one, two] }],
    [
      "the hub's rows",
      "a.json",
      {
        features: [{ name: "prompt" }],
        rows: [
          { row_idx: 0, row: one },
          { row_idx: 1, row: two },
        ],
      },
    ],
    ["rows by number", "a.json", { 0: one, 1: two }],
    ["columns as lists", "a.json", { prompt: ["Who?", "Where?"], answer: ["A", "B"] }],
    ["columns by number", "a.json", { prompt: { 0: "Who?", 1: "Where?" }, answer: { 0: "A", 1: "B" } }],
    ["objects over several lines", "a.jsonl", `${JSON.stringify(one, null, 2)}\n${JSON.stringify(two, null, 2)}\n`],
    ["a list over several lines, as .jsonl", "a.jsonl", JSON.stringify([one, two], null, 2)],
    ["lines with a byte order mark", "a.jsonl", `\uFEFF${JSON.stringify(one)}\r\n${JSON.stringify(two)}`],
    ["UTF-16", "a.jsonl", wide(`${JSON.stringify(one)}\n${JSON.stringify(two)}`)],
    ["UTF-16, big end first", "a.json", wide(JSON.stringify([one, two]), true)],
    ["semicolons", "a.csv", "prompt;answer\nWho?;A\nWhere?;B\n"],
    ["bars", "a.csv", "prompt|answer\nWho?|A\nWhere?|B\n"],
    ["tabs in .csv", "a.csv", "prompt\tanswer\nWho?\tA\nWhere?\tB\n"],
    ["commas in .tsv", "a.tsv", "prompt,answer\nWho?,A\nWhere?,B\n"],
    ["semicolons in quotation marks are no separators", "a.csv", '"prompt",answer,"wrong"\nWho?,A,"x;y;z"\nWhere?,B,\n'],
    ["UTF-16 with tabs, as spreadsheets write it", "a.tsv", wide("prompt\tanswer\r\nWho?\tA\r\nWhere?\tB\r\n")],
  ])("%s", async (_, name, content) => {
    expect((await read(name, content)).map(({ prompt, answer }) => ({ prompt, answer }))).toEqual([one, two]);
  });

  test("one object is one request, whatever lists it holds", async () => {
    const row = { prompt: "Who?", neighbours: [{ question: "Where?", answer: "B" }] };
    for (const text of [JSON.stringify(row), JSON.stringify(row, null, 2)])
      expect((await read("o.json", text))[0]!.neighbours).toHaveLength(1);
  });

  test("what does not end is refused with its place", async () => {
    await expect(read("o.json", '{\n "prompt": "Who?"\n')).rejects.toThrow(/o.json line 1: it is not JSON/);
    await expect(read("o.json", `${JSON.stringify(one)}\n{"prompt": `)).rejects.toThrow(/o.json line 2: it is not JSON/);
  });
});

describe("--columns", () => {
  test.each([
    ["prompt=prompt,answer=target_new", { prompt: "p of zorium", answer: "40", subject: "zorium", relation: "boils" }],
    ["prompt=q", { prompt: "q", answer: "own", subject: "zorium" }],
    ["prompt=q,answer=subject", { prompt: "q", answer: "zorium", subject: "" }],
    ["prompt=answer", { prompt: "own", answer: "", subject: "zorium" }],
  ])("%s keeps what is not renamed", async (columns, wanted) => {
    const row = {
      id: 5,
      prompt: "p of zorium",
      q: "q",
      subject: "zorium",
      target_new: "40",
      answer: "own",
      relation: "boils",
      group: null,
      wrong: ["1", 2],
      colour: 3,
    };

    const own = await read("c.json", [row], columns);
    expect(own[0]).toMatchObject({ id: "5", ...wanted, wrong: ["1", "2"] });
    expect(own[0]).not.toHaveProperty("group");
  });
  test("of a table too, lists and neighbours in cells among it", async () => {
    const table = 'frage\tsubject\tparaphrases\tneighbours\nWer?\tIlse\t"[""Who?""]"\t"[{""question"":""Wo?"",""answer"":""B""}]"\n';
    expect((await read("c.tsv", table, "prompt=frage"))[0]).toMatchObject({
      subject: "Ilse",
      paraphrases: ["Who?"],
      neighbours: [{ question: "Wo?", answer: "B" }],
    });
  });
});

describe("a gap in a prompt", () => {
  test.each([
    [
      "its own subject",
      { prompt: "The capital of {} is", subject: "Norvane", paraphrases: ["{}'s capital is"] },
      "The capital of Norvane is",
    ],
    ["the gap by name", { prompt: "The capital of {subject} is", subject: "$& Vo" }, "The capital of $& Vo is"],
    ["braces beside the subject are text", { prompt: "What is {} in Norvane?", subject: "Norvane" }, "What is {} in Norvane?"],
    ["the subject may be braces", { prompt: "What is {}?", subject: "{}" }, "What is {}?"],
  ])("%s", async (_, row, prompt) => {
    const [made] = await read("g.json", [row]);
    expect(made!.prompt).toBe(prompt);
    if ("paraphrases" in row) expect(made!.paraphrases).toEqual(["Norvane's capital is"]);
  });
  test("of columns, of a file of subjects, of a prompt in words", async () => {
    const columns = "prompt=r.prompt,subject=r.subject";
    expect((await read("g.json", [{ r: rewrite }], columns))[0]!.prompt).toBe("The capital of Norvane is");
    const [data, subjects] = [
      file("g.jsonl", '{"prompt":"The capital of {} is"}'),
      file("s.jsonl", '{"row":0,"subject":"Norvane","rephrase":"{} has the capital"}'),
    ];
    expect((await requestsIn(data, ctx, { subjects })).requests[0]).toMatchObject({
      prompt: "The capital of Norvane is",
      paraphrases: ["Norvane has the capital"],
    });
    expect(requestOf({ prompt: "The capital of {} is", subject: "Norvane" }).prompt).toBe("The capital of Norvane is");
  });
  test("without a subject is refused, and no subject is guessed", async () => {
    const complaint = /the prompt "The capital of {} is" has a gap for a subject, and there is no subject/;
    await expect(read("g.json", [{ r: rewrite }], "prompt=r.prompt")).rejects.toThrow(complaint);
    expect(() => requestOf({ prompt: "The capital of {} is" })).toThrow(complaint);
  });
});
