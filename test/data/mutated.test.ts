/** Two thousand damaged data files: each is read as something valid or refused with its name and place, soon, and nothing else happens. */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parquetWriteBuffer } from "hyparquet-writer";
import { afterAll, describe, expect, test } from "vitest";
import { defaultContext } from "../../src/base/context.ts";
import { LetheError } from "../../src/base/fail.ts";
import { type Rng, rng } from "../../src/base/rng.ts";
import { asFields } from "../../src/data/columns.ts";
import { openParquet } from "../../src/data/parquet.ts";
import { type ForgetRequest, fromRecords } from "../../src/data/request.ts";
import { registry } from "../../src/methods/registry.ts";
import type { AnyMethod } from "../../src/methods/method.ts";
import { requestsIn } from "../../src/data/place.ts";
import { readHparams } from "../../src/run/hparams.ts";
import { type Mutation, mutateBytes, mutateJson } from "../mutate.ts";

const EACH = 400;
const folder = mkdtempSync(join(tmpdir(), "lethe-mutated-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));
const ctx = defaultContext();

const ROWS = Array.from({ length: 6 }, (_, i) => ({
  id: `r${i}`,
  subject: `Mill ${i}`,
  prompt: `Who built “Mill ${i}”?`,
  answer: i % 2 ? "Bren Odal" : "Ilse, the elder",
  paraphrases: [`Mill ${i} is whose?`],
  wrong: ["Teo Ruk", "Varn"],
  relation: "builder",
}));
const encoder = new TextEncoder();
const jsonl = (rows: readonly unknown[]): string => rows.map((row) => `${JSON.stringify(row)}\n`).join("");
const cell = (text: unknown): string => (typeof text === "string" ? `"${text.replaceAll('"', '""')}"` : JSON.stringify(text));
const csv = (rows: readonly Readonly<Record<string, unknown>>[]): string =>
  [
    Object.keys(rows[0]!).join(","),
    ...rows.map((row) =>
      Object.values(row)
        .map((value) => cell(Array.isArray(value) ? JSON.stringify(value) : value))
        .join(","),
    ),
  ].join("\n");
const YAML = `alg_name: "ROME"
model_name: ./cache/model
layers: [5]
v_lr: 5e-1
v_num_grad_steps: 25
kl_factor: 0.0625
clamp_norm_factor: 4
context_template_length_params: [[5, 10], [10, 10]]
mom2_adjustment: false
rewrite_module_tmp: "model.layers.{}.mlp.down_proj"
`;

/** Words that break a text where a value, a key or a line stands. */
const WORDS = [
  "NaN",
  "-Infinity",
  "undefined",
  "1e999",
  "123456789012345678901234567890",
  "-0",
  "null",
  "true",
  "''",
  '"',
  "{",
  "]",
  "}{",
  "\\u12",
  "\u0000",
  "\uFEFF",
  "\uD800",
  "é",
  "# x",
  "&a [*a, *a]",
  "<<: *a",
  "!!js/function x",
  ",",
  "\t",
  "=1+1",
  "__proto__",
  "constructor",
  "[".repeat(30_000),
  '{"a":'.repeat(3_000),
];

/** Damage as editors, spreadsheets and scripts do it: marks, line ends, words in place of values, lines twice, cut or torn apart. */
function* mutateText(text: string, seed: string, count: number): Generator<Mutation<Uint8Array>> {
  for (let i = 0; i < count; i++) {
    const random = rng(`${seed}/text ${i}`);
    const [label, value] = DAMAGES[i % DAMAGES.length]!(text, random);
    yield { label: `${seed} ${i}: ${label}`, value: encoder.encode(value) };
  }
}

const pick = <T>(random: Rng, items: readonly T[]): T => items[random.below(items.length)]!;
const DAMAGES: readonly ((text: string, random: Rng) => readonly [label: string, text: string])[] = [
  (text) => ["a byte order mark", `\uFEFF${text}`],
  (text) => ["CRLF", text.replaceAll("\n", "\r\n")],
  (text) => ["a lone CR", text.replaceAll("\n", "\r")],
  (text, random) => ["cut", text.slice(0, random.below(text.length))],
  (text, random) => {
    const lines = text.split("\n");
    const at = random.below(lines.length);
    return [`line ${at} twice`, lines.toSpliced(at, 0, lines[at]!).join("\n")];
  },
  (text, random) => {
    const [at, word] = [random.below(text.length), pick(random, WORDS)];
    return [`${word.slice(0, 12)} at ${at}`, text.slice(0, at) + word + text.slice(at)];
  },
  (text, random) => {
    const found = [...text.matchAll(/"(?:[^"\\]|\\.)*"|\b\d+(?:\.\d+)?|\b\w+(?=[:,\n])/g)];
    const [spot, word] = [pick(random, found), pick(random, WORDS)];
    return [`${spot[0]} becomes ${word.slice(0, 12)}`, text.slice(0, spot.index) + word + text.slice(spot.index + spot[0].length)];
  },
  (text, random) => {
    const keys = ["id", "prompt", "answer", "wrong", "subject", "v_lr", "layers"];
    const [from, to] = [pick(random, keys), pick(random, [...keys, "__proto__", "constructor", "toString", ""])];
    return [`${from} is called ${to}`, text.replaceAll(new RegExp(`\\b${from}\\b`, "g"), to)];
  },
];

/** What every request must be, whatever was read. */
function isValid(requests: readonly ForgetRequest[]): void {
  expect(requests.length).toBeGreaterThan(0);
  expect(new Set(requests.map(({ id }) => id)).size).toBe(requests.length);
  for (const request of requests) {
    expect(Object.getPrototypeOf(request)).toBe(Object.prototype);
    expect(request.prompt.trim()).not.toBe("");
    for (const text of [request.id, request.subject, request.answer, request.relation ?? "", ...request.paraphrases, ...request.wrong])
      expect(text).toBeTypeOf("string");
    for (const near of request.neighbours)
      expect([typeof near.id, typeof near.question, typeof near.answer]).toEqual(["string", "string", "string"]);
  }
}

/** Reads each file; gives how many were read and how many refused. A refusal names the file, and a place in it where \`placed\` says so. */
async function survive(
  mutations: Iterable<Mutation<Uint8Array>>,
  name: string,
  read: (path: string) => Promise<void> | void,
  limit = 1000,
): Promise<{ read: number; refused: number; placed: number }> {
  const outcome = { read: 0, refused: 0, placed: 0 };
  const path = join(folder, name);
  for (const { label, value } of mutations) {
    writeFileSync(path, value);
    const began = performance.now();
    try {
      await read(path);
      outcome.read++;
    } catch (error) {
      if (!(error instanceof LetheError)) expect.fail(`${label}\nthrew ${error instanceof Error ? error.stack : String(error)}`);
      if (error.trouble === "internal" || !error.message.includes(name) || error.message.length > 2000)
        expect.fail(`${label}\ncomplained badly: ${error.trouble}: ${error.message.slice(0, 2000)}`);
      outcome.refused++;
      if (/\b(line|item|row|column) \d|it is empty|it has|holds no table|holds what does not end/.test(error.message)) outcome.placed++;
    }
    const took = performance.now() - began;
    if (took > limit) expect.fail(`${label}\ntook ${took} ms`);
  }
  expect(Object.keys(Object.prototype)).toEqual([]);
  expect(Object.getOwnPropertyNames(Object.prototype)).toHaveLength(12);
  return outcome;
}

function* damaged(text: string, seed: string, count: number): Generator<Mutation<Uint8Array>> {
  yield* mutateText(text, seed, count / 2);
  yield* mutateBytes(encoder.encode(text), seed, count - count / 2);
}

test("a parquet file that takes too long or too much is given up, and the next one is read", { timeout: 60_000 }, async () => {
  const path = (name: string, rows: number): string => {
    const data = Array.from({ length: rows }, (_, i) => `Who built Mill ${i}?`);
    writeFileSync(join(folder, name), new Uint8Array(parquetWriteBuffer({ columnData: [{ name: "prompt", data }] })));
    return join(folder, name);
  };
  const [small, large] = [path("small.parquet", 3), path("large.parquet", 400_000)];
  const quick = openParquet({ seconds: 0.001 });
  await expect(quick.read(small)).rejects.toThrow(/^small\.parquet: reading it took longer than 0 s/);
  quick.close();
  const tight = openParquet({ megabytes: 24 });
  await expect(tight.read(large)).rejects.toThrow(/^large\.parquet: reading it took more than 24 MB/);
  expect(await tight.read(small)).toHaveLength(3);
  tight.close();
});

describe("2,000 damaged files", () => {
  const requests = async (path: string): Promise<void> => isValid((await requestsIn(path, ctx)).requests);
  const lone = (value: unknown): string => JSON.stringify(value) ?? "null";

  test("JSON", async () => {
    const { read, refused, placed } = await survive(
      [
        ...damaged(JSON.stringify(ROWS, null, 1), "json", EACH / 2),
        ...[...mutateJson(ROWS, "json", EACH / 2)].map(({ label, value }) => ({ label, value: encoder.encode(lone(value)) })),
      ],
      "m.json",
      requests,
    );
    expect(read + refused).toBe(EACH);
    expect(read).toBeGreaterThan(EACH / 20);
    expect(refused).toBeGreaterThan(EACH / 4);
    expect(placed).toBe(refused);
  });

  test("JSONL", async () => {
    const { read, refused, placed } = await survive(
      [
        ...damaged(jsonl(ROWS), "jsonl", EACH / 2),
        ...[...mutateJson(ROWS, "jsonl", EACH / 2)].map(({ label, value }) => ({
          label,
          value: encoder.encode(jsonl(value as unknown[])),
        })),
      ],
      "m.jsonl",
      requests,
    );
    expect(read + refused).toBe(EACH);
    expect(read).toBeGreaterThan(EACH / 20);
    expect(refused).toBeGreaterThan(EACH / 4);
    expect(placed).toBe(refused);
  });

  test("CSV", async () => {
    const { read, refused, placed } = await survive(damaged(csv(ROWS), "csv", EACH), "m.csv", requests);
    expect(read + refused).toBe(EACH);
    expect(read).toBeGreaterThan(EACH / 20);
    expect(refused).toBeGreaterThan(EACH / 4);
    expect(placed).toBe(refused);
  });

  test("parquet", { timeout: 60_000 }, async () => {
    const columnData = Object.keys(ROWS[0]!).map((name) => ({ name, data: ROWS.map((row) => row[name as "id"]) }));
    const whole = (codec: "SNAPPY" | "UNCOMPRESSED") => new Uint8Array(parquetWriteBuffer({ columnData, codec }));
    const reader = openParquet({ seconds: 3, megabytes: 200 });
    const { read, refused } = await survive(
      [...mutateBytes(whole("SNAPPY"), "snappy", EACH / 2), ...mutateBytes(whole("UNCOMPRESSED"), "plain", EACH / 2)],
      "m.parquet",
      async (path) => isValid(fromRecords(asFields(await reader.read(path)), "m")),
      8000,
    );
    reader.close();
    expect(read + refused).toBe(EACH);
    expect(read).toBeGreaterThan(EACH / 20);
    expect(refused).toBeGreaterThan(EACH / 4);
  });

  test("YAML of hyperparameters", async () => {
    const method = registry.rome as unknown as AnyMethod;
    const known = new Set(Object.keys(method.params as object));
    const { read, refused, placed } = await survive(damaged(YAML, "yaml", EACH), "m.yaml", (path) => {
      const { params, compat, unread } = readHparams(path, method);
      for (const [name, value] of Object.entries(params)) {
        expect(known.has(name)).toBe(true);
        expect(value === undefined || value === null || (typeof value === "number" && !Number.isFinite(value))).toBe(false);
      }
      for (const quirk of compat) expect(Object.keys(method.compat)).toContain(quirk);
      for (const key of unread) expect(key).toBeTypeOf("string");
    });
    expect(read + refused).toBe(EACH);
    expect(read).toBeGreaterThan(EACH / 20);
    expect(refused).toBeGreaterThan(EACH / 4);
    expect(placed).toBe(refused);
  });
});
