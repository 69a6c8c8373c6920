/** Tokenizers as GGUF metadata: read again they give the same ids; what GGUF has no words for is refused. */
import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { tokenizerMetadata } from "../../src/checkpoint/tokenizer-metadata.ts";
import { createTokenizer, type Tokenizer } from "../../src/text/tokenizer.ts";
import { tokenizerFromGguf } from "../../src/text/tokenizer-gguf.ts";

type Json = Record<string, unknown>;

const golden = JSON.parse(readFileSync(new URL("../text/tokenizers.golden.json", import.meta.url), "utf8")) as {
  texts: string[];
  tokenizers: Record<string, { json: Json }>;
};
const TEXTS = [
  ...golden.texts,
  ..."The capital of France|Paris|  double  space|tab\tand\nline\r\n|It's 12:30 o'clock|WE'LL|1234567|x²+y³|naïve|œuvre|привет|你好，世界|한국어|😀👍🏽".split(
    "|",
  ),
  ...'ﬁ ½|a\u0301|\u00a0|\'|"quoted"|a_b-c|https://a.b/c?d=e|{[()]}|…|10,000.50|end |\n\n\n|user@example.org|ÀÉÎ'.split("|"),
];
const NAMES = { bos_token: "<s>", eos_token: "</s>" };
const make = (json: unknown, config: Json = NAMES): Tokenizer => createTokenizer(json, config);
const jsonOf = (kind: string): Json => structuredClone(golden.tokenizers[kind]!.json);

/** The metadata of a tokenizer as a reader has them, and what the reader makes of them. */
function written(tokenizerJson: Json, rows: number, more: { chatTemplate?: string; kv?: Json; config?: Json } = {}) {
  const { config = NAMES, ...files } = more;
  const metadata = tokenizerMetadata({ tokenizerJson, tokenizerConfig: config, ...files }, make(tokenizerJson, config), rows);
  const kv = Object.fromEntries(Object.entries(metadata).map(([key, value]) => [key, Object.values(value)[0] as unknown]));
  return { kv, read: tokenizerFromGguf(kv) };
}

/** A SentencePiece tokenizer: pieces with their scores, as a GGUF file has them. */
const pieces = (hasPrefix: boolean): Json =>
  tokenizerFromGguf({
    "tokenizer.ggml.model": "llama",
    "tokenizer.ggml.tokens": [
      "<unk>",
      "<s>",
      "</s>",
      "<0x0A>",
      "<0xC3>",
      "▁",
      "t",
      "h",
      "e",
      "a",
      "th",
      "▁t",
      "he",
      "the",
      "▁the",
      "▁a",
      "<|user|>",
    ],
    "tokenizer.ggml.token_type": [2, 3, 3, 6, 6, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 4],
    "tokenizer.ggml.scores": [0, 0, 0, 0, 0, -9, -9, -9, -9, -9, -1, -2, -3, -4, -5, -6, 0],
    "tokenizer.ggml.add_space_prefix": hasPrefix,
    "tokenizer.ggml.bos_token_id": 1,
  }).tokenizerJson;

const kinds: readonly (readonly [string, Json, string])[] = [
  ["llama3", jsonOf("llama3"), "llama-bpe"],
  ["qwen", jsonOf("qwen"), "qwen2"],
  ["gpt2", jsonOf("gpt2"), "gpt-2"],
  ["pieces with a space before", pieces(true), "default"],
  ["pieces without", pieces(false), "default"],
];

test.each(kinds)("%s: the same ids on fifty texts, the same tokens, the same ends", (_, json, pre) => {
  const tokenizer = make(json);
  const { kv, read } = written(json, tokenizer.size + 3);
  expect(TEXTS.length).toBeGreaterThanOrEqual(50);
  expect(kv["tokenizer.ggml.pre"]).toBe(pre);
  const again = make(read.tokenizerJson, read.tokenizerConfig);
  for (const text of TEXTS) expect(again.encode(text), text).toEqual(tokenizer.encode(text));
  expect(again.hash).toBe(tokenizer.hash);
  expect([again.bos, again.eos]).toEqual([tokenizer.bos, tokenizer.eos]);
});

test("types of tokens, and padding up to the embedding's rows", () => {
  const { kv } = written(pieces(true), 19);
  expect(kv["tokenizer.ggml.token_type"]).toEqual([2, 3, 3, 6, 6, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 4, 5, 5]);
  expect((kv["tokenizer.ggml.tokens"] as string[]).slice(-2)).toEqual(["[PAD17]", "[PAD18]"]);
  expect(kv["tokenizer.ggml.unknown_token_id"]).toBe(0);
  expect([kv["tokenizer.ggml.add_bos_token"], kv["tokenizer.ggml.add_space_prefix"]]).toEqual([true, true]);
});

test("the end of a chat model is what its template writes", () => {
  const json = jsonOf("gpt2");
  const chatTemplate = "{% for m in messages %}{{ m.content }}<|x|>{% endfor %}";
  const tokenizer = createTokenizer(json, NAMES, { eos_token_id: [1, 2] });
  const metadata = tokenizerMetadata({ tokenizerJson: json, tokenizerConfig: NAMES, chatTemplate }, tokenizer, tokenizer.size);
  expect(metadata["tokenizer.ggml.eos_token_id"]).toEqual({ uint32: 2 });
  expect(metadata["tokenizer.ggml.eot_token_id"]).toEqual({ uint32: 2 });
  expect(metadata["tokenizer.chat_template"]).toEqual({ string: chatTemplate });
});

test("the name of the source's GGUF file comes first; a wrong one is refused, because it gives other ids", () => {
  const json = jsonOf("gpt2");
  const { size } = make(json);
  expect(written(json, size, { kv: { "tokenizer.ggml.pre": "phi-2" } }).kv["tokenizer.ggml.pre"]).toBe("phi-2");
  expect(() => written(json, size, { kv: { "tokenizer.ggml.pre": "llama-bpe" } })).toThrow(
    /in another way; wanted the same ids.*safetensors/,
  );
});

test("refused with a way out: words, an unnamed way to split, merges without scores", () => {
  const unnamed = { ...jsonOf("gpt2"), pre_tokenizer: { type: "ByteLevel", add_prefix_space: false, use_regex: false } };
  expect(() => written(jsonOf("wordpiece"), 999)).toThrow(/of the kind WordPiece; wanted byte-level BPE/);
  expect(() => written(unnamed, 999)).toThrow(/splits text in a way without a name in GGUF.*convert_hf_to_gguf/);
  expect(() => written(jsonOf("llama2"), 999)).toThrow(/merges do not follow from the scores/);
});
