/** An offline run of Weights & Biases: the bytes of its log, read here by the format's description, and its files. */
import { BinaryReader, WireType } from "@bufbuild/protobuf/wire";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { parse } from "yaml";
import { registry } from "../../../src/report/sinks/registry.ts";
import { encoded, transactionLog } from "../../../src/report/sinks/wandb/transaction-log.ts";
import { ASSERTED, EVALUATION } from "./evaluation.ts";

/** CRC-32 bit by bit, as the format's description has it. */
function checksum(bytes: Uint8Array): number {
  let crc = 0xffffffff;
  for (const byte of bytes) {
    crc ^= byte;
    for (let bit = 0; bit < 8; bit++) crc = (crc >>> 1) ^ (crc & 1 ? 0xedb88320 : 0);
  }
  return (crc ^ 0xffffffff) >>> 0;
}

/** The records of a log. Refuses a wrong checksum, a piece that crosses a block, and pieces in a wrong order. */
function recordsIn(log: Uint8Array): Uint8Array[] {
  const bytes = Buffer.from(log);
  expect(bytes.subarray(0, 6).toString("latin1")).toBe(":W&B\xe1\xbe");
  const records: Uint8Array[] = [];
  let open: Buffer[] | undefined;
  for (let at = 7; at < bytes.length;) {
    const left = 32_768 - (at % 32_768);
    if (left < 7) {
      expect(bytes.subarray(at, at + left).every((byte) => byte === 0)).toBe(true);
      at += left;
      continue;
    }
    const [length, kind] = [bytes.readUInt16LE(at + 4), bytes[at + 6]!];
    expect(7 + length).toBeLessThanOrEqual(left);
    expect(bytes.readUInt32LE(at)).toBe(checksum(bytes.subarray(at + 6, at + 7 + length)));
    expect([open !== undefined, kind]).toEqual(
      open ? [true, expect.toSatisfy((k: number) => k === 3 || k === 4)] : [false, expect.toSatisfy((k: number) => k === 1 || k === 2)],
    );
    open = [...(open ?? []), bytes.subarray(at + 7, at + 7 + length)];
    if (kind === 1 || kind === 4) {
      records.push(Buffer.concat(open));
      open = undefined;
    }
    at += 7 + length;
  }
  expect(open).toBeUndefined();
  return records;
}

type Tree = { [field: number]: (number | Uint8Array)[] };

/** The fields of a message: whole numbers, and bytes. */
function fieldsOf(bytes: Uint8Array): Tree {
  const reader = new BinaryReader(bytes);
  const found: Tree = {};
  while (reader.pos < reader.len) {
    const [field, type] = reader.tag();
    const value = type === WireType.Varint ? Number(reader.int64()) : reader.bytes();
    (found[field] ??= []).push(value);
  }
  return found;
}
const within = (tree: Tree, field: number, at = 0): Tree => fieldsOf(tree[field]![at] as Uint8Array);
const textOf = (value: number | Uint8Array | undefined): string => Buffer.from(value as Uint8Array).toString();
const itemsIn = (tree: Tree, field: number): Record<string, string> =>
  Object.fromEntries(
    (tree[field] ?? []).map((item) => {
      const { 1: key, 16: json } = fieldsOf(item as Uint8Array);
      return [textOf(key![0]), textOf(json![0])];
    }),
  );

describe("the log", () => {
  test("a record, byte by byte", () => {
    const log = transactionLog([encoded({ 1: 1, 17: { 1: "a" } })]);
    expect(Buffer.from(log).toString("hex")).toBe("3a572642e1be00" + "5544273a" + "0800" + "01" + "08018a01030a0161");
    expect(recordsIn(log)).toHaveLength(1);
  });

  test.each([0, 1, 32_747, 32_753, 32_754, 32_755, 32_760, 32_761, 65_514, 65_515, 100_000])(
    "a record of %d bytes, and one behind it",
    (size) => {
      const records = [new Uint8Array(size).fill(7), new Uint8Array(3).fill(9)];
      expect(recordsIn(transactionLog(records)).map((one) => Buffer.from(one).equals(Buffer.from(records[one[0] === 9 ? 1 : 0]!)))).toEqual(
        [true, true],
      );
    },
  );

  test("records of any size come back, wherever blocks end", () => {
    fc.assert(
      fc.property(fc.array(fc.integer({ min: 0, max: 70_000 }), { maxLength: 6 }), (sizes) => {
        expect(recordsIn(transactionLog(sizes.map((size, i) => new Uint8Array(size).fill(i)))).map(({ length }) => length)).toEqual(sizes);
      }),
      { seed: 1, numRuns: 20 },
    );
  });
});

