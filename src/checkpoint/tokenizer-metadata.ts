/** A tokenizer as GGUF metadata: the way back of text/tokenizer-gguf.ts. */
import { fail } from "../base/fail.ts";
import { createTokenizer, type Tokenizer } from "../text/tokenizer.ts";
import { checkTokenizer, type CheckedTokenizer } from "../text/tokenizer-check.ts";
import { mergesOf, MODEL, preOf, tokenizerFromGguf, TYPE } from "../text/tokenizer-gguf.ts";
import type { Metadata, MetadataValue } from "./gguf-write.ts";

type Json = Readonly<Record<string, unknown>>;

/** What a checkpoint says of its tokenizer. */
export interface TokenizerFiles {
  readonly tokenizerJson: Json;
  readonly tokenizerConfig: Json;
  readonly chatTemplate?: string | undefined;
  /** Metadata of the GGUF file that it was read from. */
  readonly kv?: Json | undefined;
}

const WHO = "gguf";
const WAY_OUT = "Export with --format safetensors, and convert the folder with llama.cpp's convert_hf_to_gguf.py.";
const refuse = (got: string, wanted: string): never => fail(WHO, got, wanted, WAY_OUT, "unavailable");

/**
 * The metadata `tokenizer.*` for an embedding of `rows` rows. What the source's own GGUF file said comes first. Refuses a tokenizer of another
 * kind than byte-level BPE and SentencePiece BPE, and one that would be read back as another one.
 */
export function tokenizerMetadata(files: TokenizerFiles, tokenizer: Tokenizer, rows: number): Metadata {
  const checked = checkTokenizer(files.tokenizerJson);
  const { model, added_tokens: added } = checked;
  if (model.type !== "BPE") refuse(`a tokenizer of the kind ${model.type}`, "byte-level BPE or SentencePiece BPE");
  const isBytes = preOf(files.tokenizerJson) !== undefined || JSON.stringify(checked.pre_tokenizer ?? "").includes('"ByteLevel"');
  const unknown = isBytes ? undefined : (model.fields["unk_token"] as string | undefined);
  const tokens = Array.from({ length: rows }, (_, id) => `[PAD${id}]`);
  const types = Array.from({ length: rows }, () => TYPE.unused);
  const place = (id: number, token: string, type: number): void => {
    if (id >= rows) return; // left out when the model was loaded, too
    tokens[id] = token;
    types[id] = type;
  };
  for (const [id, token] of model.tokens) place(id, token, !isBytes && /^<0x[0-9A-F]{2}>$/.test(token) ? TYPE.byte : TYPE.normal);
  for (const { id, content, special } of added)
    place(id, content, content === unknown ? TYPE.unknown : special ? TYPE.control : TYPE.userDefined);
  const metadata: Metadata = {
    ...(isBytes ? byteLevel(files, checked) : pieces(checked, tokens, types)),
    "tokenizer.ggml.tokens": { strings: tokens },
    "tokenizer.ggml.token_type": { int32s: types },
    ...specialIds(files, tokenizer),
    ...(unknown !== undefined && { "tokenizer.ggml.unknown_token_id": { uint32: tokens.indexOf(unknown) } }),
    ...(files.chatTemplate !== undefined && { "tokenizer.chat_template": { string: files.chatTemplate } }),
  };
  refuseOther(metadata, tokenizer);
  return metadata;
}

/** Byte-level BPE: how text is split is said by a name. */
function byteLevel({ tokenizerJson, kv }: TokenizerFiles, { model }: CheckedTokenizer): Metadata {
  const pre = kv?.["tokenizer.ggml.pre"] ?? preOf(tokenizerJson);
  return {
    "tokenizer.ggml.model": { string: MODEL.bytes },
    "tokenizer.ggml.pre": {
      string:
        typeof pre === "string" ? pre : refuse("a tokenizer that splits text in a way without a name in GGUF", "one that llama.cpp knows"),
    },
    "tokenizer.ggml.merges": { strings: model.merges.map((pair) => pair.join(" ")) },
  };
}

