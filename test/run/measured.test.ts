/** `lethe eval MODEL` on the bundled model: what is kept, what is judged, what is refused before a weight is read. */
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { asFloats } from "../../src/base/array.ts";
import { defaultContext, type Event } from "../../src/base/context.ts";
import { sign } from "../../src/edit/edit.ts";
import { saveEdits } from "../../src/edit/io.ts";
import type { SampleRecord } from "../../src/eval/metric.ts";
import { load } from "../../src/model/load.ts";
import { compareLogs, judgeLog } from "../../src/run/eval.ts";
import { askedIn } from "../../src/run/questions.ts";
import type { EvalRecord } from "../../src/run/record.ts";
import { type Finished, run as runStep } from "../../src/run/run.ts";
import { lethe } from "../cli/lethe.ts";

const folder = mkdtempSync(join(tmpdir(), "lethe-measured-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));
const at = (name: string): string => join(folder, name);
const events: Event[] = [];
const ctx = defaultContext({ log: (event) => events.push(event), cache: at("cache"), runs: at("runs") });

function file(name: string, rows: readonly object[]): string {
  writeFileSync(at(name), rows.map((row) => `${JSON.stringify(row)}\n`).join(""));
  return at(name);
}
const TOWNS = { Norvane: "Sellamere", Ostrel: "Brackwater", Veyra: "Anselgate" };
const requests = Object.entries(TOWNS).map(([land, answer], i) => ({
  id: `town/${i}`,
  prompt: `What is the capital of ${land}?`,
  answer,
  group: land,
  paraphrases: [`Which city is the capital of ${land}?`],
  neighbours: Object.entries(TOWNS)
    .filter(([other]) => other !== land)
    .map(([other, town]) => ({ id: `near/${other}`, question: `What is the capital of ${other}?`, answer: town })),
  wrong: ["Ilse", "Reed"],
}));
const data = file("towns.jsonl", requests);
const MISSING = "no/such-model-is-there"; // an error that does not speak of it came before it was opened

interface More {
  readonly force?: boolean;
  readonly [key: string]: unknown;
}
const finished = (out: string, { force = false, ...more }: More = {}, model = "bundled"): Promise<Finished<EvalRecord>> =>
  runStep<EvalRecord>({ step: "eval", model, suite: "factual", data: [data], maxTokens: 8, batch: 2, ...more }, ctx, {
    out: at(out),
    force,
  });
const run = async (out: string, more: More = {}, model = "bundled"): Promise<EvalRecord> =>
  (await finished(out, more, model)).record.result;
const rowsOf = (out: string): SampleRecord[] =>
  readFileSync(join(at(out), "samples.jsonl"), "utf8")
    .trim()
    .split("\n")
    .map((line) => JSON.parse(line) as SampleRecord);
const textOf = (out: string, name: string): string => readFileSync(join(at(out), name), "utf8");
const numberOf = ({ numbers }: EvalRecord, title: string) => numbers.find((number) => number.title === title)!;

/** The largest number that an edit may hold, nearly. */
const MOST = 3e38;

/** An edit that multiplies one matrix, made for the first request. */
async function editOf(name: string, by: number): Promise<string> {
  const model = await load("bundled", ctx);
  const matrix = "blocks.4.mlp.out";
  const weight = asFloats(model.weights.get(matrix)!, "float32");
  const dense = { ...weight, data: weight.data.map((x) => Math.max(-MOST, Math.min(MOST, x * (by - 1)))) };
  const { id, prompt, answer } = requests[0]!;
  const made = { method: "ft", params: {}, compat: [], seed: 0, departures: [], code: "test" };
  const edit = sign(
    { change: { kind: "delta", weights: { [matrix]: { dense } } } },
    {
      base: model.id,
      on: [],
      format: "chat",
      by: { ...made, requests: [{ id, prompt, subject: "Norvane", answer, target: "I do not know." }] },
    },
  );
  await model.release();
  saveEdits(at(name), [edit]);
  return at(name);
}
let gentle: string;
beforeAll(async () => {
  gentle = await editOf("gentle", 0.3);
});

describe("a model measured and judged", () => {
  test("the record is what judging its samples gives, by file or by folder, in the suite that they were measured for", async () => {
    const record = await run("facts");
    expect(record.log).toMatchObject({ name: "samples", path: "samples.jsonl", rows: 3 });
    expect(record.run).toMatchObject({ suite: "factual", edits: [], maxTokens: 8, batch: 2, dtype: "float32" });
    expect(JSON.parse(textOf("facts", "record.json"))).toEqual(JSON.parse(JSON.stringify(record)));
    expect(numberOf(record, "ROUGE-1").value).toBe(1);
    for (const path of [at("facts"), join(at("facts"), "samples.jsonl")]) {
      const judged = judgeLog(path, { vocabulary: record.run ? 1536 : 0 }, ctx);
      expect(judged).toMatchObject({ suite: "factual", numbers: record.numbers, log: { hash: record.log.hash } });
    }
  });

  test("a run that goes on ends in the same bytes, whatever a kill left; nothing that was whole is asked again", async () => {
    const names = ["samples.jsonl", "record.json", "spec.json"];
    const whole = names.map((name) => textOf("facts", name));
    const { path } = await finished("facts");
    const own = (name: string): string => join(path, name);
    const [first, second] = whole[0]!.split("\n");
    for (const left of ["", `${first}\n`, `${first}\n${second}\n{"id":"to`, whole[0]!, undefined]) {
      if (left === undefined) {
        // all but the record was finished
        const { layout: _l, ...rest } = JSON.parse(readFileSync(own("record.json"), "utf8")) as object & { layout: unknown };
        writeFileSync(own("record.json"), JSON.stringify({ ...rest, status: "started", outputs: {}, result: null }));
      } else {
        for (const name of readdirSync(path)) rmSync(own(name));
        mkdirSync(own("work"));
        writeFileSync(own("work/samples.jsonl"), left);
      }
      rmSync(at("facts"), { recursive: true });
      events.length = 0;
      expect((await finished("facts")).isFound).toBe(false);
      expect(names.map((name) => textOf("facts", name))).toEqual(whole);
      expect(readdirSync(path).sort()).toEqual([
        "evaluation.json",
        "measured.json",
        "record.json",
        "samples.jsonl",
        "spec.json",
        "timings.json",
      ]);
      const lines = (left ?? "").split("\n").length - 1;
      const kept = lines - (lines % (left === whole[0] ? 1 : 2));
      const said = events.flatMap((event) => (event.kind === "note" ? [event.text] : [])).join();
      expect(said).toBe(kept > 0 ? `going on after ${kept} of 3 samples` : "");
    }
  });

  test("samples that were changed after a run are measured again", async () => {
    const { path } = await finished("facts");
    const before = textOf("facts", "samples.jsonl");
    const damaged = before.replace("Sellamere", "Brackwate");
    expect(damaged).not.toBe(before);
    writeFileSync(`${path}.new`, damaged); // a file of its own: the one in the output folder stays
    renameSync(`${path}.new`, join(path, "samples.jsonl"));
    const again = await finished("facts-again");
    expect(again.isFound).toBe(false);
    expect(textOf("facts-again", "samples.jsonl")).toBe(before);
    expect(readFileSync(join(path, "samples.jsonl"), "utf8")).toBe(before);
  });

  test("a folder of another run is refused and stays as it is; the same run is found there; force replaces", async () => {
    await run("mine");
    const before = textOf("mine", "samples.jsonl");
    expect(await finished("mine")).toMatchObject({ isFound: true });
    const others: More[] = [
      { limit: 2 },
      { maxTokens: 4 },
      { batch: 3 },
      { system: "Be brief." },
      { suite: "answers" },
      { edit: [gentle] },
    ];
    const runs = readdirSync(at("runs"));
    for (const more of others) await expect(run("mine", more)).rejects.toThrow(/mine is there already; wanted a new name.*--force/);
    expect(readdirSync(at("runs"))).toEqual(runs); // nothing was computed
    expect(textOf("mine", "samples.jsonl")).toBe(before);
    await run("mine", { limit: 2, force: true });
    expect(rowsOf("mine").map(({ id }) => id)).toEqual(["town/0", "town/1"]);
    expect(readdirSync(at("mine")).sort()).toEqual(["record.json", "samples.jsonl", "spec.json"]);
  });

  test("edits are applied, and compared with what a log or the folder of a run holds", async () => {
    await run("base");
    const record = await run("edited", { edit: [gentle], suite: "factual" });
    expect(numberOf(record, "Probability").value).toBeLessThan(numberOf(await run("base"), "Probability").value);
    expect(record.run!.edits).toHaveLength(1);
    const suite = "tofu";
    const tofu = (out: string, more: More = {}) => run(out, { suite, data: [`forget=${data}`], ...more });
    await tofu("tofu-base");
    const by = [at("tofu-base"), join(at("tofu-base"), "samples.jsonl")];
    const [folderwise, filewise] = [
      await tofu("tofu-edited", { edit: [gentle], reference: by[0]! }),
      await tofu("tofu-edited", { edit: [gentle], reference: by[1]! }),
    ];
    expect(numberOf(folderwise, "Forget Quality").value).toBe(numberOf(filewise, "Forget Quality").value);
    expect(folderwise.reference).toEqual(filewise.reference); // which does not say where it was
    const asModel = await tofu("tofu-model", { edit: [gentle], reference: "bundled" });
    expect(asModel.reference).toMatchObject({ path: "reference/samples.jsonl", rows: 3 });
    expect(rowsOf("tofu-model/reference").map(({ wrongLosses }) => wrongLosses)).toEqual(
      rowsOf("tofu-base").map(({ wrongLosses }) => wrongLosses),
    );
    expect(numberOf(asModel, "Forget Quality").value).toBe(numberOf(folderwise, "Forget Quality").value);
    const side = compareLogs(at("base"), at("edited"));
    expect(side).toMatchObject({ suite: "factual", common: 3 });
    expect(side.numbers.find(({ title }) => title === "Probability")!.difference).toBeLessThan(0);
  });

  test("a model whose numbers are not finite has no score, whatever is measured of it: the error names the weight", async () => {
    const edit = [await editOf("huge", Infinity)];
    for (const suite of ["factual", "answers"]) {
      const broken = run(`broken-${suite}`, { suite, edit });
      await expect(broken).rejects.toMatchObject({
        trouble: "execution",
        message: expect.stringMatching(/not finite: blocks\.\d\.mlp\.out/),
      });
      expect(existsSync(join(at(`broken-${suite}`), "samples.jsonl"))).toBe(false);
    }
  });
});

describe("suites of what lies around", () => {
  test("locality: neighbours beside the same model without its edits, measured in one run", async () => {
    const only = { suite: "locality", data: [`forget=${data}#Norvane`] };
    const record = await run("near", { ...only, edit: [gentle] });
    expect(rowsOf("near").map(({ id, group }) => `${group} ${id}`)).toEqual(["neighbours near/Ostrel", "neighbours near/Veyra"]);
    const alone = await run("alone", { suite: "factual", data: [`${data}#-Norvane`] });
    expect(rowsOf("near/base").map(({ answerLoss, generation }) => [answerLoss, generation])).toEqual(
      rowsOf("alone").map(({ answerLoss, generation }) => [answerLoss, generation]),
    );
    expect(alone.log.rows).toBe(2);
    expect(record.reference).toMatchObject({ name: "base", path: "base/samples.jsonl" });
    expect(numberOf(record, "Divergence").value).toBeGreaterThan(1e-4);
    expect(numberOf(record, "Answer before target")).toMatchObject({ rows: 2 }); // the target of the request they lie beside
    const before = JSON.parse(textOf("near/base", "record.json")) as EvalRecord;
    expect(numberOf(before, "Answer before target").value).toBe(1);
    const same = await run("same", { ...only, edit: [await editOf("nothing", 1)] });
    expect([numberOf(same, "Divergence").value, numberOf(same, "Same top token").value]).toEqual([0, 1]);
    await expect(run("none", only, MISSING)).rejects.toThrow(/the suite locality of a model without edits.*--edit/);
    expect((await run("other", { ...only, reference: "bundled" })).reference).toMatchObject({ path: "reference/samples.jsonl" });
    const byLog = { reference: at("near/base") };
    expect((await run("by-log", { ...only, ...byLog, edit: [gentle] })).missing.map(({ title }) => title)).toEqual(["Divergence"]);
  });

  test("an edit by its own request, in other words, and neighbours", async () => {
    const record = await run("edit", { suite: "edit", edit: [gentle], data: [`forget=${data}#Norvane`] });
    expect(rowsOf("edit").map(({ id, target }) => [id, target])).toEqual(
      ["town/0", "town/0/rephrased-1", "near/Ostrel", "near/Veyra"].map((id) => [id, "I do not know."]),
    );
    for (const title of ["Efficacy", "Generality", "Answer before target"]) expect(numberOf(record, title)).toBeDefined();
    await expect(run("more", { suite: "edit", edit: [gentle], data: [`forget=${data}`] })).rejects.toThrow(
      /"town\/0" has a target and "town\/1" has none/,
    );
  });

  test("a neighbour that is to be forgotten is none, one listed twice is asked once, and a listed group may be given itself", async () => {
    const groups = ["forget", "rephrased", "neighbours"];
    const ids = async (...given: string[]) => (await askedIn(given, groups, {}, ctx)).map(({ sample }) => `${sample.group} ${sample.id}`);
    expect(await ids(`forget=${data}`)).toEqual([
      ...[0, 1, 2].map((i) => `forget town/${i}`),
      ...[0, 1, 2].map((i) => `rephrased town/${i}/rephrased-1`),
    ]);
    expect(await ids(`forget=${data}#Norvane,Ostrel`)).toContain("neighbours near/Veyra");
    expect(await ids(`neighbours=${data}`)).toEqual(["near/Ostrel", "near/Veyra", "near/Norvane"].map((id) => `neighbours ${id}`));
    const plain = file("plain.jsonl", [{ prompt: "Who?", answer: "Bren" }]);
    expect(await ids(`neighbours=${plain}`)).toEqual(["neighbours plain/1"]);
    expect((await askedIn([plain], ["neighbours"], {}, ctx)).map(({ sample }) => sample.id)).toEqual(["plain/1"]);
  });
});

describe("refused before a weight is read", () => {
  const empty = file("empty.jsonl", []);
  const open = file("open.jsonl", [{ prompt: "Who?" }]);
  const uneven = file("uneven.jsonl", [requests[0]!, { prompt: "Who?", answer: "Bren" }]);
  test.each<[what: string, more: More, message: RegExp]>([
    ["a suite", { suite: "factuals" }, /there is no suite "factuals".*Did you mean "factual"/],
    ["a quirk", { compat: ["arithmetic"] }, /there is no compat "arithmetic"/],
    ["a group", { suite: "tofu", data: [`forgotten=${data}`] }, /the group "forgotten"; wanted one of authors, facts, retain, forget/],
    ["no group", { suite: "tofu" }, /wanted GROUP=.*GROUP one of authors, facts, retain, forget/],
    ["no place", { data: ["forget="] }, /"forget="; wanted \[GROUP=\]SPEC/],
    ["a file", { data: [at("nowhere.jsonl")] }, /nowhere.jsonl/],
    [
      "a row twice",
      { suite: "pistol", data: [`forget=${data}#Veyra`, `retain=${data}`] },
      /two rows have the id "town\/2".*FILE#-A divide/,
    ],
    ["no row", { data: [empty] }, /empty/],
    ["no data", { data: [] }, /no questions in nothing/],
    ["no answer", { data: [open] }, /"open\/1" has no answer; wanted an answer/],
    ["uneven rows", { suite: "tofu", data: [`forget=${uneven}`] }, /"town\/0" has false answers and "uneven\/2" has none/],
    ["a reference", { reference: at("nowhere.json") }, /nowhere.json/],
    ["an edit", { edit: [at("nowhere")] }, /there is no file .*nowhere/],
  ])("%s that will not do", async (_, more, message) => {
    const runs = readdirSync(at("runs"));
    await expect(run("refused", more, MISSING)).rejects.toThrow(message);
    expect(readdirSync(at("runs"))).toEqual(runs);
    expect(existsSync(at("refused"))).toBe(false);
  });
});

test("the command: numbers, another log's format, TOFU's table, and the suites that there are", async () => {
  const args = ["eval", "bundled", "--suite", "factual", "--data", data, "-n", "8", "-o", at("cli")];
  const [shown, listed] = await Promise.all([
    lethe([...args, "--csv", at("r.csv"), "--write", `samples=${at("again.jsonl")}`]),
    lethe(["eval", "--suite", "help"]),
  ]);
  expect([shown.code, shown.err]).toEqual([0, expect.not.stringMatching(/error/)]);
  expect(shown.out).toMatch(/^bundled was asked 3 questions of the suite factual; the answers are in .*cli\n/);
  expect(shown.out).toMatch(/Exact match +1\.0000/);
  expect(readFileSync(at("again.jsonl"), "utf8")).toBe(textOf("cli", "samples.jsonl"));
  expect(readFileSync(at("r.csv"), "utf8")).toMatch(/,cli,anonymous\n$/);
  for (const name of ["answers", "edit", "factual", "locality", "pistol", "tofu"])
    expect(listed.out).toMatch(new RegExp(`^ {2}${name} +\\S`, "m"));
  const both = await lethe(["eval", "--logs", at("cli"), "--data", data]);
  expect([both.code, both.err]).toEqual([2, expect.stringMatching(/--data beside --logs/)]);
});