const { own } = registry.wandb.write({ ...EVALUATION, asserted: ASSERTED });
const ID = "0123456789abcdef";

describe("an offline run", () => {
  test("lies in a folder that says when it began", () => {
    expect(own.path).toBe(`offline-run-20260304_050501-${ID}`); // 65.25 seconds before the end
    expect(Object.keys(own.files)).toEqual([
      `run-${ID}.wandb`,
      "files/config.yaml",
      "files/record.json",
      "files/wandb-metadata.json",
      "files/wandb-summary.json",
    ]);
  });

  const records = recordsIn(own.files[`run-${ID}.wandb`] as Uint8Array).map(fieldsOf);

  test("has a header, the run, a row, a summary, files and an end, numbered", () => {
    expect(records.map((one) => [one[1]![0], Object.keys(one)[1]])).toEqual([
      [1, "21"],
      [2, "17"],
      [3, "2"],
      [4, "3"],
      [5, "6"],
      [6, "18"],
    ]);
    expect(textOf(within(within(records[0]!, 21), 1)[1]![0])).toBe("lethe 1.2.3");
    const end = within(records[5]!, 18);
    expect(end).toEqual({ 1: [0], 2: [65] });
  });

  test("the run: its id, project, settings, notes, tags and start", () => {
    const run = within(records[1]!, 17);
    expect([1, 3, 7, 8].map((field) => textOf(run[field]![0]))).toEqual([ID, "lethe", "eval", "e1"]);
    expect(textOf(run[9]![0])).toContain("FAILS: upper(rouge1/forget)<0.6");
    expect(run[10]!.map(textOf)).toEqual(["lethe", "tofu", "assertions failed"]);
    expect(within(run, 17)).toEqual({ 1: [1_772_600_701], 2: [839_000_000] });
    expect(itemsIn(within(run, 4), 1)).toMatchObject({ model: '"org/model"', edit: '["edits/e1"]', limit: "5", lethe: '"1.2.3"' });
  });

  test("the numbers under names that W&B can sort by, as a row and as the summary", () => {
    const wanted = {
      "rouge1/forget": "0.5",
      "rouge1/forget_lower": "0.25",
      "rouge1/forget_upper": "0.75",
      "exact_match/forget": "0.3333333333333333",
      "rouge1/retain": "NaN",
      model_utility: "0.00001",
      "rouge1/__/x_y/____u0007_u202e____1": "Infinity",
      _step: "0",
      _timestamp: "1772600767.089",
      _runtime: "65.25",
    };
    expect(itemsIn(within(records[2]!, 2), 1)).toEqual(wanted);
    expect(itemsIn(within(records[3]!, 3), 1)).toEqual(wanted);
    const files = within(records[4]!, 6)[1]!.map((one) => textOf(fieldsOf(one as Uint8Array)[1]![0]));
    expect(files).toEqual(["config.yaml", "record.json", "wandb-metadata.json", "wandb-summary.json"]);
  });

  test("files that its pages show", () => {
    const config = parse(own.files["files/config.yaml"] as string) as Record<string, { value: unknown }>;
    expect(config["edit"]).toEqual({ value: ["edits/e1"] });
    expect(JSON.parse(own.files["files/wandb-metadata.json"] as string)).toEqual({
      startedAt: "2026-03-04T05:05:01.839Z",
      program: "lethe eval",
      lethe: "1.2.3",
    });
    expect(own.files["files/wandb-summary.json"]).toContain('"rouge1/forget": 0.5, ');
  });
});
