/** Safetensors: round trips, deterministic bytes, and every way a header can lie. */
import { mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, test } from "vitest";
import { type Dtype, type NdArray, bytesPer, floats, sizeOf, toBytes, zeros } from "../../src/base/array.ts";
import { LetheError } from "../../src/base/fail.ts";
import { openSafetensors, writeSafetensors } from "../../src/base/store.ts";

const folder = mkdtempSync(join(tmpdir(), "lethe-safetensors-"));
afterAll(() => rmSync(folder, { recursive: true }));
const path = join(folder, "x.safetensors");

const DTYPES: readonly Dtype[] = ["uint8", "float32", "bool", "float64", "float16", "bfloat16", "int64", "int32"];
function counting(dtype: Dtype, shape: readonly number[]): NdArray {
  const array = zeros(dtype, shape);
  const bytes = toBytes(array);
  for (let i = 0; i < bytes.length; i++) bytes[i] = dtype === "bool" ? i & 1 : (i * 37 + 11) & 63;
  return array;
}
const sample = (): [string, NdArray][] => [
  ...DTYPES.map((dtype, i): [string, NdArray] => [`a.${dtype}`, counting(dtype, [i + 1, 3])]),
  ["scalar", counting("float32", [])],
  ["none", counting("float32", [0, 4])],
  ["ünï\n", counting("uint8", [5])],
];

describe("round trip", () => {
  test("every dtype, scalars, empty tensors, any name, metadata", () => {
    const metadata = { format: "pt", json: '{"a": "☂"}', __proto: "x" };
    writeSafetensors(path, sample(), metadata);
    const { tensors, metadata: read, close } = openSafetensors(path);
    expect(read).toEqual(metadata);
    expect([...tensors.keys()]).toEqual(sample().map(([name]) => name));
    for (const [name, array] of sample()) {
      expect(tensors.get(name)).toMatchObject({ name, dtype: array.dtype, shape: array.shape, bytes: array.data.byteLength });
      expect(tensors.get(name)!.read(), name).toEqual(array);
      expect(Buffer.concat([...tensors.get(name)!.raw()].map((piece) => piece.slice()))).toEqual(Buffer.from(toBytes(array)));
    }
    close();
    expect(readdirSync(folder)).toEqual(["x.safetensors"]);
  });

  test("the header ends on a multiple of 8 and every tensor lies on its own width", () => {
    writeSafetensors(path, sample());
    const bytes = readFileSync(path);
    const length = Number(bytes.readBigUInt64LE(0));
    expect(length % 8).toBe(0);
    const header = JSON.parse(bytes.toString("utf8", 8, 8 + length)) as Record<string, { data_offsets: [number, number] }>;
    for (const [name, { dtype }] of sample()) expect(header[name]!.data_offsets[0] % bytesPer(dtype), name).toBe(0);
  });

  test("equal input, equal bytes, whatever the order of the metadata; lazily read tensors give the same", () => {
    writeSafetensors(path, sample(), { b: "1", a: "2" });
    const first = new Uint8Array(readFileSync(path));
    const source = openSafetensors(path);
    writeSafetensors(join(folder, "y.safetensors"), source.tensors, { a: "2", b: "1" });
    source.close();
    expect(new Uint8Array(readFileSync(join(folder, "y.safetensors")))).toEqual(first);
    rmSync(join(folder, "y.safetensors"));
  });

  test("a view into a larger buffer writes only its own numbers; read arrays own theirs", () => {
    const all = Float32Array.from([1, 2, 3, 4, 5]);
    writeSafetensors(path, [["v", { dtype: "float32", shape: [2], data: all.subarray(2, 4) }]]);
    const { tensors, close } = openSafetensors(path);
    const [one, two] = [tensors.get("v")!.read(), tensors.get("v")!.read()];
    close();
    one.data[0] = 9;
    expect([...two.data]).toEqual([3, 4]);
  });

  test("several pieces: 70 MiB", () => {
    const array = zeros("uint8", [70 * 2 ** 20]);
    for (let i = 0; i < array.data.length; i += 4093) array.data[i] = i & 255;
    writeSafetensors(path, [["big", array]]);
    const { tensors, close } = openSafetensors(path);
    expect(Buffer.from(toBytes(tensors.get("big")!.read())).equals(toBytes(array))).toBe(true);
    close();
  });

  test("refuses a name twice, and a tensor that is not what it was announced as, leaving nothing", () => {
    const x = floats([1]);
    rmSync(path, { force: true });
    expect(() =>
      writeSafetensors(path, [
        ["a", x],
        ["a", x],
      ]),
    ).toThrow(/"a" twice/);
    expect(() => writeSafetensors(path, [["a", { dtype: "float32", shape: [2], read: () => x }]])).toThrow(LetheError);
    expect(() => writeSafetensors(path, [["a", { dtype: "float64", shape: [1], read: () => x }]])).toThrow(/announced as float64/);
    expect(readdirSync(folder)).toEqual([]);
  });
});

/** A file with this header text and so many bytes of data. */
function file(header: string | Uint8Array, data: number, claim?: number | bigint): void {
  const text = typeof header === "string" ? new TextEncoder().encode(header) : header;
  const bytes = new Uint8Array(8 + text.length + data);
  new DataView(bytes.buffer).setBigUint64(0, BigInt(claim ?? text.length), true);
  bytes.set(text, 8);
  writeFileSync(path, bytes);
}
const entry = (over: Record<string, unknown> = {}): string =>
  JSON.stringify({ dtype: "F32", shape: [2, 3], data_offsets: [0, 24], ...over });

