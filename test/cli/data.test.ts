/** `lethe data` as a person types it: what can be read, what data holds, contracts; and how each complains. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect, test } from "vitest";
import { lethe } from "./lethe.ts";

const folder = mkdtempSync(join(tmpdir(), "lethe-cli-data-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));
const env = { LETHE_HOME: join(folder, "home") };
const run = (...args: string[]) => lethe(["data", ...args], { env });
const questions = join(folder, "q.csv");
writeFileSync(questions, "question,reply\nWho wrote 'Ash'?,Bren Odal\nwhy is it so?,Nobody knows\n");

test("the sets, for people and for programs", { timeout: 60_000 }, async () => {
  const { out } = await run();
  for (const name of ["bundled", "factual", "pistol", "rwku", "tofu", "zsre"]) expect(out).toMatch(new RegExp(`^${name} `, "m"));
  const { sets } = JSON.parse((await run("list", "--json")).out) as { sets: { name: string; licence: string }[] };
  expect(sets.find(({ name }) => name === "tofu")).toMatchObject({ licence: "MIT", source: "locuslab/TOFU" });
  expect((await run("shwo")).err).toContain("Did you mean lethe data show?");
});

test("show tells what is there, which subjects were guessed, and where the tokenizer sees them end", { timeout: 60_000 }, async () => {
  const columns = ["--columns", "prompt=question,answer=reply"];
  const { out, code } = await run("show", questions, ...columns, "--model", "bundled");
  expect(code).toBe(0);
  expect(out).toMatch(/q\.csv: 2 requests\n/);
  expect(out).toMatch(/paraphrases +none\n/);
  expect(out).toContain("0 given, 1 guessed (marked ?), 1 none");
  expect(out).toMatch(/q\/2 {2}\[Ash\?\] ends at "(Ash|sh|h)"/);
  const card = JSON.parse((await run("show", questions, ...columns, "--json")).out) as {
    guessed: string[];
    without: string[];
    requests: object[];
  };
  expect(card).toMatchObject({ guessed: ["q/2"], without: ["q/3"], requests: [{ subject: "Ash" }, { subject: "" }] });
  const refused = await run("show", questions);
  expect(refused.code).toBe(2);
  expect(refused.err).toMatch(/q\.csv line 2: no row has a field "prompt".*--columns prompt=question/s);
});

test("convert writes what is read, and not over what is there", { timeout: 60_000 }, async () => {
  const out = join(folder, "own.jsonl");
  const args = ["convert", questions, "--columns", "prompt=question,answer=reply", "--limit", "1", "-o", out];
  expect((await run(...args)).out).toContain("1 request, 1 with a guessed subject");
  expect(JSON.parse(readFileSync(out, "utf8"))).toMatchObject({
    id: "q/2",
    subject: "Ash",
    prompt: "Who wrote 'Ash'?",
    answer: "Bren Odal",
  });
  expect((await run(...args)).err).toMatch(/is there already.*--force/s);
  expect((await run("show", out)).out).toContain("1 given, 0 guessed");
});

test("pistol writes a folder, says what is in it, and its help has the shapes", { timeout: 60_000 }, async () => {
  const out = join(folder, "contracts");
  const made = await run(
    "pistol",
    "--shape",
    "star",
    "--nodes",
    "4",
    "--employment",
    "1",
    "--seed",
    "3",
    "--forget",
    "0_1",
    "-o",
    out,
    "--json",
  );
  expect(JSON.parse(made.out)).toMatchObject({
    schema: "lethe/contracts/1",
    contracts: 7,
    companies: 4,
    people: 4,
    files: { "requests.jsonl": 140, "forget.jsonl": 20 },
  });
  expect(JSON.parse(readFileSync(join(out, "graph.json"), "utf8"))).toMatchObject({ shape: "star", seed: 3, forget: ["0_1"] });
  expect((await run("show", join(out, "forget.jsonl"))).out).toContain("20 given, 0 guessed");
  expect((await run("pistol", "--help")).out).toMatch(/Shapes:\n(.*\n)* {2}sample-2/);
  const refused = await run("pistol", "--shape", "stra", "-o", join(folder, "x"));
  expect([refused.code, refused.err]).toEqual([2, expect.stringMatching(/no shape "stra".*Did you mean "star"/s)]);
});