/** SentencePiece: a piece's score is the order in which it is merged. Refuses merges that do not follow from scores. */
function pieces(
  { model, normalizer, pre_tokenizer: before }: CheckedTokenizer,
  tokens: readonly string[],
  types: readonly number[],
): Metadata {
  const ranks = new Map<string, number>();
  for (const [left, right] of model.merges) if (!ranks.has(left + right)) ranks.set(left + right, ranks.size);
  const scores = tokens.map((token, id) => (types[id] === TYPE.normal ? -(ranks.get(token) ?? ranks.size) : 0));
  const apart = (pairs: readonly (readonly [string, string])[]): string =>
    pairs
      .map((pair) => pair.join(" "))
      .sort()
      .join("\n");
  if (apart(mergesOf(tokens, types, scores)) !== apart(model.merges))
    refuse("a tokenizer whose merges do not follow from the scores of its pieces", "byte-level BPE or SentencePiece BPE");
  const parts = JSON.stringify([normalizer, before]);
  const hasPrefix = parts.includes('"Prepend"') || (parts.includes('"Metaspace"') && !parts.includes('"never"'));
  return {
    "tokenizer.ggml.model": { string: MODEL.pieces },
    "tokenizer.ggml.pre": { string: "default" },
    "tokenizer.ggml.scores": { float32s: scores },
    "tokenizer.ggml.add_space_prefix": { bool: hasPrefix },
  };
}

/** Ids of special tokens. The end is the one that the chat template writes, where there is one: an answer ends with it. */
function specialIds({ chatTemplate, kv = {} }: TokenizerFiles, tokenizer: Tokenizer): Metadata {
  const { bos, named, eos, idOf } = tokenizer;
  const written = eos.find((id) => chatTemplate?.includes(tokenizer.tokenOf(id)));
  const end = written ?? idOf(named["eos_token"] ?? "") ?? eos[0];
  const framed = tokenizer.encode("").ids;
  const [first, last] = [framed[0], framed.at(-1)];
  const [addsBos, addsEos] = [
    first !== undefined && first === bos,
    last !== undefined && last === end && (framed.length > 1 || last !== bos),
  ];
  const pad = idOf(named["pad_token"] ?? "");
  const ids: Readonly<Record<string, number | undefined>> = { bos, eos: end, eot: written, padding: pad };
  const known = Object.entries(ids).flatMap(([name, id]): [string, MetadataValue][] =>
    id === undefined ? [] : [[`tokenizer.ggml.${name}_token_id`, { uint32: id }]],
  );
  const eot = kv["tokenizer.ggml.eot_token_id"];
  return {
    ...(typeof eot === "number" && { "tokenizer.ggml.eot_token_id": { uint32: eot } }),
    ...Object.fromEntries(known),
    "tokenizer.ggml.add_bos_token": { bool: addsBos },
    "tokenizer.ggml.add_eos_token": { bool: addsEos },
  };
}

/** Texts that tokenizers split in different ways. */
const PROBES = [
  "Hello, world! It's 12345 o'clock.",
  "  two  spaces\n\n\tand a tab ",
  "naïve café – déjà vu, Ωmega, привет, 你好, 한국어",
  "x = [1, 2.5e-3]; // if (a != b) { return a_b; }",
  "WE'LL don't I'M 3rd 100% €5 😀👍🏽",
  "a\u0301 ﬁ ½ ①",
];

/** Refuses metadata that our loader reads as another tokenizer. */
function refuseOther(metadata: Metadata, tokenizer: Tokenizer): void {
  const plain = Object.fromEntries(Object.entries(metadata).map(([key, value]) => [key, Object.values(value)[0] as unknown]));
  const { tokenizerJson, tokenizerConfig } = tokenizerFromGguf(plain);
  const again = createTokenizer(tokenizerJson, tokenizerConfig);
  const other = PROBES.find((text) => again.encode(text).ids.join() !== tokenizer.encode(text).ids.join());
  if (other !== undefined)
    refuse(`a tokenizer that GGUF has no words for: it reads ${JSON.stringify(other)} in another way`, "the same ids");
}
