/** Sentence encoders: a small ONNX file worked by hand, folders that lack or garble something, and the model's own hidden states. */
import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, it } from "vitest";
import { floats, type NdArray } from "../../src/base/array.ts";
import { type Context, defaultContext } from "../../src/base/context.ts";
import { chosenEncoder, namedEncoder, ownEncoder } from "../../src/model/encoders.ts";
import { openEncoder } from "../../src/text/encoder.ts";
import { load } from "../../src/model/load.ts";
import { encode, model as onnxModel, node, tensor, value } from "../../src/onnx/proto.ts";
import { Sessions } from "../../src/onnx/session.ts";

const WORDS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "what", "is", "rain", "##y", "red"];
/** Token i lies in direction i, the longer the later. */
const table = floats(
  WORDS.flatMap((_, i) => WORDS.map((_, j) => (i === j ? i + 1 : 0))),
  [WORDS.length, WORDS.length],
);
const special = (id: string) => ({ SpecialToken: { id, type_id: 0 } });
const tokenizer = {
  version: "1.0",
  truncation: { max_length: 3 },
  added_tokens: ["[PAD]", "[UNK]", "[CLS]", "[SEP]"].map((content, id) => ({
    id,
    content,
    special: true,
    single_word: false,
    lstrip: false,
    rstrip: false,
    normalized: false,
  })),
  normalizer: { type: "BertNormalizer", clean_text: true, handle_chinese_chars: true, strip_accents: null, lowercase: true },
  pre_tokenizer: { type: "BertPreTokenizer" },
  post_processor: {
    type: "TemplateProcessing",
    single: [special("[CLS]"), { Sequence: { id: "A", type_id: 0 } }, special("[SEP]")],
    pair: [special("[CLS]"), { Sequence: { id: "A", type_id: 0 } }, special("[SEP]")],
    special_tokens: Object.fromEntries(["[CLS]", "[SEP]"].map((id) => [id, { id, ids: [WORDS.indexOf(id)], tokens: [id] }])),
  },
  decoder: { type: "WordPiece", prefix: "##", cleanup: true },
  model: {
    type: "WordPiece",
    unk_token: "[UNK]",
    continuing_subword_prefix: "##",
    max_input_chars_per_word: 100,
    vocab: Object.fromEntries(WORDS.map((word, id) => [word, id])),
  },
};

/** A file that looks each token up in the table; `flat` leaves the tokens' axis out. */
function onnx({ input = "input_ids", shape = ["B", "T", WORDS.length] as (string | number)[], op = "Gather" } = {}): Uint8Array {
  const nodes = [node(op, "", ["table", input], ["last_hidden_state"], op === "Gather" ? { axis: 0 } : {})];
  const graph = {
    nodes,
    initializers: [tensor("table", table)],
    inputs: [value(input, "int64", ["B", "T"])],
    outputs: [value("last_hidden_state", "float32", shape)],
  };
  return encode(onnxModel(graph, 21));
}

const root = mkdtempSync(join(tmpdir(), "lethe-encoder-"));
afterAll(() => rmSync(root, { recursive: true, force: true }));

/** A folder with an encoder; what is given stands in place of a file's content. */
function folderOf(name: string, files: Readonly<Record<string, string | Uint8Array>> = {}): string {
  const folder = join(root, name);
  mkdirSync(join(folder, "1_Pooling"), { recursive: true });
  for (const [file, content] of Object.entries({ "model.onnx": onnx(), "tokenizer.json": JSON.stringify(tokenizer), ...files }))
    writeFileSync(join(folder, file), content);
  return folder;
}

const rows = ({ shape, data }: NdArray): number[][] =>
  Array.from({ length: shape[0]! }, (_, i) => [...(data as Float32Array).subarray(i * shape[1]!, (i + 1) * shape[1]!)]);
const meanOf = (ids: readonly number[]): number[] => {
  const sum = WORDS.map((_, j) => ids.filter((id) => id === j).length * (j + 1));
  const length = Math.hypot(...sum);
  return sum.map((x) => x / length);
};

