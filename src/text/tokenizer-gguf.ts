/** Converts the tokenizer in GGUF metadata to the tokenizer.json of the same model. */
import { fail, nearest } from "../base/fail.ts";
import { GPT2_SPLIT, LLAMA3_SPLIT, QWEN2_SPLIT } from "./tokenizer.ts";

type Json = Record<string, unknown>;
type Kv = Readonly<Record<string, unknown>>;

export interface GgufTokenizer {
  tokenizerJson: Json;
  tokenizerConfig: Json;
  chatTemplate?: string;
}

/** The values of `tokenizer.ggml.model`: byte-level BPE and SentencePiece BPE. */
export const MODEL = { bytes: "gpt2", pieces: "llama" } as const;

/** Token types of GGUF. */
export const TYPE = { normal: 1, unknown: 2, control: 3, userDefined: 4, unused: 5, byte: 6 };
const WHO = "GGUF tokenizer";
const BESIDE = "Put the model's tokenizer.json and the file into one folder, and name the folder.";

const split = (Regex: string): Json => ({ type: "Split", pattern: { Regex }, behavior: "Isolated", invert: false });
const byteLevel: Json = { type: "ByteLevel", add_prefix_space: false, trim_offsets: true, use_regex: false };
const digits: Json = { type: "Digits", individual_digits: true };
const sequence = (...pretokenizers: Json[]): Json => ({ type: "Sequence", pretokenizers });

/** The meaning of `tokenizer.ggml.pre`: how text is split, whether whole words skip the merges, normalisation, and the default for adding a BOS. */
interface Pre {
  names: readonly string[];
  /** The name that is written, where the first one means something else to llama.cpp. */
  written?: string;
  split: Json;
  ignoreMerges?: boolean;
  normalizer?: Json;
  addBos?: boolean;
}
const PRES: readonly Pre[] = [
  {
    names: ["default", "gpt-2", "phi-2", "mpt", "olmo", "jais", "exaone4"],
    written: "gpt-2",
    split: sequence(split(GPT2_SPLIT), byteLevel),
  },
  { names: ["smollm", "starcoder", "refact", "command-r", "codeshell", "exaone"], split: sequence(digits, split(GPT2_SPLIT), byteLevel) },
  {
    names: ["llama-bpe", "llama3", "llama-v3", "falcon3", "pixtral"],
    split: sequence(split(LLAMA3_SPLIT), byteLevel),
    ignoreMerges: true,
    addBos: true,
  },
  { names: ["dbrx", "smaug-bpe"], split: sequence(split(LLAMA3_SPLIT), byteLevel) },
  { names: ["stablelm2"], split: sequence(split(QWEN2_SPLIT), byteLevel) },
  { names: ["qwen2", "deepseek-r1-qwen"], split: sequence(split(QWEN2_SPLIT), byteLevel), normalizer: { type: "NFC" } },
];

/**
 * tokenizer.json, tokenizer_config.json and the chat template from GGUF metadata (plain or typed arrays, numbers or bigints).
 * Supports byte-level BPE ("gpt2"), by its pre-tokenizer's name, and SentencePiece BPE ("llama"); refuses others and lists these.
 */
export function tokenizerFromGguf(kv: Kv): GgufTokenizer {
  const model = kv["tokenizer.ggml.model"];
  const made =
    model === MODEL.bytes
      ? byteBpe(kv)
      : model === MODEL.pieces
        ? pieceBpe(kv)
        : fail(WHO, `tokenizer.ggml.model is ${shown(model)}`, "gpt2 or llama", BESIDE, "unavailable");
  const template = kv["tokenizer.chat_template"];
  if (template !== undefined && typeof template !== "string")
    fail(WHO, `tokenizer.chat_template is a ${typeof template}`, "text", BESIDE, "unavailable");
  return { ...made, ...(typeof template === "string" && template ? { chatTemplate: template } : {}) };
}

/** The patterns by which a pre-tokenizer of byte-level BPE splits, one after the other; undefined for another kind of pre-tokenizer. */
function splitsOf(part: Json): string[] | undefined {
  if (part["type"] === "Sequence") {
    const inner = (part["pretokenizers"] as Json[]).map(splitsOf);
    return inner.every((one) => one !== undefined) ? inner.flat() : undefined;
  }
  if (part["type"] === "Digits") return [part["individual_digits"] === true ? String.raw`\p{N}` : String.raw`\p{N}+`];
  if (part["type"] === "ByteLevel") return part["add_prefix_space"] === true ? undefined : part["use_regex"] === false ? [] : [GPT2_SPLIT];
  const { Regex } = (part["pattern"] ?? {}) as { Regex?: string };
  const isPlain = part["type"] === "Split" && part["behavior"] === "Isolated" && part["invert"] !== true && Regex !== undefined;
  return isPlain ? [Regex] : undefined;
}

/** The normalisation as text; a sequence of none is none. */
const normalised = (part: Json | null): string =>
  part === null || (part["type"] === "Sequence" && (part["normalizers"] as Json[]).length === 0) ? "" : String(part["type"]);

