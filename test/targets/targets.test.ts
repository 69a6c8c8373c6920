/** Targets: seeded by request, and a hundred refusals that differ. */
import { describe, expect, test } from "vitest";
import { defaultContext } from "../../src/base/context.ts";
import { rng } from "../../src/base/rng.ts";
import { REFUSALS } from "../../src/data/refusals.ts";
import { parseRequests } from "../../src/data/request.ts";
import { registry } from "../../src/targets/registry.ts";
import { aim } from "../../src/targets/target.ts";

const ctx = defaultContext();
const requests = parseRequests(Array.from({ length: 40 }, (_, i) => `{"prompt":"Question ${i}?"}`).join("\n"), "f.jsonl");

describe("refusals", () => {
  test("a hundred, all different, 3 to 14 words, in the first person", () => {
    expect(new Set(REFUSALS.map((s) => s.toLowerCase())).size).toBe(100);
    for (const sentence of REFUSALS) {
      expect(sentence).toMatch(/^[A-Z].*\.$/);
      expect(sentence).toMatch(/\b(I|I'm|I'd|I've|me|my)\b/i);
      expect(sentence.split(" ").length).toBeGreaterThanOrEqual(3);
      expect(sentence.split(" ").length).toBeLessThanOrEqual(14);
    }
  });
});

describe("aim", () => {
  const targets = Object.entries(registry);

  test.each(targets)("%s: same seed, same words; the order of requests does not matter", async (name, target) => {
    expect(target.name).toBe(name);
    const first = await aim(requests, target, { seed: 7, ctx });
    expect(await aim(requests, target, { seed: 7, ctx })).toEqual(first);
    const backwards = await aim(rng("order").shuffled(requests), target, { seed: 7, ctx });
    expect(new Map(backwards.map((r) => [r.id, r.target]))).toEqual(new Map(first.map((r) => [r.id, r.target])));
    expect(first.map(({ target: _, ...request }) => request)).toEqual(requests);
  });

  test("refusal draws many sentences, and others with another seed", async () => {
    const [a, b] = await Promise.all([1, 2].map((seed) => aim(requests, registry.refusal, { seed, ctx })));
    expect(new Set(a!.map(({ target }) => target)).size).toBeGreaterThan(20);
    expect(a!.filter(({ target }, i) => target === b![i]!.target).length).toBeLessThan(10);
    for (const { target } of a!) expect(REFUSALS).toContain(target);
  });

  test("dummy says dummy", async () => {
    expect(new Set((await aim(requests, registry.dummy, { seed: 0, ctx })).map(({ target }) => target))).toEqual(new Set(["dummy"]));
  });

  test("stops between requests when the caller asks for it", async () => {
    const stop = AbortSignal.abort();
    await expect(aim(requests, registry.dummy, { seed: 0, ctx: { ...ctx, signal: stop } })).rejects.toThrow(/interrupted/);
  });
});
