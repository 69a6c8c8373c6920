/** CE-U: what every method that trains shows; its formula, and the words that it leaves alone. */
import { describe, expect, it } from "vitest";
import { ceu, ceuLoss } from "../../src/methods/ceu.ts";
import type { AnyMethod } from "../../src/methods/method.ts";
import { findEdit } from "../../src/run/edit.ts";
import { bench, BRIEF, conformsByTraining, FORGET } from "../conformance/unlearn.ts";
import { check, logSoftmax, mean, softmax, sum } from "../train/slope.ts";

// an answer of one word is all first words
conformsByTraining(ceu as unknown as AnyMethod, {
  params: { skip: 0 },
});

describe("ceu", () => {
  const { ctx, model: loaded } = bench();

  it.each([0, 1, 2])("teaches what it says beside the old words, all but the first %d: value and gradient", async (skip) => {
    await check(ceuLoss({ skip }), ({ now, still }) =>
      mean(
        now.forget.flatMap((row, r) =>
          row.labels.slice(skip).map((i) => {
            const wanted = softmax(still.forget[r]!.logits[i - 1]!.map((x, v) => (v === row.ids[i] ? -Infinity : x)));
            const said = logSoftmax(row.logits[i - 1]!);
            return -sum(wanted.map((p, v) => p * said[v]!));
          }),
        ),
      ),
    );
  });

  it("refuses to leave every word alone", async () => {
    const options = { method: "ceu", params: { ...BRIEF, skip: 99 }, ctx };
    await expect(findEdit(await loaded(), FORGET, options)).rejects.toThrow(
      /skip = 99, but the longest answer has \d tokens.*Lower --set skip/,
    );
  });
});
