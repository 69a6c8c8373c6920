/** GGUF: hand-worked blocks, an independent reading of every format, and every way a header can lie. */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, test } from "vitest";
import { halfTable } from "../../src/base/array.ts";
import { LetheError } from "../../src/base/fail.ts";
import { rng } from "../../src/base/rng.ts";
import { BLOCKS } from "../../src/checkpoint/dequantise.ts";
import { openGguf } from "../../src/checkpoint/gguf.ts";
import { type Entry, KIND, type Stored, ggufBytes } from "../gguf-file.ts";

const folder = mkdtempSync(join(tmpdir(), "lethe-gguf-"));
afterAll(() => rmSync(folder, { recursive: true }));
const HALF = { one: [0x00, 0x3c], two: [0x00, 0x40], half: [0x00, 0x38], minusOne: [0x00, 0xbc], tiny: [0x01, 0x00] } as const;

function decode(type: string, bytes: Uint8Array): Float32Array {
  const block = BLOCKS[type]!;
  const to = new Float32Array((bytes.length / block.bytes) * block.weights);
  block.decode(bytes, to, bytes.length / block.bytes);
  return to;
}
const row = (n: number, value: (i: number) => number): number[] => Array.from({ length: n }, (_, i) => value(i));

describe("blocks worked by hand", () => {
  const nibbles = row(16, (j) => j | ((15 - j) << 4)); // weights 0-15 are 0..15, weights 16-31 are 15..0
  test("Q8_0", () => {
    expect([...decode("Q8_0", Uint8Array.from([...HALF.half, ...row(32, (i) => i * 8)]))]).toEqual(
      row(32, (i) => (i < 16 ? i * 8 : i * 8 - 256) / 2),
    );
  });
  test("Q4_0", () => {
    expect([...decode("Q4_0", Uint8Array.from([...HALF.two, ...nibbles]))]).toEqual([
      ...row(16, (i) => 2 * (i - 8)),
      ...row(16, (i) => 2 * (7 - i)),
    ]);
  });
  test("Q4_1", () => {
    expect([...decode("Q4_1", Uint8Array.from([...HALF.half, ...HALF.minusOne, ...nibbles]))]).toEqual([
      ...row(16, (i) => i / 2 - 1),
      ...row(16, (i) => (15 - i) / 2 - 1),
    ]);
  });
  test("Q5_0: the fifth bit of weight j is bit j", () => {
    const high = [0b00000001, 0, 0, 0b10000000];
    const expected = [...row(16, (i) => i - 16), ...row(16, (i) => -1 - i)].map((v, i) => (i === 0 || i === 31 ? v + 16 : v));
    expect([...decode("Q5_0", Uint8Array.from([...HALF.one, ...high, ...nibbles]))]).toEqual(expected);
  });
  test("Q5_1", () => {
    const high = [0, 0b10, 0b100, 0]; // weights 9 and 18
    const expected = [...row(16, (i) => i), ...row(16, (i) => 15 - i)].map((v, i) => (i === 9 || i === 18 ? v + 16 : v) + 2);
    expect([...decode("Q5_1", Uint8Array.from([...HALF.one, ...HALF.two, ...high, ...nibbles]))]).toEqual(expected);
  });
  // scales 1..8 and minimums 8..1 with high bits: sub-block 5 has scale 6 + 16, sub-block 6 minimum 2 + 32
  const packed = [1, 2 | (1 << 6), 3, 4, 8, 7, 6 | (2 << 6), 5, 5 | (4 << 4), 6 | (3 << 4), 7 | (2 << 4), 8 | (1 << 4)];
  const scales = [1, 2, 3, 4, 5, 22, 7, 8];
  const mins = [8, 7, 6, 5, 4, 3, 34, 1];
  test("Q4_K", () => {
    const q = row(128, (i) => (i % 16) | ((i % 7) << 4));
    const nibble = (w: number): number => (q[Math.floor(w / 64) * 32 + (w % 32)]! >> (w % 64 < 32 ? 0 : 4)) & 15;
    const expected = row(256, (w) => scales[w >> 5]! * nibble(w) - mins[w >> 5]! / 2);
    expect([...decode("Q4_K", Uint8Array.from([...HALF.one, ...HALF.half, ...packed, ...q]))]).toEqual(expected);
  });
  test("Q5_K", () => {
    const high = row(32, (i) => (i === 3 ? 0b10000001 : 0)); // weights 3 (sub-block 0) and 227 (sub-block 7)
    const q = row(128, () => 0x21);
    const expected = row(256, (w) => scales[w >> 5]! * ((w % 64 < 32 ? 1 : 2) + (w === 3 || w === 227 ? 16 : 0)) - mins[w >> 5]!);
    expect([...decode("Q5_K", Uint8Array.from([...HALF.one, ...HALF.one, ...packed, ...high, ...q]))]).toEqual(expected);
  });
  test("Q6_K", () => {
    const low = row(128, () => 0);
    const high = row(64, () => 0);
    low[0] = 0x5;
    low[32] = 0x70;
    high[0] = 0b11; // weight 0 is 5 + 48; weight 96 is 7 in the high nibble of byte 32
    low[64 + 1] = 0xf;
    high[32 + 1] = 0b01; // weight 129 is 15 + 16
    const scale = row(16, (i) => (i === 8 ? -2 : 1));
    const expected = row(256, (w) => (w >> 4 === 8 ? -2 : 1) * ((w === 0 ? 53 : w === 96 ? 7 : w === 129 ? 31 : 0) - 32));
    expect([...decode("Q6_K", Uint8Array.from([...low, ...high, ...scale.map((v) => v & 255), ...HALF.one]))]).toEqual(expected);
  });
});

