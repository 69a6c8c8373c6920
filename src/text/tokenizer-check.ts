/** Checks the structure of a tokenizer.json before it is used, so that errors name the faulty place. */
import { z } from "zod";
import { fail } from "../base/fail.ts";

export type Json = Record<string, unknown>;

/** A tokenizer.json whose every part is known to be well formed. */
export interface CheckedTokenizer {
  readonly normalizer: Json | null;
  readonly pre_tokenizer: Json | null;
  readonly post_processor: Json | null;
  readonly decoder: Json | null;
  readonly added_tokens: readonly AddedToken[];
  readonly model: CheckedModel;
}
export interface AddedToken {
  id: number;
  content: string;
  special: boolean;
  lstrip: boolean;
  rstrip: boolean;
  normalized: boolean;
  single_word: boolean;
}
export interface CheckedModel {
  readonly type: "BPE" | "WordPiece" | "Unigram";
  readonly fields: Json;
  /** Token of each id before added tokens. */
  readonly tokens: ReadonlyMap<number, string>;
  readonly merges: readonly (readonly [string, string])[];
}

const WHO = "tokenizer.json";
const HINT = "The file may be damaged. Download it again, or save it again with the library that made it.";
const refuse = (where: string, got: string, wanted: string): never => fail(WHO, `${where} ${got}`, wanted, HINT, "unavailable");

const text = z.string().max(10_000);
const flag = z.boolean().nullish();
const count = z.int().min(0).max(1_000_000).nullish();
const pattern = z.union([z.object({ String: text.min(1) }), z.object({ Regex: text.min(1) })]);
const named = z.tuple([text, z.int().min(0)]);
const item = z.union([
  z.object({ SpecialToken: z.object({ id: text, type_id: z.int().nullish() }) }),
  z.object({ Sequence: z.object({ id: z.enum(["A", "B"]), type_id: z.int().nullish() }) }),
]);
const none = z.object({});
const metaspace = z.object({
  replacement: z
    .string()
    .refine((s) => [...s].length === 1, "one character")
    .nullish(),
  prepend_scheme: z.enum(["always", "first", "never"]).nullish(),
  add_prefix_space: flag,
  str_rep: text.nullish(),
});
const bytes = z.object({ add_prefix_space: flag, trim_offsets: flag, use_regex: flag });
const frame = z.object({ sep: named, cls: named });

/** The fields of every component, by section and type. */
const PARTS = {
  normalizer: {
    list: "normalizers",
    parts: {
      BertNormalizer: z.object({ clean_text: flag, handle_chinese_chars: flag, strip_accents: flag, lowercase: flag }),
      Precompiled: z.object({ precompiled_charsmap: z.string().nullish() }),
      Replace: z.object({ pattern, content: text.nullish() }),
      NFC: none,
      NFD: none,
      NFKC: none,
      NFKD: none,
      Strip: z.object({ strip_left: flag, strip_right: flag }),
      StripAccents: none,
      Lowercase: none,
      Prepend: z.object({ prepend: text }),
    } as Record<string, z.ZodType>,
  },
  pre_tokenizer: {
    list: "pretokenizers",
    parts: {
      BertPreTokenizer: none,
      Whitespace: none,
      WhitespaceSplit: none,
      Metaspace: metaspace,
      ByteLevel: bytes,
      Split: z.object({ pattern, behavior: text.nullish(), invert: flag }),
      Punctuation: z.object({ behavior: text.nullish() }),
      Digits: z.object({ individual_digits: flag }),
      Replace: z.object({ pattern, content: text.nullish() }),
      FixedLength: z.object({ length: z.int().min(1) }),
    } as Record<string, z.ZodType>,
  },
  post_processor: {
    list: "processors",
    parts: {
      TemplateProcessing: z.object({ single: z.array(item).max(64), pair: z.array(item).max(64).nullish() }),
      ByteLevel: bytes,
      BertProcessing: frame,
      RobertaProcessing: frame,
    } as Record<string, z.ZodType>,
  },
  decoder: {
    list: "decoders",
    parts: {
      ByteLevel: bytes,
      WordPiece: z.object({ prefix: text.nullish(), cleanup: flag }),
      Metaspace: metaspace,
      BPEDecoder: z.object({ suffix: text.nullish() }),
      CTC: z.object({ pad_token: text.nullish(), word_delimiter_token: text.nullish(), cleanup: flag }),
      Replace: z.object({ pattern, content: text.nullish() }),
      Fuse: none,
      Strip: z.object({ content: text.nullish(), start: count, stop: count }),
      ByteFallback: none,
    } as Record<string, z.ZodType>,
  },
};