describe("refuses", () => {
  test.each<[string, () => void, RegExp]>([
    ["an empty file", () => writeFileSync(path, ""), /has 0 bytes/],
    ["a header longer than the file", () => file("{}", 0, 3), /claims 3 bytes of a file of 10.*incomplete/],
    ["a header of 2^63 bytes", () => file("{}", 0, 2n ** 63n), /claims 9223372036854775808 bytes/],
    ["a header over the limit", () => file("{}", 0, 100_000_001), /claims 100000001 bytes/],
    ["something else", () => file("hello", 10), /does not begin with \{/],
    ["broken JSON", () => file('{"a": ', 10), /header of .* is not JSON: it ends too early at line 1, column 7/],
    ["a header that is not UTF-8", () => file(Uint8Array.from([0x7b, 0xff, 0x7d]), 0), /not UTF-8/],
    ["a name twice", () => file(`{"a":${entry()},"a":${entry()}}`, 24), /duplicate key "a"/],
    ["metadata twice", () => file(`{"__metadata__":{},"a":${entry()},"__metadata__":{}}`, 24), /duplicate key "__metadata__"/],
    ["metadata that is no map", () => file(`{"__metadata__":[]}`, 0), /__metadata__ is not a map of strings/],
    ["metadata of numbers", () => file(`{"__metadata__":{"a":1}}`, 0), /__metadata__ is not a map of strings/],
    ["an entry that is no object", () => file('{"a":3}', 0), /"a" is not an object/],
    ["no dtype", () => file('{"a":{}}', 0), /"a" has no dtype/],
    [
      "a dtype we do not read",
      () => file(`{"a":${entry({ dtype: "F8_E4M3" })}}`, 24),
      /stored as F8_E4M3; wanted one of F64, F32, F16, BF16, I64, I32, U8, BOOL/,
    ],
    ["a negative dimension", () => file(`{"a":${entry({ shape: [-2, -3] })}}`, 24), /shape of tensor "a" is \[-2,-3\]/],
    ["a fractional dimension", () => file(`{"a":${entry({ shape: [1.5, 4] })}}`, 24), /shape of tensor "a"/],
    ["a huge dimension", () => file('{"a":{"dtype":"F32","shape":[1e300],"data_offsets":[0,24]}}', 24), /shape of tensor "a"/],
    ["a huge product", () => file(`{"a":${entry({ shape: [2 ** 50, 2 ** 50] })}}`, 24), /has 24 bytes; wanted/],
    ["a shape that is text", () => file(`{"a":${entry({ shape: "2,3" })}}`, 24), /shape of tensor "a"/],
    ["one offset", () => file(`{"a":${entry({ data_offsets: [24] })}}`, 24), /data_offsets of tensor "a" are \[24\]/],
    ["offsets backwards", () => file(`{"a":${entry({ data_offsets: [24, 0] })}}`, 24), /has -24 bytes; wanted 24/],
    ["offsets that do not fit the shape", () => file(`{"a":${entry({ data_offsets: [0, 20] })}}`, 20), /has 20 bytes; wanted 24/],
    ["data past the end", () => file(`{"a":${entry()}}`, 23), /ends at byte 24 of 23.*incomplete/],
    [
      "overlap",
      () => file(`{"a":${entry()},"b":${entry({ data_offsets: [20, 44] })}}`, 44),
      /"b" begins at byte 20, inside "a"; wanted byte 24/,
    ],
    ["the same bytes twice", () => file(`{"a":${entry()},"b":${entry()}}`, 24), /inside "a"/],
    ["a hole", () => file(`{"a":${entry()},"b":${entry({ data_offsets: [28, 52] })}}`, 52), /with a hole after "a"/],
    ["a hole at the start", () => file(`{"a":${entry({ data_offsets: [4, 28] })}}`, 28), /with a hole after the header/],
    ["bytes after the end", () => file(`{"a":${entry()}}`, 25), /1 bytes after the last tensor belong to no tensor/],
    ["a pickle in a zip", () => writeFileSync(path, "PK\u0003\u0004 and so on"), /is a pickle.*safe_serialization=True/],
    ["a bare pickle", () => writeFileSync(path, Uint8Array.from([0x80, 2, 0x8a, 10, 0x6c, 0xfc, 0x9c, 0x46, 0xf9, 0x20])), /is a pickle/],
    ["a missing file", () => rmSync(path), /no such file/],
  ])("%s", (_, make, message) => {
    make();
    let error: unknown;
    try {
      openSafetensors(path).close();
    } catch (caught) {
      error = caught;
    }
    expect(error).toBeInstanceOf(LetheError);
    expect((error as LetheError).message).toMatch(message);
    expect((error as LetheError).trouble).toBe("unavailable");
  });

  test("a file that shrinks after it was opened", () => {
    file(`{"a":${entry()}}`, 24);
    const { tensors, close } = openSafetensors(path);
    file(`{"a":${entry()}}`, 4);
    expect(() => tensors.get("a")!.read()).toThrow(/ended at byte .* changed while it was read/);
    close();
  });
});

test("metadata named __proto__ is only a name", () => {
  file('{"__metadata__":{"__proto__":"x"},"__proto__":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}}', 1);
  const { tensors, metadata, close } = openSafetensors(path);
  expect(Object.entries(metadata)).toEqual([["__proto__", "x"]]);
  expect([...tensors.keys()]).toEqual(["__proto__"]);
  expect(sizeOf(tensors.get("__proto__")!.shape)).toBe(1);
  close();
});