/** Weight `w` of one block, read bit by bit from the format's description, in float32 steps as ggml takes them. */
const NAIVE: Readonly<Record<string, (b: Uint8Array, w: number) => number>> = (() => {
  const f = Math.fround;
  const bit = (b: Uint8Array, from: number, i: number): number => (b[from + (i >> 3)]! >> (i & 7)) & 1;
  const bits = (b: Uint8Array, from: number, at: number, n: number): number =>
    row(n, (i) => bit(b, from, at + i) << i).reduce((x, y) => x | y, 0);
  const half = (b: Uint8Array, from: number): number => halfTable()[bits(b, from, 0, 16)]!;
  const small = (b: Uint8Array, from: number, w: number): number => bits(b, from, (w % 16) * 8 + (w < 16 ? 0 : 4), 4);
  const k = (b: Uint8Array, w: number, q: number): number => {
    const j = w >> 5;
    const six = (first: number, second: number): number =>
      j < 4 ? bits(b, 4, (first + j) * 8, 6) : bits(b, 4, 8 * (8 + j - 4) + second, 4) + 16 * bits(b, 4, 8 * (first + j - 4) + 6, 2);
    return f(f(f(half(b, 0) * six(0, 0)) * q) - f(half(b, 2) * six(4, 4)));
  };
  const nibble = (b: Uint8Array, from: number, w: number): number =>
    bits(b, from, (Math.floor(w / 64) * 32 + (w % 32)) * 8 + (w & 32 ? 4 : 0), 4);
  return {
    Q4_0: (b, w) => f(half(b, 0) * (small(b, 2, w) - 8)),
    Q4_1: (b, w) => f(f(half(b, 0) * small(b, 4, w)) + half(b, 2)),
    Q5_0: (b, w) => f(half(b, 0) * (small(b, 6, w) + 16 * bit(b, 2, w) - 16)),
    Q5_1: (b, w) => f(f(half(b, 0) * (small(b, 8, w) + 16 * bit(b, 4, w))) + half(b, 2)),
    Q8_0: (b, w) => f(half(b, 0) * new Int8Array([b[2 + w]!])[0]!),
    Q4_K: (b, w) => k(b, w, nibble(b, 16, w)),
    Q5_K: (b, w) => k(b, w, nibble(b, 48, w) + 16 * bit(b, 16 + (w % 32), w >> 5)),
    Q6_K: (b, w) => {
      const [part, l] = [w >> 7, w % 128];
      const low = bits(b, part * 64 + (l % 64), l < 64 ? 0 : 4, 4);
      const high = bits(b, 128 + part * 32 + (l % 32), 2 * (l >> 5), 2);
      return f(f(half(b, 208) * new Int8Array([b[192 + (w >> 4)]!])[0]!) * (low + 16 * high - 32));
    },
  };
})();