/** The file as checked parts; refuses wrong types, unknown components, and ids or merges without tokens, and names the place. */
export function checkTokenizer(file: unknown): CheckedTokenizer {
  const json = objectAt(file, "the file");
  const part = (section: keyof typeof PARTS): Json | null => checkPart(json[section], section, section, 0);
  const [normalizer, pre_tokenizer, post_processor, decoder] = [
    part("normalizer"),
    part("pre_tokenizer"),
    part("post_processor"),
    part("decoder"),
  ];
  const model = checkModel(objectAt(json["model"], "model"));
  const added_tokens = checkAdded(json["added_tokens"], model.tokens.size);
  const unknown = model.fields["unk_token"];
  if (
    typeof unknown === "string" &&
    unknown &&
    !added_tokens.some((a) => a.content === unknown) &&
    ![...model.tokens.values()].includes(unknown)
  )
    refuse("model.unk_token", `is ${quote(unknown)}, which is not a token`, "a token of the vocabulary");
  return { normalizer, pre_tokenizer, post_processor, decoder, added_tokens, model };
}

function checkPart(value: unknown, section: keyof typeof PARTS, path: string, depth: number): Json | null {
  if (value === null || value === undefined) return null;
  if (depth > 16) refuse(section, "is nested more than 16 deep", "a few levels");
  const given = objectAt(value, path);
  const { list, parts } = PARTS[section];
  const type = given["type"];
  if (type === "Sequence") {
    const inner = given[list];
    if (!Array.isArray(inner) || inner.length > 64) refuse(`${path}.${list}`, `is ${kindOf(inner)}`, "a list of at most 64 parts");
    const checked = (inner as unknown[]).map((v, k) => checkPart(v, section, `${path}.${list}[${k}]`, depth + 1));
    return { type, [list]: checked.filter((c) => c !== null) };
  }
  if (typeof type !== "string" || !Object.hasOwn(parts, type))
    return refuse(`${path}.type`, `is ${quote(type)}`, `one of Sequence, ${Object.keys(parts).join(", ")}`);
  const result = parts[type]!.safeParse(given);
  if (!result.success) {
    const issue = result.error.issues[0]!;
    refuse([path, ...issue.path].join("."), `does not fit: ${issue.message}`, `the fields of ${type}`);
  }
  return { ...dropNull(given) };
}

/** Removes null fields: for us they equal missing fields, but not for every reader. */
const dropNull = (given: Json): Json => Object.fromEntries(Object.entries(given).filter(([, v]) => v !== null));

function checkModel(model: Json): CheckedModel {
  const type = model["type"] ?? (Array.isArray(model["vocab"]) ? "Unigram" : "merges" in model ? "BPE" : "WordPiece");
  if (type !== "BPE" && type !== "WordPiece" && type !== "Unigram")
    return refuse("model.type", `is ${quote(type)}`, "BPE, WordPiece or Unigram");
  for (const key of ["fuse_unk", "byte_fallback", "ignore_merges"])
    if (model[key] !== undefined && model[key] !== null && typeof model[key] !== "boolean")
      refuse(`model.${key}`, `is ${kindOf(model[key])}`, "true or false");
  for (const key of ["unk_token", "continuing_subword_prefix", "end_of_word_suffix"])
    if (model[key] !== undefined && model[key] !== null && typeof model[key] !== "string")
      refuse(`model.${key}`, `is ${kindOf(model[key])}`, "text");
  if (type === "Unigram") return checkUnigram(model);
  if (type === "BPE" && (model["continuing_subword_prefix"] || model["end_of_word_suffix"]))
    refuse("model", "marks words with a prefix or suffix", "a byte-level or SentencePiece-like BPE");
  if (type === "WordPiece") {
    const longest = model["max_input_chars_per_word"];
    if (longest !== undefined && longest !== null && !(Number.isInteger(longest) && (longest as number) > 0))
      refuse("model.max_input_chars_per_word", `is ${quote(longest)}`, "a positive whole number");
    if (typeof model["unk_token"] !== "string") refuse("model.unk_token", `is ${kindOf(model["unk_token"])}`, "text");
  }
  const { tokens, ids } = checkVocabulary(model["vocab"]);
  const merges = type === "BPE" ? checkMerges(model["merges"], ids) : [];
  const { vocab: _vocab, merges: _merges, ...fields } = model;
  return {
    type,
    fields: { continuing_subword_prefix: "##", ...dropNull(fields), type, vocab: model["vocab"], ...(type === "BPE" ? { merges } : {}) },
    tokens,
    merges,
  };
}