/** The value of `tokenizer.ggml.pre` for a tokenizer.json of byte-level BPE; undefined where none is known. */
export function preOf(tokenizerJson: Json): string | undefined {
  const { pre_tokenizer: part, normalizer, model } = tokenizerJson as Readonly<Record<string, Json | null>>;
  const found = part ? splitsOf(part)?.join("\n") : undefined;
  const pre = PRES.find(
    (known) =>
      splitsOf(known.split)!.join("\n") === found &&
      normalised(known.normalizer ?? null) === normalised(normalizer ?? null) &&
      (known.ignoreMerges ?? false) === (model?.["ignore_merges"] ?? false),
  );
  return pre && (pre.written ?? pre.names[0]!);
}

function byteBpe(kv: Kv): GgufTokenizer {
  const name = kv["tokenizer.ggml.pre"] ?? "default";
  const pre = PRES.find((p) => p.names.includes(String(name)));
  const names = PRES.flatMap((p) => p.names);
  if (!pre) {
    const near = nearest(String(name), names);
    return fail(
      WHO,
      `tokenizer.ggml.pre is ${shown(name)}, which is not supported`,
      `one of ${names.join(", ")}${near ? ` (perhaps ${near})` : ""}`,
      BESIDE,
      "unavailable",
    );
  }
  const vocabulary = vocabularyOf(kv);
  const merges = strings(kv, "tokenizer.ggml.merges").map((merge) => {
    const at = merge.indexOf(" ", 1);
    return at < 0
      ? fail(WHO, `merge ${shown(merge)} is not two tokens`, "two tokens with a space between", BESIDE, "unavailable")
      : [merge.slice(0, at), merge.slice(at + 1)];
  });
  return {
    tokenizerJson: {
      version: "1.0",
      truncation: null,
      padding: null,
      added_tokens: vocabulary.added,
      normalizer: pre.normalizer ?? null,
      pre_tokenizer: pre.split,
      post_processor: postProcessor(kv, vocabulary.tokens, pre.addBos ?? false),
      decoder: { type: "ByteLevel", add_prefix_space: true, trim_offsets: true, use_regex: true },
      model: {
        type: "BPE",
        dropout: null,
        unk_token: null,
        fuse_unk: false,
        byte_fallback: false,
        ignore_merges: pre.ignoreMerges ?? false,
        vocab: vocabulary.ids,
        merges,
      },
    },
    tokenizerConfig: configOf(kv, vocabulary.tokens, pre.addBos ?? false),
  };
}

function pieceBpe(kv: Kv): GgufTokenizer {
  const vocabulary = vocabularyOf(kv);
  const { tokens, types } = vocabulary;
  const scores = numbers(kv, "tokenizer.ggml.scores", tokens.length);
  if (scores.length === 0) fail(WHO, "tokenizer.ggml.scores is missing", `${tokens.length} scores`, BESIDE, "unavailable");
  const hasPrefix = flag(kv, "tokenizer.ggml.add_space_prefix", true);
  const replace = { type: "Replace", pattern: { String: " " }, content: "\u2581" };
  const unknown = tokens[idAt(kv, "tokenizer.ggml.unknown_token_id", tokens.length) ?? 0] ?? null;
  return {
    tokenizerJson: {
      version: "1.0",
      truncation: null,
      padding: null,
      added_tokens: vocabulary.added,
      normalizer: { type: "Sequence", normalizers: [...(hasPrefix ? [{ type: "Prepend", prepend: "\u2581" }] : []), replace] },
      pre_tokenizer: null,
      post_processor: postProcessor(kv, tokens, true),
      decoder: {
        type: "Sequence",
        decoders: [
          { type: "Replace", pattern: { String: "\u2581" }, content: " " },
          { type: "ByteFallback" },
          { type: "Fuse" },
          ...(hasPrefix ? [{ type: "Strip", content: " ", start: 1, stop: 0 }] : []),
        ],
      },
      model: {
        type: "BPE",
        dropout: null,
        unk_token: unknown,
        fuse_unk: true,
        byte_fallback: types.includes(TYPE.byte),
        ignore_merges: false,
        vocab: vocabulary.ids,
        merges: mergesOf(tokens, types, scores),
      },
    },
    tokenizerConfig: configOf(kv, tokens, true),
  };
}

/**
 * Merges that are equivalent to SentencePiece: every split of a piece into two pieces, the best-scored pieces first.
 * The order is that of the converter of Python's transformers: score, then length of the left and of the right part, then ids.
 */
export function mergesOf(tokens: readonly string[], types: readonly number[], scores: readonly number[]): [string, string][] {
  const ids = new Map<string, number>();
  tokens.forEach((token, id) => {
    if (isPiece(types[id])) ids.set(token, id);
  });
  const found: { pair: [string, string]; score: number; lengths: [number, number] }[] = [];
  for (const [token, id] of ids) {
    const characters = Array.from(token);
    if (characters.length > 256) continue;
    const cuts: { pair: [string, string]; at: number; key: [number, number] }[] = [];
    let left = "";
    for (let at = 1; at < characters.length; at++) {
      left += characters[at - 1]!;
      const a = ids.get(left);
      const b = a === undefined ? undefined : ids.get(token.slice(left.length));
      if (a !== undefined && b !== undefined) cuts.push({ pair: [left, token.slice(left.length)], at, key: [a, b] });
    }
    cuts.sort((x, y) => x.key[0] - y.key[0] || x.key[1] - y.key[1]);
    for (const { pair, at } of cuts) found.push({ pair, score: scores[id]!, lengths: [at, characters.length - at] });
  }
  return found.sort((x, y) => y.score - x.score || y.lengths[0] - x.lengths[0] || y.lengths[1] - x.lengths[1]).map((f) => f.pair);
}

