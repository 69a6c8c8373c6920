/** Codecs give back exactly what they were given, refuse what they cannot give back, and notice every kind of damage. */
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { z } from "zod";
import { type Dtype, floats, ints, type NdArray, ndarray } from "../../src/base/array.ts";
import { arrays, type Codec, json, lines } from "../../src/base/codec.ts";

let folder = "";
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "lethe-codec-"));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));
const path = (): string => join(folder, "deep", "file");
const back = <T>(codec: Codec<T>, value: T): T => {
  codec.write(path(), value);
  return codec.read(path());
};

const EDGES = [0, -0, 1 / 3, -1e308, 5e-324, Infinity, -Infinity, NaN, 2 ** 53 + 2];
const ARRAYS: readonly NdArray[] = [
  floats(EDGES, [3, 3], "float64"),
  floats(EDGES, [9], "float32"),
  ndarray("float16", [2], Uint16Array.of(0x8000, 0x7e01)),
  ndarray("bfloat16", [1, 2], Uint16Array.of(0x8000, 0x7fc1)),
  ints([-1, 2, 3], [3]),
  ndarray("int32", [2], Int32Array.of(-1, 7)),
  ndarray("uint8", [3], Uint8Array.of(0, 1, 255)),
  ndarray("bool", [2], Uint8Array.of(1, 0)),
  floats([], [0, 4], "float64"),
  floats([7], [], "float64"),
];

describe("round trips", () => {
  test.each(ARRAYS.map((array) => [array.dtype, array] as const))("arrays: %s, to the bit", (dtype, array) => {
    const codec = arrays({ "a.b": dtype, zero: "float64" });
    const got = back(codec, { "a.b": array, zero: floats([-0], [1], "float64") });
    expect(got["a.b"]).toEqual(array);
    expect(Buffer.from(got["a.b"].data.buffer).equals(Buffer.from(array.data.buffer))).toBe(true);
    expect(got.zero.data[0]).toBe(-0);
  });

  test("arrays: any float64, its bits as they were", () => {
    fc.assert(
      fc.property(fc.float64Array({ maxLength: 40 }), (data) => {
        const got = back(arrays({ x: "float64" }), { x: floats(data, [data.length], "float64") }).x.data;
        expect(Array.from(got as Float64Array)).toEqual(Array.from(data));
      }),
      { numRuns: 60 },
    );
  });

  test("json and lines: any JSON value", () => {
    const isPlain = (value: unknown): boolean =>
      !JSON.stringify([value], (_, v: unknown) => (Object.is(v, -0) ? "-0" : v)).includes('"-0"');
    fc.assert(
      fc.property(fc.array(fc.jsonValue().filter(isPlain), { maxLength: 4 }), (rows) => {
        expect(back(lines(z.unknown()), rows)).toEqual(rows);
        expect(back(json(z.unknown()), rows)).toEqual(rows);
      }),
      { numRuns: 60 },
    );
    const hard = ["line\nbreak", "\u2028", "\ud800", "\ufffd", "naïve 🜁", "", "\u0000"];
    expect(back(lines(z.string()), hard)).toEqual(hard);
    expect(back(json(z.array(z.number())), [0.1, 1e308, 5e-324, 2 ** 53 + 2])).toEqual([0.1, 1e308, 5e-324, 2 ** 53 + 2]);
    expect(back(lines(z.string()), [])).toEqual([]);
    expect(back(lines(z.string().nullable()), [null])).toEqual([null]);
  });

  test("what would come back otherwise is refused and leaves no file", () => {
    for (const value of [NaN, Infinity, -0, undefined, new Date(0), [1, undefined], { a: undefined }, new Float64Array(1), new Map()])
      expect(() => json(z.unknown()).write(path(), value), String(value)).toThrow(/^cache: value 1 for .*a value that JSON gives back/);
    expect(() => json(z.strictObject({ a: z.number() })).write(path(), { a: 1, b: 2 } as { a: number })).toThrow(/JSON gives back/);
    expect(() => arrays({ x: "float64" }).write(path(), { x: floats([1]) })).toThrow(/x of type float32.*wanted float64/);
    expect(() => readFileSync(path())).toThrow(/ENOENT/);
  });

  test("what a codec holds is part of its id", () => {
    const ids = [json(z.string()), lines(z.string()), arrays({ x: "float64" }), arrays({ x: "float32" }), arrays({ y: "float64" })];
    expect(new Set(ids.map(({ id }) => id)).size).toBe(ids.length);
  });
});

const sample = <T>(name: string, codec: Codec<T>, value: T) => [name, codec as Codec<unknown>, value as unknown] as const;
const SAMPLES = [
  sample("json", json(z.array(z.string())), ["one", "two"]),
  sample("lines", lines(z.array(z.number())), [[1, 2], [], [3.5]]),
  sample("arrays", arrays({ x: "float64", n: "int64" }), { x: floats([1, -2, 3, 4], [2, 2], "float64"), n: ints([5]) }),
];

describe("damage", () => {
  test.each(SAMPLES)("%s: a changed byte anywhere is noticed, or changes nothing", (_, codec, value) => {
    codec.write(path(), value);
    const whole = readFileSync(path());
    let noticed = 0;
    for (let at = 0; at < whole.length; at++)
      for (const flip of [1, 0x80]) {
        const bytes = Uint8Array.from(whole);
        bytes[at]! ^= flip;
        writeFileSync(path(), bytes);
        let got: unknown = value;
        try {
          got = codec.read(path());
        } catch {
          noticed++;
        }
        expect(got, `byte ${at}`).toEqual(value);
      }
    expect(noticed).toBeGreaterThan(1.6 * whole.length);
  });

  test.each(SAMPLES)("%s: cut short, longer, empty, a folder, another codec's file", (_, codec, value) => {
    codec.write(path(), value);
    const whole = Uint8Array.from(readFileSync(path()));
    for (const bytes of [...whole.keys()].map((size) => whole.subarray(0, size)).concat(Uint8Array.from([...whole, 10]))) {
      writeFileSync(path(), bytes);
      expect(() => codec.read(path()), `${bytes.length} bytes`).toThrow(/^(cache|safetensors): .*file/);
    }
    for (const [, other, held] of SAMPLES.filter(([, c]) => c !== codec)) {
      other.write(path(), held);
      expect(() => codec.read(path())).toThrow(/cache|safetensors/);
    }
    rmSync(path());
    mkdirSync(path());
    expect(() => codec.read(path())).toThrow(/it is a folder|is not a file/);
  });

  test("arrays of other names or types are refused", () => {
    const dtype: Dtype = "float64";
    arrays({ x: dtype, y: dtype }).write(path(), { x: floats([1], [1], dtype), y: floats([2], [1], dtype) });
    expect(() => arrays({ x: dtype }).read(path())).toThrow(/holds something else/);
  });
});