describe("every format against its description, bit by bit", () => {
  test.each(Object.keys(BLOCKS))("%s", (type) => {
    const random = rng(`gguf ${type}`);
    const block = BLOCKS[type]!;
    const bytes = Uint8Array.from({ length: block.bytes * 24 }, () => random.below(256));
    for (let b = 0; b < 24; b++)
      // exponents 31 are infinities
      for (const at of type === "Q6_K" ? [208] : [0, 2])
        if ((bytes[b * block.bytes + at + 1]! & 0x7c) === 0x7c) bytes[b * block.bytes + at + 1]! ^= 0x40;
    const got = decode(type, bytes);
    const expected = Float32Array.from(got, (_, w) => {
      const b = Math.floor(w / block.weights);
      return NAIVE[type]!(bytes.subarray(b * block.bytes, (b + 1) * block.bytes), w % block.weights);
    });
    expect(got.findIndex((value, w) => value !== expected[w])).toBe(-1);
  });
});

const f32 = (name: string, dims: number[]): Stored => ({
  name,
  dims,
  type: 0,
  bytes: new Uint8Array(Float32Array.from({ length: dims.reduce((a, b) => a * b, 1) }, (_, i) => i).buffer),
});
const open = (bytes: Uint8Array) => {
  writeFileSync(join(folder, "x.gguf"), bytes);
  return openGguf(join(folder, "x.gguf"));
};
const kv: Entry[] = [
  ["general.architecture", KIND.text, "test"],
  ["n", KIND.u32, 7],
];

