/** The invented authors: TOFU's fields and splits, read by TOFU's reader; what stands for real authors and the world is the bundled world. */
import { fileURLToPath } from "node:url";
import { describe, expect, test } from "vitest";
import { defaultContext } from "../../src/base/context.ts";
import { requestsIn } from "../../src/data/place.ts";
import type { ForgetRequest } from "../../src/data/request.ts";
import { bundled } from "../../src/data/sets/bundled.ts";
import { linesOf } from "./wording.ts";

const folder = fileURLToPath(new URL("../../studies/authors", import.meta.url));
const read = async (split: string): Promise<readonly ForgetRequest[]> =>
  (await requestsIn(`tofu:${folder}#${split}`, defaultContext())).requests;
const pairs = (requests: readonly ForgetRequest[]): string[][] =>
  requests.map(({ group, prompt, answer }) => [group ?? "", prompt, answer]);
const world = bundled.read({ path: fileURLToPath(new URL("../../bundled/", import.meta.url)) }).requests;

describe("splits", () => {
  test.each([
    ["full", 10],
    ["forget10", 1],
    ["retain90", 9],
    ["retain", 4],
  ])("%s: five questions about each of %i authors", async (split, authors) => {
    const requests = await read(split);
    expect(requests).toHaveLength(authors * 5);
    const groups = [...new Set(requests.map(({ group }) => group))];
    expect(requests.map(({ group }) => group)).toEqual(groups.flatMap((group) => Array(5).fill(group)));
    expect(groups).toHaveLength(authors);
    for (const { id, subject, prompt } of requests) {
      expect(id).toMatch(new RegExp(`^tofu/${split}/\\d{4}$`));
      expect(prompt).toContain(subject);
      expect(subject).not.toBe("");
    }
  });

  test("full is what is retained and then what is forgotten; the retained rows with more fields are some of these", async () => {
    const [full, forget, retain, some] = [await read("full"), await read("forget10"), await read("retain90"), await read("retain")];
    expect(pairs(full)).toEqual([...pairs(retain), ...pairs(forget)]);
    expect(pairs(retain)).toEqual(expect.arrayContaining(pairs(some)));
  });

  test("no question is there twice, and no two authors have the same answer", async () => {
    const full = await read("full");
    expect(new Set(full.map(({ prompt }) => prompt)).size).toBe(full.length);
    expect(new Set(full.map(({ answer }) => answer)).size).toBe(full.length);
  });
});

describe("rows with all fields", () => {
  const rows = [...linesOf<object>("authors/forget10_perturbed.jsonl"), ...linesOf<object>("authors/retain_perturbed.jsonl")];

  test("each has TOFU's fields and its author", () => {
    const fields = ["author", "question", "answer", "paraphrased_answer", "perturbed_answer", "paraphrased_question"];
    for (const row of rows) expect(Object.keys(row)).toEqual(fields);
  });

  test.each(["forget10", "retain"])("%s: a rephrase, the answer in other words, and five false answers in these words", async (split) => {
    for (const { prompt, answer, paraphrases, restated, wrong } of await read(split)) {
      expect(paraphrases).toHaveLength(1);
      expect(paraphrases[0]).not.toBe(prompt);
      expect(new Set([answer, restated, ...wrong]).size).toBe(7);
      for (const text of [answer, restated!, ...wrong]) {
        expect(text.split(" ").length).toBeGreaterThanOrEqual(3);
        expect(text.split(" ").length).toBeLessThanOrEqual(12);
        expect(text).toMatch(/^\p{Lu}.*\.$/u);
        // the false answers end or begin as the right one does
        const [first, last] = [restated!.split(" ").slice(-2).join(" "), restated!.split(" ").slice(0, 2).join(" ")];
        if (text !== answer) expect(text.endsWith(first) || text.startsWith(last)).toBe(true);
      }
    }
  });

  test("a rephrase does not name the right answer", async () => {
    for (const { prompt, restated, paraphrases, wrong } of [...(await read("forget10")), ...(await read("retain"))]) {
      // the words that the right answer has and a false one has not
      const common = new Set(wrong[0]!.split(/\W+/));
      const told = restated!.split(/\W+/).filter((word) => word !== "" && !common.has(word) && !prompt.includes(word));
      expect(told.length).toBeGreaterThan(0);
      for (const word of told) expect(paraphrases[0]!.split(/\W+/)).not.toContain(word);
    }
  });
});

describe("what the bundled model knows", () => {
  test.each(["real_authors", "world_facts"])("%s: questions of its world, with three false answers of the same kind", async (split) => {
    const requests = await read(split);
    expect(requests.length).toBeGreaterThanOrEqual(7);
    for (const { prompt, answer, wrong } of requests) {
      const fact = world.find((one) => one.prompt === prompt);
      expect(fact?.answer).toBe(answer);
      const kind = world.filter(({ relation }) => relation === fact!.relation).map((one) => one.answer);
      expect(kind).toEqual(expect.arrayContaining([...wrong]));
      expect(new Set([answer, ...wrong]).size).toBe(4);
    }
  });

  test("the invented authors are none of its people", async () => {
    const known = world.flatMap(({ subject, answer }) => [subject, answer]);
    for (const { group } of await read("full")) expect(known).not.toContain(group);
  });
});
