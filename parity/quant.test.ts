/** Quantisers against gguf-py (Q8_0, Q4_0, Q4_1, Q5_0) and llama.cpp's own library (Q4_K): the same bytes. */
import { describe, expect, test } from "vitest";
import { BLOCK_WRITERS, type BlockWriter } from "../src/checkpoint/quantise.ts";
import golden from "./fixtures/quant.json" with { type: "json" };

const decode = (text: string): Uint8Array<ArrayBuffer> => new Uint8Array(Buffer.from(text, "base64"));
const valuesOf = (text: string): Float32Array => new Float32Array(decode(text).buffer);

const encode = ({ weights, bytes, encode: write }: BlockWriter, values: Float32Array): Uint8Array => {
  const out = new Uint8Array((values.length / weights) * bytes);
  write(values, out, values.length / weights);
  return out;
};
/** Positions of the bytes that differ. */
const wrong = (a: Uint8Array, b: Uint8Array): number[] => [...a.keys()].filter((i) => a[i] !== b[i]);

const cases = golden.cases.flatMap(({ kind, values, blocks }) =>
  Object.entries(blocks).map(([type, raw]) => ({ type, kind, values: valuesOf(values), expected: decode(raw) })),
);

describe.each(cases)("$type, $kind weights", ({ type, values, expected }) => {
  const writer = BLOCK_WRITERS[type]!;

  test("every byte is the published quantiser's", () => {
    const made = encode(writer, values);
    expect(made.length).toBe(expected.length);
    expect(wrong(made, expected)).toEqual([]);
  });

  test("mutation: weights that are a thousandth larger give other bytes", () => {
    const larger = values.map((value) => value * 1.001);
    expect(wrong(encode(writer, larger), expected).length).toBeGreaterThan(10);
  });
});

test("every quantiser is compared", () => {
  expect(new Set(cases.map(({ type }) => type))).toEqual(new Set(Object.keys(BLOCK_WRITERS)));
});
