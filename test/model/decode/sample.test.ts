/** Drawing a token: against a plain statement of temperature, top-k and top-p, and against the distribution itself. */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { rng } from "../../../src/base/rng.ts";
import { sample, type Sampling } from "../../../src/model/decode/sample.ts";

const logSoftmax = (scores: readonly number[]): number[] => {
  const top = Math.max(...scores);
  const all = Math.log(scores.reduce((sum, x) => sum + Math.exp(x - top), 0));
  return scores.map((x) => x - top - all);
};

/** The ids that may be drawn and their chances, likeliest first, of equals the lower id: every step over the whole vocabulary. */
function chances(logprobs: readonly number[], { temperature = 0, topK, topP }: Sampling): [id: number, p: number][] {
  const rescaled = (of: [number, number][]): [number, number][] => {
    const all = of.reduce((sum, [, p]) => sum + p, 0);
    return of.map(([id, p]) => [id, p / all]);
  };
  const top = Math.max(...logprobs);
  let left = rescaled(logprobs.map((l, id) => [id, Math.exp((l - top) / temperature)] as [number, number]));
  left.sort((a, b) => logprobs[b[0]]! - logprobs[a[0]]! || a[0] - b[0]);
  if (topK !== undefined && topK > 0) left = rescaled(left.slice(0, topK));
  if (topP !== undefined) {
    const before = left.map((_, i) => left.slice(0, i).reduce((sum, [, p]) => sum + p, 0));
    left = rescaled(left.filter((_, i) => i === 0 || topP >= 1 || before[i]! < topP - 1e-12));
  }
  return left;
}

/** A source that gives one number. */
const always = (u: number) => ({ ...rng(0), uniform: () => u });

describe("sample", () => {
  const vocabulary = fc
    .array(fc.integer({ min: -40, max: 40 }), { minLength: 1, maxLength: 30 })
    .map((x) => logSoftmax(x.map((s) => s / 8)));
  const settings = fc.record(
    {
      temperature: fc.double({ min: 0.2, max: 3, noNaN: true }),
      topK: fc.integer({ min: 1, max: 35 }),
      topP: fc.oneof(fc.double({ min: 0.05, max: 0.999, noNaN: true }), fc.constant(1)),
    },
    { requiredKeys: ["temperature"] },
  );

  it("draws only what top-k and top-p leave, and all of that", () => {
    fc.assert(
      fc.property(vocabulary, settings, (logprobs, given) => {
        const may = chances(logprobs, given);
        const drawn = new Set([0, ...may.map((_, i) => i), 1].map((i) => sample(logprobs, given, always(i === 0 ? 0 : 1 - 2 ** -53))));
        for (const id of drawn) expect(may.map(([allowed]) => allowed)).toContain(id);
        // a draw in the middle of each share, in the order in which ids are laid out: by likelihood, or by id where nothing is cut
        const isCut = given.topK !== undefined || given.topP !== undefined;
        const laid = isCut ? may : [...may].sort(([a], [b]) => a - b);
        let below = 0;
        for (const [id, p] of laid) {
          if (p > 1e-9) expect(sample(logprobs, given, always(below + p / 2))).toBe(id);
          below += p;
        }
      }),
      { seed: 7, numRuns: 500 },
    );
  });

  it("draws as often as the temperature says", () => {
    const logprobs = logSoftmax([2, 0, 1, -1]);
    for (const temperature of [0.5, 1, 2]) {
      const random = rng(`drawn at ${temperature}`);
      const counts = [0, 0, 0, 0];
      for (let i = 0; i < 20_000; i++) counts[sample(logprobs, { temperature }, random)]!++;
      for (const [id, p] of chances(logprobs, { temperature })) expect(Math.abs(counts[id]! / 20_000 - p)).toBeLessThan(0.015);
    }
  });

  it("without a temperature takes the likeliest, of equals the first, whatever else is set", () => {
    expect(sample([-3, -1, -2, -1], {}, always(0.99))).toBe(1);
    expect(sample([-3, -1, -2, -1], { topK: 3, topP: 0.9 }, always(0.99))).toBe(1);
  });
});