describe("files", () => {
  test("every metadata type, and shapes reversed", () => {
    const all: Entry[] = [
      ["u8", KIND.u8, 255],
      ["i8", KIND.i8, -1],
      ["u16", KIND.u16, 65535],
      ["i16", KIND.i16, -2],
      ["u32", KIND.u32, 2 ** 32 - 1],
      ["i32", KIND.i32, -3],
      ["f32", KIND.f32, 0.5],
      ["bool", KIND.bool, 1],
      ["text", KIND.text, "ü"],
      ["u64", KIND.u64, 2 ** 40],
      ["i64", KIND.i64, -4],
      ["f64", KIND.f64, 0.1],
      [
        "list",
        KIND.list,
        {
          of: KIND.list,
          items: [
            { of: KIND.text, items: ["a", "b"] },
            { of: KIND.i32, items: [-1] },
          ],
        },
      ],
      ["__proto__", KIND.u8, 1],
    ];
    const { kv: read, tensors, close } = open(ggufBytes(all, [f32("a", [3, 2]), f32("b", [5])]));
    expect(Object.entries(read)).toEqual([
      ["u8", 255],
      ["i8", -1],
      ["u16", 65535],
      ["i16", -2],
      ["u32", 2 ** 32 - 1],
      ["i32", -3],
      ["f32", 0.5],
      ["bool", true],
      ["text", "ü"],
      ["u64", 2 ** 40],
      ["i64", -4],
      ["f64", 0.1],
      ["list", [["a", "b"], [-1]]],
      ["__proto__", 1],
    ]);
    expect(tensors.get("a")).toMatchObject({ shape: [2, 3], dtype: "float32", stored: "F32", bytes: 24 });
    expect([...tensors.get("a")!.read().data]).toEqual([0, 1, 2, 3, 4, 5]);
    expect([...tensors.get("b")!.read().data]).toEqual([0, 1, 2, 3, 4]);
    close();
    expect(() => tensors.get("b")!.read()).toThrow(/is closed/);
  });

  test.each([
    ["Q4_1", 3],
    ["Q6_K", 14],
  ] as const)("a %s tensor longer than one piece reads the same as its blocks", (type, code) => {
    const block = BLOCKS[type]!;
    const blocks = 8192 * 2 + 3; // two whole pieces and three blocks
    const bytes = new Uint8Array(block.bytes * blocks);
    for (let i = 0; i < bytes.length; i++) bytes[i] = (i * 31 + (i >> 8)) % 120;
    const { tensors, close } = open(ggufBytes(kv, [{ name: "q", dims: [blocks * block.weights], type: code, bytes }]));
    const expected = decode(type, bytes);
    const got = tensors.get("q")!.read().data;
    expect(expected.findIndex((value, i) => value !== got[i])).toBe(-1);
    expect(Buffer.concat([...tensors.get("q")!.raw()].map((piece) => piece.slice())).equals(bytes)).toBe(true);
    close();
  });

  test("another alignment", () => {
    const { tensors, close } = open(ggufBytes([["general.alignment", KIND.u32, 8]], [f32("a", [1]), f32("b", [3])], { alignment: 8 }));
    expect([...tensors.get("b")!.read().data]).toEqual([0, 1, 2]);
    close();
  });

  const one = [f32("a", [4])];
  test.each<[string, Uint8Array, RegExp]>([
    ["empty", new Uint8Array(0), /does not begin with GGUF/],
    ["another format", new TextEncoder().encode("PK\u0003\u0004 and so on, and so on"), /does not begin with GGUF/],
    ["version 1", ggufBytes(kv, one, { version: 1 }), /version 1; wanted version 2 or 3/],
    ["big-endian", ggufBytes(kv, one, { version: 3 << 24 }), /big-endian/],
    ["a huge number of tensors", ggufBytes(kv, one, { tensorCount: 2n ** 63n }), /the number of tensors is 9223372036854775808/],
    ["a huge number of entries", ggufBytes(kv, one, { kvCount: 10_000_000 }), /the number of metadata entries is 10000000/],
    ["one entry too many", ggufBytes(kv, one, { kvCount: 3 }), /the tensor "" has 0 dimensions/],
    ["a wrong offset", ggufBytes(kv, one, { offset: 32 }), /begins at byte 32 of the data; wanted byte 0/],
    ["a truncated file", ggufBytes(kv, [f32("a", [4]), f32("b", [64])]).slice(0, -100), /"b" ends at byte .* incomplete/],
    ["a name twice", ggufBytes(kv, [f32("a", [4]), f32("a", [4])]), /the tensor "a" is there twice/],
    ["a key twice", ggufBytes([...kv, ...kv], one), /key "general.architecture" is there twice/],
    ["a huge dimension", ggufBytes(kv, [{ ...f32("a", [4]), dims: [2 ** 50, 2 ** 50] }]), /dimensions that fit into the file/],
    ["a dimension of zero", ggufBytes(kv, [{ ...f32("a", [4]), dims: [0] }]), /dimensions 0/],
    ["many dimensions", ggufBytes(kv, [{ ...f32("a", [4]), dims: [1, 1, 1, 1, 1] }]), /5 dimensions/],
    [
      "rows that are no blocks",
      ggufBytes(kv, [{ name: "a", dims: [31, 32], type: 2, bytes: new Uint8Array(558) }]),
      /rows of 31; wanted rows of a multiple of 32/,
    ],
    [
      "a format we do not read",
      ggufBytes(kv, [{ name: "a", dims: [256], type: 10, bytes: new Uint8Array(84) }]),
      /"a" is stored as Q2_K; wanted one of .*Q4_K/,
    ],
    ["an unknown format", ggufBytes(kv, [{ name: "a", dims: [256], type: 999, bytes: new Uint8Array(84) }]), /stored as type 999/],
    ["an unknown metadata type", ggufBytes([["a", 13, 0]], one), /"a" has type 13/],
    ["an alignment of zero", ggufBytes([["general.alignment", KIND.u32, 0]], one), /general.alignment is 0/],
    ["an alignment that is text", ggufBytes([["general.alignment", KIND.text, "x"]], one), /general.alignment is x/],
    ["one part of several", ggufBytes([["split.count", KIND.u16, 3]], one), /one of 3 parts.*llama-gguf-split/],
    [
      "lists in lists in lists",
      ggufBytes(
        [["deep", KIND.list, [1, 2, 3, 4].reduce<unknown>((items) => ({ of: KIND.list, items: [items] }), { of: KIND.u8, items: [] })]],
        one,
      ),
      /four lists deep/,
    ],
  ])("refuses %s", (_, bytes, message) => {
    let error: unknown;
    try {
      open(bytes);
    } catch (caught) {
      error = caught;
    }
    expect(error).toBeInstanceOf(LetheError);
    expect((error as LetheError).message).toMatch(message);
    expect((error as LetheError).trouble).toBe("unavailable");
  });
});
