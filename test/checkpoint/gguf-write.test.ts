/** Writing GGUF: what our reader gives back, to the bit; what is refused; and that nothing half-written is left. */
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { asFloats, floats, type NdArray, sizeOf, toBytes } from "../../src/base/array.ts";
import { rng } from "../../src/base/rng.ts";
import { BLOCKS } from "../../src/checkpoint/dequantise.ts";
import { openGguf } from "../../src/checkpoint/gguf.ts";
import { type GgufTensor, type GgufType, typeForRows, writeGguf } from "../../src/checkpoint/gguf-write.ts";
import { toHalf } from "../../src/checkpoint/half.ts";
import { BLOCK_WRITERS } from "../../src/checkpoint/quantise.ts";

let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), "lethe-gguf-write-"));
});
afterAll(() => {
  rmSync(folder, { recursive: true, force: true });
});

const draws = rng("gguf-write");
const drawn = (shape: readonly number[]): NdArray =>
  floats(
    Array.from({ length: sizeOf(shape) }, () => draws.normal()),
    shape,
  );
const tensor = (stored: GgufType, array: NdArray): GgufTensor => ({ stored, shape: array.shape, read: () => array });

/** Writes tensors, reads them again and hands them over. */
async function again<T>(name: string, tensors: Record<string, GgufTensor>, see: (file: ReturnType<typeof openGguf>) => T): Promise<T> {
  const path = join(folder, `${name}.gguf`);
  await writeGguf(path, { "general.architecture": { string: "none" } }, new Map(Object.entries(tensors)));
  const file = openGguf(path);
  try {
    return see(file);
  } finally {
    file.close();
  }
}

test.each(Object.keys(BLOCK_WRITERS) as GgufType[])("%s is read as what the quantiser's blocks decode to, to the bit", async (type) => {
  const array = drawn([3, 512]);
  const { weights, bytes, encode } = BLOCK_WRITERS[type]!;
  const blocks = sizeOf(array.shape) / weights;
  const raw = new Uint8Array(blocks * bytes);
  encode(array.data as Float32Array, raw, blocks);
  const expected = new Float32Array(sizeOf(array.shape));
  BLOCKS[type]!.decode(raw, expected, blocks);
  await again(type, { odd: tensor("F32", drawn([5])), weight: tensor(type, array) }, ({ tensors }) => {
    const { stored, shape, read } = tensors.get("weight")!;
    expect([stored, shape]).toEqual([type, [3, 512]]);
    expect(read().data).toEqual(expected);
  });
  const off = expected.reduce((most, x, i) => Math.max(most, Math.abs(x - Number(array.data[i]))), 0);
  expect(off).toBeLessThan(type === "Q8_0" ? 0.03 : 0.5); // half a step of the widest block
  expect(off).toBeGreaterThan(0);
});

test("F32, F16 and BF16 are rounded once, and what is stored so already keeps its bits", async () => {
  const array = drawn([7, 3]);
  const wide = array.data as Float32Array;
  const halves: NdArray = { dtype: "bfloat16", shape: [7, 3], data: toHalf(wide, "bfloat16") };
  await again(
    "plain",
    { a: tensor("F32", array), b: tensor("F16", array), c: tensor("BF16", array), d: tensor("F32", halves) },
    ({ tensors }) => {
      expect(tensors.get("a")!.read().data).toEqual(wide);
      expect(tensors.get("b")!.read().data).toEqual(toHalf(wide, "float16"));
      expect(tensors.get("c")!.read().data).toEqual(halves.data);
      expect(tensors.get("d")!.read().data).toEqual(asFloats(halves, "float32").data);
    },
  );
});