describe("an encoder from a folder", () => {
  const ctx: Context = defaultContext({ cache: join(root, "cache"), encoder: undefined });
  const sessions = new Sessions(1);
  afterAll(() => sessions.release());
  const near = (ours: readonly number[], wanted: readonly number[]): void => ours.forEach((x, j) => expect(x).toBeCloseTo(wanted[j]!, 6));

  it("gives the mean over all tokens, both ends too, at unit length, whatever stands beside it in a batch", async () => {
    const encoder = openEncoder(folderOf("plain"), sessions);
    const texts = ["What is rain?", "", "rainy Rainy rainy rainy rainy rainy"];
    const vectors = rows(await encoder.embed(texts, ctx));
    near(vectors[0]!, meanOf([2, 4, 5, 6, 1, 3]));
    near(vectors[1]!, meanOf([2, 3]));
    near(vectors[2]!, meanOf([2, ...Array<number[]>(6).fill([6, 7]).flat(), 3]));
    for (const [i, text] of texts.entries()) expect(rows(await encoder.embed([text], ctx))[0]).toEqual(vectors[i]);
    expect((await encoder.embed([], ctx)).shape[0]).toBe(0);
  });

  it("cuts where sentence-transformers' settings say, keeping both ends, and pools as they say", async () => {
    const short = openEncoder(folderOf("short", { "sentence_bert_config.json": '{"max_seq_length": 8}' }), sessions);
    expect(short.tokens("what ".repeat(20))).toEqual([2, 4, 4, 4, 4, 4, 4, 3]);
    expect(openEncoder(folderOf("long"), sessions).tokens("what ".repeat(400))).toHaveLength(256);
    const first = openEncoder(folderOf("first", { "1_Pooling/config.json": '{"pooling_mode_cls_token": true}' }), sessions);
    near(rows(await first.embed(["what is"], ctx))[0]!, meanOf([2]));
  });

  it("is known by name and content, wherever it lies", () => {
    const id = openEncoder(folderOf("one/words"), sessions).id;
    expect(id).toMatch(/^words@[0-9a-f]{16}$/);
    cpSync(join(root, "one"), join(root, "two"), { recursive: true });
    expect(openEncoder(join(root, "two/words"), sessions).id).toBe(id);
    const other = JSON.stringify({ ...tokenizer, normalizer: null });
    expect(openEncoder(folderOf("three/words", { "tokenizer.json": other }), sessions).id).not.toBe(id);
  });

  it("is found again where it was seen, or where LETHE_ENCODER says; another in its place is refused", async () => {
    const model = await load("bundled");
    try {
      const folder = folderOf("found");
      const { id } = await chosenEncoder(model, folder, ctx);
      expect((await namedEncoder(model, id, ctx)).id).toBe(id);
      const elsewhere = { ...ctx, cache: join(root, "empty") };
      await expect(namedEncoder(model, id, elsewhere)).rejects.toThrow(/found@\w+, which is not at hand; .*Set LETHE_ENCODER/);
      expect((await namedEncoder(model, id, { ...elsewhere, encoder: folder })).id).toBe(id);
      const other = folderOf("other", { "tokenizer.json": JSON.stringify({ ...tokenizer, normalizer: null }) });
      await expect(namedEncoder(model, id, { ...elsewhere, encoder: other })).rejects.toThrow(/other holds found@/);
      expect((await chosenEncoder(model, undefined, ctx)).id).toBe("own:0");
      await expect(chosenEncoder(model, join(root, "nowhere"), ctx)).rejects.toThrow(/there is no folder .*nowhere.*LETHE_ENCODER/);
    } finally {
      await model.release();
    }
  });

  const text = "what is red";
  const whole = onnx();
  const bad: readonly (readonly [what: string, files: Record<string, string | Uint8Array>, complaint: RegExp])[] = [
    ["a model cut short", { "model.onnx": whole.slice(0, whole.length / 2) }, /no model that ONNX Runtime opens/],
    ["a model that is text", { "model.onnx": "not a model" }, /no model that ONNX Runtime opens/],
    ["a model with another input", { "model.onnx": onnx({ input: "pixels" }) }, /wants the input "pixels"; wanted inputs among input_ids/],
    ["a tokenizer that is no JSON", { "tokenizer.json": "{" }, /tokenizer.json is not JSON/],
    ["a tokenizer without a model", { "tokenizer.json": "{}" }, /tokenizer.json: model/],
    ["a length that is none", { "sentence_bert_config.json": '{"max_seq_length": "long"}' }, /max_seq_length "long"/],
    ["settings that are a list", { "sentence_bert_config.json": "[]" }, /is not a JSON object/],
    ["another pooling", { "1_Pooling/config.json": '{"pooling_mode_max_tokens": true}' }, /pooling_mode_max_tokens/],
  ];
  it.each(bad)("refuses %s", async (what, files, complaint) => {
    const work = async (): Promise<unknown> => openEncoder(folderOf(what.replaceAll(" ", "-"), files), sessions).embed([text], ctx);
    await expect(work()).rejects.toThrow(complaint);
  });
  it("refuses a model that gives something else than vectors", async () => {
    const flat = openEncoder(folderOf("flat", { "model.onnx": onnx({ op: "GatherElements", shape: ["B", "T"] }) }), sessions);
    await expect(flat.embed([text], ctx)).rejects.toThrow(/stopped|gives "last_hidden_state"/);
  });
  it("refuses a folder without its files", () => {
    expect(() => openEncoder(root, sessions)).toThrow(/there is no model.onnx and no tokenizer.json/);
    const half = folderOf("half");
    rmSync(join(half, "tokenizer.json"));
    expect(() => openEncoder(half, sessions)).toThrow(/there is no tokenizer.json in/);
    expect(readFileSync(join(half, "model.onnx")).length).toBeGreaterThan(0);
  });
  it("stops when asked to", async () => {
    const stop = new AbortController();
    stop.abort();
    await expect(openEncoder(folderOf("stopped"), sessions).embed([text], { ...ctx, signal: stop.signal })).rejects.toMatchObject({
      trouble: "aborted",
    });
  });
});

describe("the model's own hidden states", () => {
  const ctx = defaultContext();
  const model = load("bundled");
  afterAll(async () => (await model).release());

  it("tell the same question from others, whatever stands beside it in a batch", async () => {
    const encoder = ownEncoder(await model);
    const texts = ["What is the capital of Norvane?", "Hello!", ""];
    const vectors = rows(await encoder.embed(texts, ctx));
    const dot = (a: number[], b: number[]): number => a.reduce((s, x, j) => s + x * b[j]!, 0);
    for (const [i, one] of texts.entries()) expect(dot(rows(await encoder.embed([one], ctx))[0]!, vectors[i]!)).toBeCloseTo(1, 5);
    expect(dot(vectors[0]!, vectors[1]!)).toBeLessThan(0.99);
  });
  it("refuse a layer that is not there", async () => {
    const m = await model;
    expect(() => ownEncoder(m, m.config.layers)).toThrow(/layer \d+ of the model's own/);
    await expect(namedEncoder(m, "own:99", ctx)).rejects.toThrow(/layer 99/);
  });
});