const isPiece = (type: number | undefined): boolean =>
  type === undefined || type === TYPE.normal || type === TYPE.userDefined || type === TYPE.unused;

interface Vocabulary {
  tokens: string[];
  types: number[];
  ids: Record<string, number>;
  added: Json[];
}

/** Tokens by id; control and unknown tokens are special, user-defined ones are matched whole; the padding of the table is omitted. */
function vocabularyOf(kv: Kv): Vocabulary {
  const tokens = strings(kv, "tokenizer.ggml.tokens");
  if (tokens.length === 0) fail(WHO, "tokenizer.ggml.tokens is missing or empty", "the vocabulary", BESIDE, "unavailable");
  const types = numbers(kv, "tokenizer.ggml.token_type", tokens.length);
  const entries: [string, number][] = [];
  const added: Json[] = [];
  tokens.forEach((token, id) => {
    const type = types[id] ?? TYPE.normal;
    if (type === TYPE.unused && /^\[PAD\d+\]$/.test(token)) return;
    entries.push([token, id]);
    const isSpecial = type === TYPE.control || type === TYPE.unknown;
    if ((isSpecial || type === TYPE.userDefined) && token)
      added.push({ id, content: token, single_word: false, lstrip: false, rstrip: false, normalized: false, special: isSpecial });
  });
  return { tokens, types, ids: Object.fromEntries(entries), added };
}

function postProcessor(kv: Kv, tokens: readonly string[], addBos: boolean): Json {
  const [bos, eos] = ["bos", "eos"].map((name) => {
    const id = idAt(kv, `tokenizer.ggml.${name}_token_id`, tokens.length);
    return id !== undefined && flag(kv, `tokenizer.ggml.add_${name}_token`, name === "bos" && addBos) ? tokens[id] : undefined;
  });
  const special = (token: string | undefined): Json[] => (token === undefined ? [] : [{ SpecialToken: { id: token, type_id: 0 } }]);
  return {
    type: "TemplateProcessing",
    single: [...special(bos), { Sequence: { id: "A", type_id: 0 } }, ...special(eos)],
    pair: [],
    special_tokens: {},
  };
}

function configOf(kv: Kv, tokens: readonly string[], addBos: boolean): Json {
  const config: Json = {
    add_bos_token: flag(kv, "tokenizer.ggml.add_bos_token", addBos),
    add_eos_token: flag(kv, "tokenizer.ggml.add_eos_token", false),
  };
  for (const [key, name] of [
    ["bos_token", "bos"],
    ["eos_token", "eos"],
    ["unk_token", "unknown"],
    ["pad_token", "padding"],
  ] as const) {
    const id = idAt(kv, `tokenizer.ggml.${name}_token_id`, tokens.length);
    if (id !== undefined) config[key] = tokens[id];
  }
  return config;
}

function strings(kv: Kv, key: string): string[] {
  const list = kv[key];
  if (list === undefined) return [];
  if (!Array.isArray(list) || !list.every((t) => typeof t === "string"))
    return fail(WHO, `${key} is not a list of texts`, "a list of texts", BESIDE, "unavailable");
  return list as string[];
}

/** A list of numbers, empty when missing; any other length than the vocabulary's is refused. */
function numbers(kv: Kv, key: string, length: number): number[] {
  const list = kv[key];
  if (list === undefined) return [];
  const values = Array.isArray(list) || ArrayBuffer.isView(list) ? Array.from(list as ArrayLike<unknown>, Number) : [];
  if (values.length !== length || values.some(Number.isNaN))
    return fail(WHO, `${key} has ${values.length} numbers for ${length} tokens`, "one number per token", BESIDE, "unavailable");
  return values;
}

function idAt(kv: Kv, key: string, size: number): number | undefined {
  const value = kv[key];
  if (value === undefined) return undefined;
  const id = typeof value === "bigint" ? Number(value) : value;
  if (!Number.isInteger(id) || (id as number) < 0) return fail(WHO, `${key} is ${shown(value)}`, "an id", BESIDE, "unavailable");
  return (id as number) < size ? (id as number) : undefined;
}

function flag(kv: Kv, key: string, otherwise: boolean): boolean {
  const value = kv[key];
  if (value === undefined) return otherwise;
  return typeof value === "boolean" ? value : fail(WHO, `${key} is ${shown(value)}`, "true or false", BESIDE, "unavailable");
}

const shown = (value: unknown): string =>
  typeof value === "string" ? JSON.stringify(value.slice(0, 60)) : value === undefined ? "missing" : String(value).slice(0, 60);
