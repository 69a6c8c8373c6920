/** Requests by the name of a file, and behind the name of a dataset. */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, test } from "vitest";
import { requestsIn } from "../../src/run/data.ts";
import { lethe } from "../cli/lethe.ts";

const folder = mkdtempSync(join(tmpdir(), "lethe-data-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));
const file = (name: string, content: unknown): string => {
  writeFileSync(join(folder, name), JSON.stringify(content));
  return join(folder, name);
};
const row = {
  subject: "Ash",
  prompt: "Who wrote Ash?",
  ground_truth: "Bren Odal",
  rephrase_prompt: "Ash was written by whom?",
  locality_prompt: "nq question: who sang the ferry song",
  locality_ground_truth: "Ilse Maren",
};

describe("requestsIn", () => {
  test("a file is read as requests", () => {
    const { requests, guessed } = requestsIn(file("own.jsonl", { prompt: "Who wrote Ash?", subject: "Ash" }));
    expect(requests.map(({ id, subject }) => [id, subject])).toEqual([["own/1", "Ash"]]);
    expect(guessed).toEqual([]);
  });

  test("behind a dataset's name a file is read as published", () => {
    const { requests } = requestsIn(`zsre:${file("zsre.json", [row])}`);
    expect(requests[0]).toMatchObject({ id: "zsre/0", answer: "Bren Odal", paraphrases: ["Ash was written by whom?"] });
  });

  test("subjects that the dataset guessed are told", () => {
    const { guessed } = requestsIn(`factual:${file("factual.json", [{ question: "Who wrote 'Ash'?", answer: "Bren Odal" }])}`);
    expect(guessed).toEqual(["factual/0"]);
  });

  test("a dataset that is not there is refused with the nearest, a file that is not there as a file", () => {
    expect(() => requestsIn("zsr:x.json")).toThrow(/--data: there is no dataset "zsr"; wanted one of .*zsre.*Did you mean "zsre"\?/);
    expect(() => requestsIn("zsre:none.json")).toThrow(/none\.json: there is no such file/);
    expect(() => requestsIn("c:none.json")).toThrow(/c:none\.json: there is no such file/);
  });

  test.skipIf(process.platform === "win32")("a file of that very name goes before (skipped on Windows, whose names have no colon)", () => {
    const { requests } = requestsIn(file("own:1", { prompt: "Who wrote Ash?", subject: "Ash" }));
    expect(requests).toHaveLength(1);
  });
});

test("lethe forget takes a dataset, says which subjects were guessed, and lists the datasets", { timeout: 60_000 }, async () => {
  const data = `factual:${file("world.json", [{ question: "What is the capital of Norvane?", answer: "Sellamere" }])}`;
  const out = join(folder, "edit");
  const args = ["forget", "bundled", "--data", data, "--set", "steps=1", "--compat", "easyedit", "-n", "0", "-o", out];
  const ran = await lethe(args, { env: { LETHE_HOME: join(folder, "home") } });
  expect(ran.code, ran.err).toBe(0);
  expect(ran.err).toContain('the subject is guessed from the prompt: "Norvane" (factual/0)');
  expect((await lethe(["forget", "--help"])).out).toMatch(/Datasets .*\n.*zsre: /s);
});
