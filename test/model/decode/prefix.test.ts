/** Beginnings in common: found, worth their while, and without effect on what comes out. */
import { afterAll, describe, expect, it } from "vitest";
import { rng } from "../../../src/base/rng.ts";
import { generate } from "../../../src/model/decode/generate.ts";
import { load } from "../../../src/model/load.ts";
import { sharedPrefixes } from "../../../src/model/decode/prefix.ts";
import { readPrompts } from "../../../src/model/decode/read.ts";
import { score } from "../../../src/model/decode/score.ts";

const random = rng("prefix");
const drawn = (n: number): number[] => Array.from({ length: n }, () => 20 + random.below(400));
const [first, second] = [drawn(90), drawn(60)];
/** Two beginnings, rows that go on from them, a row of its own, in no order. */
const rows = [
  [...first, 7, 8, 9],
  [...second, 11],
  [...first, 12],
  drawn(30),
  [...second, 13, 14],
  [...first, 7, 8, 15, 16],
  [...first, 17, 18],
  [...second, 19, 11, 10],
];

describe("shared beginnings", () => {
  it("are as long as rows agree, and leave each row what is asked of it", () => {
    const { prefixes, of } = sharedPrefixes(rows)!;
    rows.forEach((row, b) => {
      const prefix = prefixes[of[b]!]!;
      expect(row.slice(0, prefix.length)).toEqual(prefix);
      expect(prefix.length).toBeLessThan(row.length);
    });
    expect([of[0], of[2], of[5]]).toEqual([of[6], of[6], of[6]]);
    expect([of[1], of[4]]).toEqual([of[7], of[7]]);
    expect(prefixes[of[0]!]).toEqual(first);
    expect(new Set(of).size).toBe(3);
    const early = sharedPrefixes(
      rows.slice(4, 7).map((r) => r),
      [40, 40, 40],
    );
    for (const prefix of early?.prefixes ?? []) expect(prefix.length).toBeLessThan(40);
    const asked = sharedPrefixes(
      [first, first, first, first].map((r, i) => [...r, i]),
      [50, 60, 50, 70],
    )!;
    expect(asked.prefixes).toEqual([first.slice(0, 49)]);
  });
  it("are none where rows differ, are short, or stand alone", () => {
    expect(sharedPrefixes([drawn(50), drawn(50), drawn(50)])).toBeUndefined();
    expect(
      sharedPrefixes([
        [1, 2, 3, 4],
        [1, 2, 3, 5],
      ]),
    ).toBeUndefined();
    expect(sharedPrefixes([first])).toBeUndefined();
    expect(sharedPrefixes([])).toBeUndefined();
    expect(
      sharedPrefixes([
        [...first, ...drawn(300)],
        [...first, ...drawn(300)],
      ]),
    ).toBeUndefined(); // too little in common to repay
  });

  describe("with a model", () => {
    const model = load("bundled");
    afterAll(async () => (await model).release());

    it("change no token that is generated, and hardly its probability", async () => {
      const m = await model;
      const together = await generate(m, rows, { maxTokens: 12, freeze: false });
      for (const [b, row] of rows.entries()) {
        const [alone] = await generate(m, [row], { maxTokens: 12, freeze: false });
        expect(together[b]!.ids).toEqual(alone!.ids);
        together[b]!.logprobs.forEach((x, i) => expect(x).toBeCloseTo(alone!.logprobs[i]!, 4));
      }
    });
    it.each(["float32", "float64"] as const)("change no score (%s)", async (dtype) => {
      const m = await model;
      const asked = rows.map((ids, b) => ({ ids, from: ids.length - 1 - (b % 2) }));
      const together = await score(m, asked, { dtype });
      for (const [b, row] of asked.entries()) {
        const [alone] = await score(m, [row], { dtype });
        expect(together[b]).toHaveLength(alone!.length);
        together[b]!.forEach((x, i) => expect(Math.abs(x - alone![i]!)).toBeLessThan(dtype === "float64" ? 1e-10 : 1e-4));
      }
      const [other] = await score(m, [{ ids: [...rows[0]!.slice(0, 40), 5, ...rows[0]!.slice(41)], from: asked[0]!.from }], { dtype });
      expect(Math.abs(other![0]! - together[0]![0]!)).toBeGreaterThan(1e-4); // the beginning counts
    });
    it.each(["float32", "float64"] as const)("nor does reading prompts once for all that goes on from them (%s)", async (dtype) => {
      const m = await model;
      const [near, logs] = dtype === "float64" ? [1e-10, 10] : [1e-4, 4];
      const read = await readPrompts(m, rows, { dtype });
      expect(read.starts).toEqual(rows.map((ids) => ids.length - 1));
      const said = await generate(m, rows, { maxTokens: 12, freeze: false, dtype });
      const again = await generate(m, rows, { maxTokens: 12, freeze: false, dtype, after: read });
      for (const [b, { ids, logprobs }] of said.entries()) {
        expect(again[b]!.ids).toEqual(ids);
        again[b]!.logprobs.forEach((x, i) => expect(x).toBeCloseTo(logprobs[i]!, logs));
      }
      // two answers behind each prompt; of the last row the prompt's end is another
      const asked = rows.flatMap((ids) => [7, 3].map((n) => ({ ids: [...ids, n, 11, 5], from: ids.length })));
      const of = rows.flatMap((_, b) => [b, b]);
      const last = asked.at(-1)!;
      asked.push({ ids: [...last.ids.slice(0, 5), 9, ...last.ids.slice(6)], from: last.from });
      const [alone, behind] = [
        await score(m, asked, { dtype }),
        await score(m, asked, { dtype, after: { read, of: [...of, of.at(-1)!] } }),
      ];
      for (const [i, row] of alone.entries()) row.forEach((x, j) => expect(Math.abs(x - behind[i]![j]!), `row ${i}`).toBeLessThan(near));
      expect(Math.abs(alone.at(-1)![0]! - alone.at(-2)![0]!)).toBeGreaterThan(1e-4); // the prompt counts
    });
  });
});
