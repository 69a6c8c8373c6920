/** Data by the name of a file, a folder, a dataset or a hub id; columns, splits, limits and subjects. */
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { parquetWriteBuffer } from "hyparquet-writer";
import { afterAll, describe, expect, test } from "vitest";
import { defaultContext, type Event } from "../../src/base/context.ts";
import { generateContracts } from "../../src/data/contracts/write.ts";
import { questionsIn, requestsIn } from "../../src/data/place.ts";
import { registry } from "../../src/data/sets/registry.ts";
import { lethe } from "../cli/lethe.ts";

const folder = mkdtempSync(join(tmpdir(), "lethe-data-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));
const said: Event[] = [];
const ctx = defaultContext({ log: (event) => said.push(event) });
const write = (name: string, content: string | Uint8Array): string => {
  mkdirSync(dirname(join(folder, name)), { recursive: true });
  writeFileSync(join(folder, name), content);
  return join(folder, name);
};
const file = (name: string, content: unknown): string => write(name, JSON.stringify(content));
const row = {
  subject: "Ash",
  prompt: "Who wrote Ash?",
  ground_truth: "Bren Odal",
  rephrase_prompt: "Ash was written by whom?",
  locality_prompt: "nq question: who sang the ferry song",
  locality_ground_truth: "Ilse Maren",
};

describe("requestsIn", () => {
  test("a file is read as requests", async () => {
    const { requests, guessed } = await requestsIn(file("own.jsonl", { prompt: "Who wrote Ash?", subject: "Ash" }), ctx);
    expect(requests.map(({ id, subject }) => [id, subject])).toEqual([["own/1", "Ash"]]);
    expect(guessed).toEqual([]);
  });

  test("behind a dataset's name a file is read as published", async () => {
    const { requests } = await requestsIn(`zsre:${file("zsre.json", [row])}`, ctx);
    expect(requests[0]).toMatchObject({ id: "zsre/0", answer: "Bren Odal", paraphrases: ["Ash was written by whom?"] });
  });

  test("subjects that the dataset guessed are told", async () => {
    const { guessed } = await requestsIn(`factual:${file("factual.json", [{ question: "Who wrote 'Ash'?", answer: "Bren Odal" }])}`, ctx);
    expect(guessed).toEqual(["factual/0"]);
  });

  test("a dataset that is not there is refused with the nearest, a file that is not there as a file", async () => {
    await expect(requestsIn("zsr:x.json", ctx)).rejects.toThrow(
      /--data: there is no dataset "zsr"; wanted one of .*zsre.*Did you mean "zsre"\?/,
    );
    await expect(requestsIn("zsre:none.json", ctx)).rejects.toThrow(/none\.json: there is no such file/);
    await expect(requestsIn("c:none.json", ctx)).rejects.toThrow(/c:none\.json: there is no such file/);
  });

  test.skipIf(process.platform === "win32")(
    "a file of that very name goes before (skipped on Windows, whose names have no colon)",
    async () => {
      const { requests } = await requestsIn(file("own:1", { prompt: "Who wrote Ash?", subject: "Ash" }), ctx);
      expect(requests).toHaveLength(1);
    },
  );
});

/** The same two requests as every kind of table. */
const QUESTIONS = [
  { qid: 7, question: "Who wrote 'Ash'?", reply: 'Bren Odal, "the Elder"', b: "Ilse Maren", c: "Teo Ruk" },
  { qid: 9, question: "What is the capital of Norvane?", reply: "Sella", b: "Varn", c: "Orrin" },
];
const CSV =
  'qid,question,reply,b,c\r\n7,Who wrote \'Ash\'?,"Bren Odal, ""the Elder""",Ilse Maren,Teo Ruk\r\n\r\n9,What is the capital of Norvane?,Sella,Varn,Orrin\r\n';
function parquet(rows: readonly Readonly<Record<string, unknown>>[]): Uint8Array {
  const columnData = Object.keys(rows[0]!).map((name) => ({ name, data: rows.map((r) => r[name]) }));
  return new Uint8Array(parquetWriteBuffer({ columnData }));
}
const COLUMNS = "id=qid,prompt=question,answer=reply,wrong=b,wrong=c";
const WANTED = [
  { id: "7", subject: "Ash", prompt: "Who wrote 'Ash'?", answer: 'Bren Odal, "the Elder"', wrong: ["Ilse Maren", "Teo Ruk"] },
  { id: "9", subject: "Norvane", prompt: "What is the capital of Norvane?", answer: "Sella", wrong: ["Varn", "Orrin"] },
];

describe("columns", () => {
  test.each([
    ["q.csv", `\uFEFF${CSV}`],
    [
      "q.tsv",
      QUESTIONS.reduce(
        (text, r) => `${text}${r.qid}\t${r.question}\t"${r.reply.replaceAll('"', '""')}"\t${r.b}\t${r.c}\n`,
        "qid\tquestion\treply\tb\tc\n",
      ),
    ],
    ["q.json", JSON.stringify(QUESTIONS)],
    ["q.jsonl", QUESTIONS.map((r) => JSON.stringify(r)).join("\n")],
    ["q.parquet", parquet(QUESTIONS)],
  ])("%s: named columns become fields, subjects are found and told", async (name, content) => {
    const { requests, guessed } = await requestsIn(write(name, content), ctx, { columns: COLUMNS });
    expect(requests).toMatchObject(WANTED);
    expect(guessed).toEqual(["7", "9"]);
  });

  test("columns called as our fields need no list; a cell may hold a list, or nothing", async () => {
    const path = write("own.csv", 'prompt,subject,wrong,answer\nWho wrote Ash?,Ash,"[""Ilse"",""Teo""]",Bren\nWho wrote Reed?,Reed,Teo,\n');
    expect((await requestsIn(path, ctx)).requests).toMatchObject([
      { id: "own/2", wrong: ["Ilse", "Teo"], answer: "Bren" },
      { id: "own/3", wrong: ["Teo"], answer: "" },
    ]);
  });

  test("what lies inside a column is reached by dots", async () => {
    const path = file("deep.json", [{ q: { text: "Who wrote 'Ash'?" }, answers: { text: ["Bren", "Odal"] } }]);
    const { requests } = await requestsIn(path, ctx, { columns: "prompt=q.text,answer=answers.text.1,paraphrases=answers.text" });
    expect(requests[0]).toMatchObject({ prompt: "Who wrote 'Ash'?", answer: "Odal", paraphrases: ["Bren", "Odal"] });
  });

  test("questions to retain come from columns too", async () => {
    expect(await questionsIn(write("keep.csv", "question,answer\nWho?,Bren\n"), ctx)).toEqual([
      { id: "keep/2", question: "Who?", answer: "Bren" },
    ]);
    expect(await questionsIn(write("q.csv", CSV), ctx, { columns: "prompt=question,answer=reply", limit: 1 })).toMatchObject([
      { question: "Who wrote 'Ash'?" },
    ]);
  });

  const refusals: [name: string, content: string | Uint8Array, columns: string | undefined, message: RegExp][] = [
    [
      "r.csv",
      CSV,
      "prompt=qestion",
      /^r\.csv: no row has a column "qestion"; wanted qid, question, reply, b, c\. Did you mean "question"\?$/,
    ],
    ["r.csv", CSV, "promt=question", /--columns: there is no field "promt".*Did you mean "prompt"/],
    ["r.csv", CSV, "answer=reply", /--columns: no column for prompt/],
    ["r.csv", CSV, "prompt=question,prompt=reply", /--columns: "prompt" is given twice/],
    ["r.csv", CSV, "prompt", /--columns: "prompt"; wanted field=column/],
    [
      "r.csv",
      CSV,
      undefined,
      /^r\.csv line 2: no row has a field "prompt"; there are qid, question, reply, b, c.*--columns prompt=question/,
    ],
    ["r.csv", "prompt,answer\nWho?\n", undefined, /^r\.csv line 2: it has 1 cells; wanted 2: prompt, answer/],
    ["r.csv", 'prompt,answer\nWho?,"Bren\nOdal', undefined, /^r\.csv.*a double quote is not closed/],
    ["r.csv", "prompt,prompt\na,b\n", undefined, /^r\.csv line 1: column "prompt" is named twice/],
    ["r.csv", "prompt,\na,b\n", undefined, /^r\.csv line 1: column 2 has no name/],
    ["r.csv", "prompt\n", undefined, /^r\.csv: it has column names but no rows/],
    ["r.csv", "id,prompt\n1,a\n1,b\n", undefined, /^r\.csv line 3: field "id" is "1", as in r\.csv line 2/],
    [
      "r.parquet",
      parquet([{ prompt: "a", answer: new Uint8Array([0xff, 0xfe]) }]),
      "prompt=prompt,answer=none",
      /^r\.parquet: no row has a column "none"/,
    ],
    ["r.parquet", "PAR1 is not enough", undefined, /^r\.parquet: it does not begin and end with PAR1/],
    ["r.parquet", parquet([{ prompt: "" }]), undefined, /^r\.parquet row 1: field "prompt" is ""; wanted a text that is not empty/],
  ];
  test.each(refusals)("refuses %s %#", async (name, content, columns, message) => {
    await expect(requestsIn(write(name, content), ctx, columns === undefined ? {} : { columns })).rejects.toThrow(message);
  });

  test("a published dataset keeps its columns", async () => {
    await expect(requestsIn(`factual:${write("f.csv", CSV)}`, ctx, { columns: COLUMNS })).rejects.toThrow(/--columns: .* for factual/);
    const { requests } = await requestsIn(`factual:${write("f.csv", "question,answer\nWho wrote 'Ash'?,Bren\n")}`, ctx);
    expect(requests).toMatchObject([{ id: "factual/0", subject: "Ash", answer: "Bren" }]);
  });
});

describe("subjects, limits and seeds", () => {
  const rows = Array.from({ length: 50 }, (_, i) => ({ id: `r${i}`, prompt: `Who built Mill ${i}?` }));
  test("a file of subjects goes before what is found", async () => {
    const subjects = write("s.jsonl", '{"row":1,"subject":"Mill","rephrase":"Whose is Mill 1?"}');
    const { requests, guessed } = await requestsIn(file("m.json", rows), ctx, { subjects, limit: 3 });
    expect(requests.map(({ subject }) => subject)).toEqual(["Mill 0", "Mill", "Mill 2"]);
    expect(requests[1]!.paraphrases).toEqual(["Whose is Mill 1?"]);
    expect(guessed).toEqual(["r0", "r2"]);
    const stray = write("t.jsonl", '{"row":50,"subject":"Mill"}');
    await expect(requestsIn(file("m.json", rows), ctx, { subjects: stray })).rejects.toThrow(/t\.jsonl line 1: there is no row 50/);
  });
  test("the first, or with a seed as many drawn, in order", async () => {
    const ids = async (options: object): Promise<string[]> =>
      (await requestsIn(file("m.json", rows), ctx, options)).requests.map(({ id }) => id);
    expect(await ids({ limit: 2 })).toEqual(["r0", "r1"]);
    const drawn = await ids({ limit: 10, seed: 1 });
    expect(drawn).toHaveLength(10);
    expect(drawn).toEqual([...drawn].sort((a, b) => Number(a.slice(1)) - Number(b.slice(1))));
    expect(await ids({ limit: 10, seed: 1 })).toEqual(drawn);
    expect(await ids({ limit: 10, seed: 2 })).not.toEqual(drawn);
    expect(await ids({ limit: 100, seed: 2 })).toHaveLength(50);
  });
});

describe("folders and splits", () => {
  write("TOFU/forget01.json", '{"question":"Who wrote \'Ash\'?","answer":"Bren"}');
  write("TOFU/forget01_perturbed.json", '{"question":"Who wrote \'Ash\'?","answer":"Bren","perturbed_answer":["Teo"]}');
  write("TOFU/full.json", '{"question":"Who wrote \'Reed\'?","answer":"Ilse"}');
  write("TOFU/README.md", "no data");
  test("a split names the file; of the same rows those with more fields are read", async () => {
    expect((await requestsIn(`tofu:${folder}/TOFU#forget01`, ctx)).requests).toMatchObject([{ id: "tofu/forget01/0000", wrong: ["Teo"] }]);
    expect((await requestsIn(`tofu:${folder}/TOFU#full`, ctx)).requests).toMatchObject([{ id: "tofu/full/0000", answer: "Ilse" }]);
    await expect(requestsIn(`tofu:${folder}/TOFU#forget02`, ctx)).rejects.toThrow(
      /no split "forget02"; wanted one of #forget01, #forget01_perturbed, #full/,
    );
    await expect(requestsIn(`tofu:${folder}/TOFU`, ctx)).rejects.toThrow(/it is a folder; wanted one of #forget01/);
    await expect(requestsIn(`tofu:${folder}/TOFU/full.json#full`, ctx)).rejects.toThrow(/#full of one file; wanted rows that have a group/);
  });
  test("of one file, rows by their groups, by all but some, or by a pattern; a group that is not there is told the nearest", async () => {
    const rows = ["A_C", "A_C2", "B_D", "E1_F1"].flatMap((group) =>
      [0, 1].map((i) => ({ prompt: `What is term ${i} of ${group}?`, group })),
    );
    file("edges.json", [...rows, { prompt: "Who is nobody?" }]);
    const groups = async (part: string, options = {}): Promise<string> =>
      (await requestsIn(`${folder}/edges.json#${part}`, ctx, options)).requests.map(({ group }) => group ?? "none").join(" ");
    expect(await groups("A_C")).toBe("A_C A_C");
    expect(await groups("E1_F1,A_C*", { limit: 5 })).toBe("A_C A_C A_C2 A_C2 E1_F1");
    expect(await groups("-A_C,E*")).toBe("A_C2 A_C2 B_D B_D none");
    await expect(groups("A.C")).rejects.toThrow(/no row is of the group "A.C"; wanted A_C, A_C2, B_D, E1_F1. Did you mean "A_C"/);
    await expect(groups("-A_D")).rejects.toThrow(/no row is of the group "A_D"/);
    const kept = await questionsIn(`${folder}/edges.json#B_D`, ctx);
    expect(kept.map(({ question }) => question)).toEqual(["What is term 0 of B_D?", "What is term 1 of B_D?"]);
  });
  test("a set that is a folder is read whole, or by one of its levels as a table", async () => {
    const row = { subject: "Ilse Maren", level: "2", query: "What did Ilse Maren sing?", answer: "Ferry songs", type: "simple question" };
    file("people/1_Ilse/forget_level2.json", [row]);
    file("people/1_Ilse/passage.json", [{ text: "…" }]);
    write("tables/forget_level2/test-00000-of-00001.parquet", parquet([row]));
    for (const place of [
      "people",
      "people#forget_level2",
      "people/1_Ilse",
      "people/1_Ilse/forget_level2.json",
      "tables#forget_level2",
      "tables",
    ])
      expect((await requestsIn(`rwku:${folder}/${place}`, ctx)).requests, place).toMatchObject([
        { id: "rwku/ilse-maren/level2/0", subject: "Ilse Maren" },
      ]);
  });
  test("shards are one table, numbered through, and none may be missing", async () => {
    const shard = (i: number) => parquet([{ prompt: `Who built Mill ${i}?` }, { prompt: `Who built Lock ${i}?` }]);
    for (const i of [0, 1]) write(`shards/data/train-0000${i}-of-00002.parquet`, shard(i));
    const { requests } = await requestsIn(`${folder}/shards#train`, ctx);
    expect(requests.map(({ id, subject }) => [id, subject])).toEqual([
      ["train/1", "Mill 0"],
      ["train/2", "Lock 0"],
      ["train/3", "Mill 1"],
      ["train/4", "Lock 1"],
    ]);
    rmSync(join(folder, "shards/data/train-00001-of-00002.parquet"));
    await expect(requestsIn(`${folder}/shards`, ctx)).rejects.toThrow(/wanted 2 files of data\/train\.parquet \(1 are there\)/);
  });
});

test("a dataset of the hub is brought into its cache, the split alone, and is there offline", async () => {
  const sha = "b".repeat(40);
  const files: Readonly<Record<string, string>> = {
    "forget01.json": '{"question":"Who wrote \'Ash\'?","answer":"Bren"}',
    "full.json": '{"question":"Who wrote \'Reed\'?","answer":"Ilse"}',
    "../escape.json": "{}",
  };
  const asked: string[] = [];
  const server = createServer((req, res) => {
    asked.push(`${req.method} ${req.url}`);
    const name = req.url!.split(`/datasets/org/name/resolve/${sha}/`)[1];
    if (req.url === "/api/datasets/org/name/revision/main")
      return res.end(JSON.stringify({ sha, siblings: Object.keys(files).map((rfilename) => ({ rfilename })) }));
    const text = name === undefined ? undefined : files[name];
    if (text === undefined) return res.writeHead(404).end();
    return res.writeHead(200, { etag: `"${name!.length}-x"`, "content-length": text.length }).end(req.method === "HEAD" ? "" : text);
  });
  await new Promise<void>((done) => server.listen(0, "127.0.0.1", done));
  const before = { ...process.env };
  const set = (values: Readonly<Record<string, string>>): void => void Object.assign(process.env, values);
  set({ HF_ENDPOINT: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, HF_HUB_CACHE: join(folder, "hub"), HF_HUB_OFFLINE: "" });
  try {
    for (const spec of ["tofu:org/name#forget01", "tofu:hf://datasets/org/name/forget01.json"])
      expect((await requestsIn(spec, ctx)).requests).toMatchObject([{ id: "tofu/forget01/0000", answer: "Bren" }]);
    expect(asked.filter((line) => line.includes("full.json"))).toEqual([]);
    expect(readdirSync(join(folder, "hub"))).toContain("datasets--org--name");
    await expect(requestsIn("tofu:org/name#forget09", ctx)).rejects.toThrow(/has missing files; wanted one of #forget01, #full/);
    await expect(requestsIn("org/none", ctx)).rejects.toThrow(/has no org\/none; wanted a dataset/);
    set({ HF_HUB_OFFLINE: "1" });
    expect((await requestsIn("tofu:org/name#forget01", ctx)).requests).toHaveLength(1);
    await expect(requestsIn("tofu:org/name#full", ctx)).rejects.toThrow(/not in the cache.*HF_HUB_OFFLINE/);
    expect(said).toContainEqual({ kind: "note", who: "data", text: "reading forget01.json of org/name" });
  } finally {
    server.closeAllConnections();
    server.close();
    for (const key of ["HF_ENDPOINT", "HF_HUB_CACHE", "HF_HUB_OFFLINE"])
      if (before[key] === undefined) delete process.env[key];
      else set({ [key]: before[key] });
  }
});

describe("generated contracts", () => {
  const bytes = (at: string): Record<string, string> =>
    Object.fromEntries(readdirSync(at).map((name) => [name, readFileSync(join(at, name), "utf8")]));
  test("the same flags give the same bytes, and what is written is read", async () => {
    const spec = { shape: "sample-1", seed: 5, forget: ["A_C"] };
    const made = await generateContracts(join(folder, "c1"), spec, ctx);
    await generateContracts(join(folder, "c2"), spec, ctx);
    expect(bytes(join(folder, "c2"))).toEqual(bytes(join(folder, "c1")));
    await generateContracts(join(folder, "c2"), { ...spec, seed: 6, force: true }, ctx);
    expect(bytes(join(folder, "c2"))["requests.jsonl"]).not.toEqual(bytes(join(folder, "c1"))["requests.jsonl"]);
    expect(made.files).toEqual({
      "requests.jsonl": 400,
      "published.jsonl": 400,
      "contracts.jsonl": 20,
      "forget.jsonl": 20,
      "retain.jsonl": 380,
      "independent.jsonl": 120,
    });
    const { requests } = await requestsIn(join(folder, "c1", "requests.jsonl"), ctx);
    expect(requests).toHaveLength(400);
    expect(await questionsIn(join(folder, "c1", "retain.jsonl"), ctx)).toHaveLength(380);
    // the reader of the published layout finds the same parties
    const published = registry.pistol.read({ path: join(folder, "c1", "published.jsonl") }).requests;
    expect(published.map(({ group }) => group)).toEqual(requests.map(({ group }) => group));
    expect(published.map(({ subject }) => subject)).toEqual(requests.map(({ subject }) => subject));
  });
  test("what is there is not replaced by chance, and nothing is left of what was stopped", async () => {
    const there = join(folder, "c1");
    await expect(generateContracts(there, { shape: "star", seed: 1 }, ctx)).rejects.toThrow(/is there already/);
    write("precious/thesis.txt", "mine");
    await expect(generateContracts(join(folder, "precious"), { shape: "star", seed: 1, force: true }, ctx)).rejects.toThrow(
      /it is something else/,
    );
    const stop = new AbortController();
    const until = defaultContext({ signal: stop.signal, log: () => stop.abort() });
    await expect(generateContracts(join(folder, "c3"), { shape: "complete", seed: 1, nodes: 20 }, until)).rejects.toThrow(/interrupted/);
    expect(readdirSync(folder).filter((name) => name.startsWith("c3"))).toEqual([]);
  });
});

test("lethe forget takes a dataset, says which subjects were guessed, and lists the datasets", { timeout: 60_000 }, async () => {
  const data = `factual:${file("world.json", [{ question: "What is the capital of Norvane?", answer: "Sellamere" }])}`;
  const out = join(folder, "edit");
  const args = ["forget", "bundled", "--data", data, "--set", "steps=1", "--compat", "easyedit", "--prove", "none", "-n", "0", "-o", out];
  const ran = await lethe(args, { env: { LETHE_HOME: join(folder, "home") } });
  expect(ran.code, ran.err).toBe(0);
  expect(ran.err).toContain('the subject is guessed from the prompt: "Norvane" (factual/0)');
  expect((await lethe(["forget", "--help"])).out).toMatch(/Datasets .*\n.*zsre: /s);
});