function checkVocabulary(vocab: unknown): { tokens: Map<number, string>; ids: ReadonlyMap<string, number> } {
  const entries = Object.entries(objectAt(vocab, "model.vocab")) as [string, unknown][];
  if (entries.length === 0) refuse("model.vocab", "is empty", "tokens with their ids");
  const ids = new Map<string, number>();
  const tokens = new Map<number, string>();
  for (const [token, id] of entries) {
    checkId(id, `model.vocab[${quote(token)}]`, entries.length);
    if (tokens.has(id as number))
      refuse("model.vocab", `gives id ${id as number} to ${quote(tokens.get(id as number))} and to ${quote(token)}`, "one token per id");
    tokens.set(id as number, token);
    ids.set(token, id as number);
  }
  return { tokens, ids };
}

function checkMerges(merges: unknown, ids: ReadonlyMap<string, number>): [string, string][] {
  if (!Array.isArray(merges)) return refuse("model.merges", `is ${kindOf(merges)}`, 'a list of pairs, or of texts like "a b"');
  return merges.map((merge: unknown, k) => {
    const pair: unknown[] = typeof merge === "string" ? merge.split(" ") : Array.isArray(merge) ? merge : [];
    const [left, right] = pair;
    if (pair.length !== 2 || typeof left !== "string" || typeof right !== "string")
      return refuse(`model.merges[${k}]`, `is ${quote(merge)}`, "two tokens");
    for (const token of [left, right, left + right])
      if (!ids.has(token))
        refuse(`model.merges[${k}]`, `names ${quote(token)}, which is not in the vocabulary`, "tokens of the vocabulary");
    return [left, right];
  });
}

function checkUnigram(model: Json): CheckedModel {
  const vocab = model["vocab"];
  if (!Array.isArray(vocab) || vocab.length === 0) return refuse("model.vocab", `is ${kindOf(vocab)}`, "a list of [token, score]");
  const tokens = new Map<number, string>();
  vocab.forEach((entry: unknown, k) => {
    const [token, score] = Array.isArray(entry) ? (entry as unknown[]) : [];
    if (typeof token !== "string" || typeof score !== "number" || !Number.isFinite(score))
      refuse(`model.vocab[${k}]`, `is ${quote(entry)}`, "[token, score]");
    tokens.set(k, token as string);
  });
  const unknown = model["unk_id"] ?? 0;
  if (!Number.isInteger(unknown) || !tokens.has(unknown as number))
    refuse("model.unk_id", `is ${quote(unknown)}`, `an id below ${tokens.size}`);
  return { type: "Unigram", fields: { ...dropNull(model), unk_id: unknown }, tokens, merges: [] };
}

function checkAdded(list: unknown, size: number): AddedToken[] {
  if (list === undefined || list === null) return [];
  if (!Array.isArray(list)) return refuse("added_tokens", `is ${kindOf(list)}`, "a list");
  return list.map((entry: unknown, k) => {
    const given = objectAt(entry, `added_tokens[${k}]`);
    const { id, content } = given;
    checkId(id, `added_tokens[${k}].id`, size + list.length);
    if (typeof content !== "string" || !content) return refuse(`added_tokens[${k}].content`, `is ${quote(content)}`, "text");
    const is = (key: string, otherwise = false): boolean => {
      const value = given[key] ?? otherwise;
      return typeof value === "boolean" ? value : refuse(`added_tokens[${k}].${key}`, `is ${kindOf(value)}`, "true or false");
    };
    const special = is("special");
    return {
      id: id as number,
      content,
      special,
      lstrip: is("lstrip"),
      rstrip: is("rstrip"),
      single_word: is("single_word"),
      normalized: is("normalized", !special),
    };
  });
}

/** Ids may have gaps, but not large ones: the table of tokens must not grow with a number in an untrusted file. */
function checkId(id: unknown, where: string, entries: number): void {
  if (!Number.isInteger(id) || (id as number) < 0) refuse(where, `is ${quote(id)}`, "an id: a whole number from 0");
  if ((id as number) > 4 * entries + 65_536) refuse(where, `is ${id as number} in a vocabulary of ${entries}`, "ids without a large gap");
}

function objectAt(value: unknown, where: string): Json {
  if (typeof value !== "object" || value === null || Array.isArray(value)) return refuse(where, `is ${kindOf(value)}`, "an object");
  return value as Json;
}

const kindOf = (value: unknown): string =>
  value === undefined
    ? "missing"
    : value === null
      ? "null"
      : Array.isArray(value)
        ? "a list"
        : typeof value === "object"
          ? "an object"
          : `a ${typeof value}`;

function quote(value: unknown): string {
  const shown = value === undefined ? "missing" : typeof value === "object" && value !== null ? kindOf(value) : JSON.stringify(value);
  return shown.length > 60 ? `${shown.slice(0, 57)}…` : shown;
}
