/** Published datasets as they are: every row read, ids that stay, subjects found, nothing lost between splits. */
import { describe, expect, test } from "vitest";
import { drawGraph } from "../src/data/contracts/graph.ts";
import { drawContracts, requestsOf } from "../src/data/contracts/make.ts";
import { registry } from "../src/data/sets/registry.ts";
import { absent, shared } from "./shared.ts";

const tofu = (split: string) => registry.tofu.read({ path: shared(`data/tofu/${split}.json`) }).requests;

describe.skipIf(absent)("published datasets (skipped where ../shared is absent)", () => {
  test.each([
    ["full", 4000],
    ["forget01", 40],
    ["forget05_perturbed", 200],
    ["forget10_perturbed", 400],
    ["retain90", 3600],
    ["retain_perturbed", 400],
    ["holdout10", 400],
    ["real_authors_perturbed", 100],
    ["world_facts_perturbed", 117],
  ] as const)("tofu %s has %i rows", (split, rows) => {
    const requests = tofu(split);
    expect(requests).toHaveLength(rows);
    expect(new Set(requests.map(({ id }) => id)).size).toBe(rows);
    for (const { subject, prompt } of requests) expect(prompt).toContain(subject);
    const wrong = split.endsWith("_perturbed") ? (/^(real|world)/.test(split) ? 3 : 5) : 0;
    expect(new Set(requests.map((r) => r.wrong.length))).toEqual(new Set([wrong]));
  });

  test("tofu's invented authors: twenty of forget10 are found, and most questions name theirs", () => {
    const requests = tofu("forget10_perturbed");
    expect(new Set(requests.map(({ group }) => group)).size).toBe(20);
    expect(requests.filter(({ subject, group }) => subject === group).length).toBeGreaterThan(370);
    expect(requests[373]).toMatchObject({ id: "tofu/forget10/0373", group: "Basil Mahfouz Al-Kuwaiti" });
    expect(tofu("forget10").map(({ id, prompt }) => [id, prompt])).toEqual(requests.map(({ id, prompt }) => [id, prompt]));
  });

  test("pistol's samples: contracts by edge, the party that is asked about", () => {
    for (const [sample, rows, edges] of [
      [1, 400, 20],
      [2, 1500, 75],
    ] as const) {
      const { requests } = registry.pistol.read({ path: shared(`data/pistol/sample_data_${sample}.json`) });
      expect(requests).toHaveLength(rows);
      const counts = new Map<string, number>();
      for (const { group, subject, prompt } of requests) {
        counts.set(group!, (counts.get(group!) ?? 0) + 1);
        expect(subject).not.toBe("");
        expect(prompt).toContain(subject);
      }
      expect([...counts.values()]).toEqual(Array(edges).fill(20));
    }
  });

  test.each([1, 2] as const)("generated contracts have the structure of sample %i, edge by edge", (sample) => {
    const published = registry.pistol.read({ path: shared(`data/pistol/sample_data_${sample}.json`) }).requests;
    const graph = drawGraph({ shape: `sample-${sample}`, seed: 7 });
    const ours = [...requestsOf(drawContracts(graph, 7))].flat();
    expect(ours.map(({ group }) => group)).toEqual(published.map(({ group }) => group));
    const questions = (requests: readonly { readonly prompt: string }[]): number => new Set(requests.map(({ prompt }) => prompt)).size;
    expect(questions(ours)).toBe(questions(published));
    const lengths = (edge: string | undefined): number => published.filter(({ group }) => group === edge).length;
    for (const { id } of graph.edges) expect(lengths(id)).toBe(20);
  });

  test("rwku: every probe of ten people, and the neighbours of each", () => {
    const { requests, guessed } = registry.rwku.read({ path: shared("data/rwku") });
    expect(new Set(requests.map(({ id }) => id)).size).toBe(requests.length);
    expect(new Set(requests.map(({ group }) => group)).size).toBe(10);
    for (const { subject, prompt, neighbours } of requests) {
      expect(prompt).toContain(subject);
      expect(neighbours.length).toBeGreaterThan(30);
    }
    expect(requests.filter(({ subject, group }) => subject === group)).toHaveLength(requests.length - guessed.length);
  });

  test("zsre and the factual set", () => {
    expect(registry.zsre.read({ path: shared("data/zsre/zsre_1037.json") }).requests).toHaveLength(1037);
    expect(registry.factual.read({ path: shared("data/pistol/factual_data.json") }).requests).toHaveLength(217);
  });
});