test("a tensor of several pieces is whole", async () => {
  const shape = [2100, 512];
  const array = floats(
    Array.from({ length: sizeOf(shape) }, (_, i) => (i % 999) / 500 - 1),
    shape,
  ); // more than the 2^20 weights of one piece
  await again("pieces", { weight: tensor("F16", array), behind: tensor("Q8_0", array) }, ({ tensors }) => {
    const [made, wanted] = [tensors.get("weight")!.read(), toHalf(array.data as Float32Array, "float16")];
    expect(Buffer.compare(toBytes(made), new Uint8Array(wanted.buffer))).toBe(0);
    const last = asFloats(tensors.get("behind")!.read(), "float32").data.at(-1)!;
    expect(Math.abs(Number(last) - Number(array.data.at(-1)))).toBeLessThan(0.03);
  });
});

test("metadata of every type come back; large texts too", async () => {
  const path = join(folder, "metadata.gguf");
  const long = "ü".repeat(100_000);
  await writeGguf(
    path,
    {
      a: { uint32: 4294967295 },
      b: { float32: 0.1 },
      c: { bool: true },
      d: { string: long },
      e: { strings: ["", "☂", long] },
      f: { int32s: [-1, 2] },
      g: { float32s: [-0.5, 1e9] },
    },
    new Map([["t", tensor("F32", drawn([1]))]]),
  );
  const { kv, close } = openGguf(path);
  close();
  expect(kv).toEqual({ a: 4294967295, b: Math.fround(0.1), c: true, d: long, e: ["", "☂", long], f: [-1, 2], g: [-0.5, 1e9] });
});

test("the same input gives the same bytes", async () => {
  const array = drawn([4, 64]);
  const bytes: Buffer[] = [];
  for (const name of ["one", "two"]) {
    await again(name, { weight: tensor("Q4_0", array) }, () => undefined);
    bytes.push(readFileSync(join(folder, `${name}.gguf`)));
  }
  expect(bytes[0]!.equals(bytes[1]!)).toBe(true);
});

test("rows decide the type: 256 for Q4_K, else Q5_0; 32 for the others, else F16", () => {
  expect([512, 288, 40].map((row) => typeForRows("Q4_K", row))).toEqual(["Q4_K", "Q5_0", "F16"]);
  expect([512, 288, 40].map((row) => typeForRows("Q8_0", row))).toEqual(["Q8_0", "Q8_0", "F16"]);
  expect(typeForRows("F32", 5)).toBe("F32");
});

test("what a type cannot hold is refused by name, and the file that was there stays", async () => {
  const path = join(folder, "kept.gguf");
  writeFileSync(path, "before");
  const large = floats(
    Array.from({ length: 64 }, (_, i) => (i === 40 ? 1e6 : 1)),
    [2, 32],
  );
  const write = (stored: GgufType, array: NdArray): Promise<void> =>
    writeGguf(
      path,
      {},
      new Map([
        ["first", tensor("F32", drawn([9]))],
        ["big", tensor(stored, array)],
      ]),
    );
  for (const stored of ["F16", "Q8_0", "Q4_1"] as const)
    await expect(write(stored, large)).rejects.toThrow(`"big" holds 1000000; wanted values that ${stored} can hold`);
  await expect(write("Q8_0", floats(new Array<number>(32).fill(NaN), [1, 32]))).rejects.toThrow("holds NaN");
  await expect(write("Q4_0", drawn([2, 48]))).rejects.toThrow('"big" in rows of 48 as Q4_0');
  expect(readFileSync(path, "utf8")).toBe("before");
  expect(readdirSync(folder).filter((name) => name.includes("kept"))).toEqual(["kept.gguf"]);
});

test("work that is stopped between two pieces leaves no file", async () => {
  const path = join(folder, "stopped.gguf");
  let pieces = 0;
  const breathe = async (): Promise<void> => {
    if (++pieces === 2) throw new Error("stopped");
  };
  const tensors = new Map(["a", "b", "c"].map((name) => [name, tensor("F32", drawn([4]))]));
  await expect(writeGguf(path, {}, tensors, { breathe })).rejects.toThrow("stopped");
  expect(readdirSync(folder).filter((name) => name.includes("stopped"))).toEqual([]);
});
