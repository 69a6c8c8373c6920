/** Converts text to token ids and back, with the position of every token in the text. */
import { Tokenizer as Library } from "@huggingface/tokenizers";
import { fail, LetheError } from "../base/fail.ts";
import { type Hash, hash } from "../base/hash.ts";
import { bounded, breakableNow, wordsOf } from "../base/bounded.ts";
import { offsetsOf, type Surface } from "./offsets.ts";
import { type CheckedTokenizer, checkTokenizer, type Json } from "./tokenizer-check.ts";

/** Token ids and the [start, end) of each in UTF-16 units of the input; a token added by the tokenizer has an empty span. */
export interface Encoding {
  ids: number[];
  offsets: [start: number, end: number][];
}

export interface Tokenizer {
  /** `special` (default true) adds the tokens of the post-processor, such as a BOS; special tokens in the text are always recognised. */
  encode(text: string, options?: { special?: boolean }): Encoding;
  /** `special` (default false) keeps special tokens; ids without a token are skipped. */
  decode(ids: readonly number[], options?: { special?: boolean }): string;
  /** Decodes a growing list of ids, without special tokens. The pieces join to `decode` of the same ids and never end inside a character. */
  decoder(): { push(id: number): string; end(): string };
  /** One more than the highest id. */
  readonly size: number;
  idOf(token: string): number | undefined;
  /** The token as the vocabulary spells it; "" for an id without one. */
  tokenOf(id: number): string;
  readonly bos?: number;
  readonly eos: readonly number[];
  readonly pad: number;
  /** The texts of the tokens that the configuration names: `bos_token`, `eos_token`, … */
  readonly named: Readonly<Record<string, string>>;
  /** Of vocabulary, merges and kind: the same from tokenizer.json and from GGUF metadata. */
  readonly hash: Hash;
}

/** The pre-tokenizer of GPT-2; `\s` is Unicode white space. */
export const GPT2_SPLIT = String.raw`'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+`;
/** The pre-tokenizer of Llama 3, and of Qwen 2 with numbers split digit by digit. */
export const LLAMA3_SPLIT = String.raw`(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+`;
export const QWEN2_SPLIT = LLAMA3_SPLIT.replace("{1,3}", "");

/** Patterns known to run in linear time; any other has a time limit. */
const TRUSTED: ReadonlySet<unknown> = new Set([GPT2_SPLIT, LLAMA3_SPLIT, QWEN2_SPLIT, String.raw`\p{N}`, String.raw`\p{N}+`]);
const DAMAGED = "The file may be damaged. Download it again, or save it again with the library that made it.";

/**
 * A tokenizer from the parsed tokenizer.json, tokenizer_config.json and generation_config.json.
 * Refuses malformed files and names the place; `eos` is generation_config's `eos_token_id`, else the config's `eos_token`.
 */
export function createTokenizer(tokenizerJson: unknown, tokenizerConfig: unknown, generation?: unknown): Tokenizer {
  const file = checkTokenizer(tokenizerJson);
  const vocabulary = vocabularyOf(file);
  const library = build(file);
  const named = namedTokens(tokenizerConfig);
  const { idOf, tokens } = vocabulary;
  const eos = endTokens(generation, named, idOf);
  const bos = idOf(named["bos_token"] ?? "");
  const encode = encoder(file, library, vocabulary);
  const streamOf = decoderOf(file, library, vocabulary);
  let digest: Hash | undefined;
  return {
    encode,
    decode: (ids, { special = false } = {}) => {
      const stream = streamOf(special);
      return ids.map((id) => stream.push(id)).join("") + stream.end();
    },
    decoder: () => streamOf(false),
    size: tokens.length,
    idOf,
    tokenOf: (id) => tokens[id] ?? "",
    ...(bos === undefined ? {} : { bos }),
    eos,
    pad: idOf(named["pad_token"] ?? "") ?? eos[0] ?? 0,
    named,
    get hash() {
      return (digest ??= hash(
        "tokenizer",
        vocabulary.kind,
        file.model.type,
        tokens.map((t) => t ?? null),
        file.model.merges.map((m) => m.join(" ")).join("\n"),
      ));
    },
  };
}

/** How tokens spell text: bytes in a printable alphabet, pieces with "▁" for a space, or words with marked continuations. */
type Kind = "bytes" | "pieces" | "words";
interface Vocabulary {
  readonly kind: Kind;
  readonly tokens: readonly (string | undefined)[];
  readonly idOf: (token: string) => number | undefined;
  readonly added: ReadonlyMap<string, { readonly special: boolean }>;
  readonly surfaceOf: (token: string) => Surface;
  /** The token for text that the vocabulary cannot spell. */
  readonly unknown: string | undefined;
}

function vocabularyOf(file: CheckedTokenizer): Vocabulary {
  const tokens: (string | undefined)[] = [];
  const ids = new Map<string, number>();
  const set = (token: string, id: number): void => {
    while (tokens.length <= id) tokens.push(undefined);
    tokens[id] = token;
    ids.set(token, id);
  };
  for (const [id, token] of file.model.tokens) set(token, id);
  for (const { id, content } of file.added_tokens) set(content, id);
  const added = new Map(file.added_tokens.map((a) => [a.content, { special: a.special }]));
  const kind: Kind =
    has(file.pre_tokenizer, "ByteLevel") || has(file.decoder, "ByteLevel") ? "bytes" : file.model.type === "WordPiece" ? "words" : "pieces";
  const { fields } = file.model;
  const given = file.model.type === "Unigram" ? file.model.tokens.get(fields["unk_id"] as number) : fields["unk_token"];
  const unknown = kind === "bytes" || typeof given !== "string" ? undefined : given;
  return { kind, tokens, idOf: (token) => ids.get(token), added, unknown, surfaceOf: surfaces(file, kind, added, unknown) };
}

/** The spelling of each token, cached by token. */
function surfaces(
  file: CheckedTokenizer,
  kind: Kind,
  added: ReadonlyMap<string, unknown>,
  unknown: string | undefined,
): (token: string) => Surface {
  const known = new Map<string, Surface>();
  const { fields } = file.model;
  const prefix = String(fields["continuing_subword_prefix"] ?? "##");
  const spell = (token: string): Surface => {
    if (token === unknown) return "unknown";
    if (added.has(token)) return utf8(token);
    if (kind === "bytes") return alphabetBytes(token) ?? utf8(token);
    if (kind === "words") return utf8(token.startsWith(prefix) ? token.slice(prefix.length) : token);
    const byte = fields["byte_fallback"] === true ? /^<0x([0-9A-F]{2})>$/.exec(token)?.[1] : undefined;
    return byte ? Uint8Array.of(Number.parseInt(byte, 16)) : utf8(token.replaceAll("\u2581", " "));
  };
  return (token) => {
    let surface = known.get(token);
    if (!surface) known.set(token, (surface = spell(token)));
    return surface;
  };
}

const utf8 = (text: string): Uint8Array => new TextEncoder().encode(text);

/** GPT-2's printable alphabet, inverted: from character to byte. */
const ALPHABET: ReadonlyMap<string, number> = (() => {
  const printable = (b: number): boolean => (b > 32 && b < 127) || (b > 160 && b !== 173);
  let next = 256;
  return new Map(Array.from({ length: 256 }, (_, b) => [String.fromCharCode(printable(b) ? b : next++), b]));
})();

function alphabetBytes(token: string): Uint8Array | undefined {
  const bytes = new Uint8Array(token.length);
  for (let k = 0; k < token.length; k++) {
    const byte = ALPHABET.get(token[k]!);
    if (byte === undefined) return undefined;
    bytes[k] = byte;
  }
  return bytes;
}

function encoder(file: CheckedTokenizer, library: Library, vocabulary: Vocabulary): Tokenizer["encode"] {
  const { before, after } = frame(library, vocabulary);
  const isTrusted = regexes(file).every((regex) => TRUSTED.has(regex));
  const { unknown, kind } = vocabulary;
  const spelling = {
    normalise: normaliserOf(file, library, kind),
    isWordwise: kind === "words",
    ...(unknown === undefined ? {} : { unknown }),
  };
  const encode: Tokenizer["encode"] = (input, { special = true } = {}) => {
    const text = input.replace(/\p{Surrogate}/gu, "\uFFFD");
    const run = (): { ids: number[]; tokens: string[] } => library.encode(text, { add_special_tokens: false });
    let body;
    try {
      body = isTrusted
        ? run()
        : bounded("tokenizer.json", 3_000 + text.length / 10, "Its regular expressions may be damaged or hostile.", run);
    } catch (error) {
      if (error instanceof LetheError) throw error;
      return fail("tokenizer.json", `cannot encode a text of ${input.length} characters: ${wordsOf(error)}`, "", DAMAGED, "execution");
    }
    const ids = body.ids as (number | undefined)[];
    const lost = ids.indexOf(undefined);
    if (lost >= 0)
      fail("tokenizer.json", `${JSON.stringify(body.tokens[lost])} has no id`, "an unknown token for it", DAMAGED, "unavailable");
    const offsets = offsetsOf(text, body.tokens.map(vocabulary.surfaceOf), spelling);
    if (!special) return { ids: body.ids, offsets };
    const at = (ids: readonly number[], place: number): [number, number][] => ids.map(() => [place, place]);
    return { ids: before.concat(body.ids, after), offsets: at(before, 0).concat(offsets, at(after, text.length)) };
  };
  return (input, options) => {
    if (input.length > LONGEST)
      fail("tokenizer", `a text of ${input.length} characters`, `at most ${LONGEST}`, "No model reads so much at a time: divide the text.");
    return input.length > LONG ? breakableNow("tokenizer", () => encode(input, options)) : encode(input, options);
  };
}

/** Characters of a text that takes seconds to encode, more than a window of {@link firstTokens} has, and of one that is refused. */
const [LONG, LONGEST] = [1 << 17, 1 << 24];

/** The normaliser for one character, without the prefix that it adds to every text. */
function normaliserOf({ normalizer }: CheckedTokenizer, library: Library, kind: Kind): (piece: string) => string {
  const spaced = (text: string): string => (kind === "pieces" ? text.replaceAll("\u2581", " ") : text);
  if (!library.normalizer) return spaced;
  const prefixOf = (part: Json): string => (part["type"] === "Prepend" ? String(part["prepend"]) : innerOf(part).map(prefixOf).join(""));
  const prefix = normalizer ? prefixOf(normalizer) : "";
  return (piece) => {
    const text = String(library.normalizer!.normalize(piece));
    return spaced(prefix && text.startsWith(prefix) ? text.slice(prefix.length) : text);
  };
}

/** The tokens that the post-processor puts before and after a text. */
function frame(library: Library, { idOf }: Vocabulary): { before: number[]; after: number[] } {
  if (!library.post_processor) return { before: [], after: [] };
  const body = "\u0000text\u0000";
  const { post_processor } = library;
  const { tokens } = usable(() => post_processor.post_process([body], null, true) as { tokens: string[] });
  if (tokens.filter((t) => t === body).length !== 1)
    fail(
      "tokenizer.json",
      `post_processor.single contains the text ${tokens.filter((t) => t === body).length} times`,
      "once",
      DAMAGED,
      "unavailable",
    );
  const id = (token: string): number =>
    idOf(token) ?? fail("tokenizer.json", `post_processor adds ${JSON.stringify(token)}, which is not a token`, "", DAMAGED, "unavailable");
  const at = tokens.indexOf(body);
  return { before: tokens.slice(0, at).map(id), after: tokens.slice(at + 1).map(id) };
}

/** The library's tokenizer, with two of its pre-tokenizers replaced by patterns that agree with the original tokenizers library on all of Unicode. */
function build(file: CheckedTokenizer): Library {
  const { fields } = file.model;
  const parts = {
    normalizer: file.normalizer,
    pre_tokenizer: exact(file.pre_tokenizer),
    post_processor: file.post_processor,
    decoder: file.decoder,
  };
  return usable(() => new Library({ ...parts, model: fields, added_tokens: file.added_tokens }, { clean_up_tokenization_spaces: false }));
}

/** Calls the library and turns its errors into ours. */
function usable<T>(work: () => T): T {
  try {
    return bounded("tokenizer.json", 60_000, DAMAGED, work);
  } catch (error) {
    if (error instanceof LetheError) throw error;
    return fail("tokenizer.json", `cannot be used: ${wordsOf(error)}`, "", DAMAGED, "unavailable");
  }
}

function exact(part: Json | null): Json | null {
  if (!part) return null;
  const split = (Regex: string): Json => ({ type: "Split", pattern: { Regex }, behavior: "Isolated", invert: false });
  if (part["type"] === "Sequence") return { type: "Sequence", pretokenizers: (part["pretokenizers"] as Json[]).map(exact) };
  if (part["type"] === "Digits") return split(part["individual_digits"] === true ? String.raw`\p{N}` : String.raw`\p{N}+`);
  if (part["type"] === "ByteLevel" && part["use_regex"] !== false && part["add_prefix_space"] !== true)
    return { type: "Sequence", pretokenizers: [split(GPT2_SPLIT), { ...part, use_regex: false }] };
  if (part["type"] === "Metaspace" && part["prepend_scheme"] === undefined && part["add_prefix_space"] === false)
    return { ...part, prepend_scheme: "never" };
  return part;
}

const innerOf = (part: Json): Json[] =>
  (part["normalizers"] ?? part["pretokenizers"] ?? part["processors"] ?? part["decoders"] ?? []) as Json[];
const has = (part: Json | null, type: string): boolean =>
  part !== null && (part["type"] === type || innerOf(part).some((p) => has(p, type)));

function regexes(file: CheckedTokenizer): unknown[] {
  const of = (part: Json | null): unknown[] =>
    part ? [(part["pattern"] as { Regex?: unknown } | undefined)?.Regex, ...innerOf(part).flatMap(of)].filter((r) => r !== undefined) : [];
  return [...of(file.normalizer), ...of(file.pre_tokenizer), ...of(file.decoder)];
}

interface Stream {
  push(id: number): string;
  end(): string;
}

/** Streams token by token if the decoder works so, else by decoding all and returning the new part. */
function decoderOf(file: CheckedTokenizer, library: Library, vocabulary: Vocabulary): (special: boolean) => Stream {
  const { kind, tokens, added, surfaceOf } = vocabulary;
  const strip = leadingSpaces(file.decoder);
  const isShown = (id: number, special: boolean): boolean =>
    tokens[id] !== undefined && (special || added.get(tokens[id])?.special !== true);
  if (strip === undefined)
    return (special) =>
      wholeStream(
        (ids) => (ids.length ? library.decode(ids) : ""),
        (id) => isShown(id, special),
      );
  return (special) => {
    let bytes = new TextDecoder("utf-8", { ignoreBOM: true });
    let left = strip;
    const shown = (text: string): string => {
      while (left > 0 && text.startsWith(" ")) [text, left] = [text.slice(1), left - 1];
      if (text) left = 0;
      return text;
    };
    const flush = (): string => {
      const rest = bytes.decode();
      bytes = new TextDecoder("utf-8", { ignoreBOM: true });
      return rest;
    };
    return {
      push: (id) => {
        if (!isShown(id, special)) return "";
        const token = tokens[id]!;
        const surface = surfaceOf(token);
        if (surface === "unknown" || added.has(token)) return shown(flush() + token);
        const isByte = kind === "bytes" || (surface.length === 1 && token.length === 6 && token.startsWith("<0x"));
        return shown(
          isByte ? bytes.decode(surface, { stream: true }) : flush() + new TextDecoder("utf-8", { ignoreBOM: true }).decode(surface),
        );
      },
      end: () => shown(flush()),
    };
  };
}

/** The number of leading spaces that a token-by-token decoder removes; undefined for any other decoder. */
function leadingSpaces(decoder: Json | null): number | undefined {
  if (decoder?.["type"] === "ByteLevel") return 0;
  if (decoder?.["type"] === "Metaspace")
    return (decoder["replacement"] ?? "\u2581") !== "\u2581" ? undefined : decoder["prepend_scheme"] === "never" ? 0 : 1;
  if (decoder?.["type"] !== "Sequence") return undefined;
  const parts = innerOf(decoder);
  const types = parts.map((p) => p["type"]).join(" ");
  if (types === "ByteLevel") return 0;
  if (!/^Replace ByteFallback Fuse( Strip)?$/.test(types)) return undefined;
  const [replace, , , strip] = parts as [Json, Json, Json, Json?];
  if ((replace["pattern"] as { String?: string }).String !== "\u2581" || replace["content"] !== " ") return undefined;
  if (!strip) return 0;
  return strip["content"] === " " && !strip["stop"] ? Number(strip["start"] ?? 0) : undefined;
}

function wholeStream(decode: (ids: number[]) => string, isShown: (id: number) => boolean): Stream {
  const ids: number[] = [];
  let given = "";
  const upTo = (text: string): string => {
    if (!text.startsWith(given)) return "";
    const fresh = text.slice(given.length);
    given = text;
    return fresh;
  };
  return {
    push: (id) => {
      if (!isShown(id)) return "";
      ids.push(id);
      return upTo(decode(ids).replace(/\uFFFD+$/, ""));
    },
    end: () => upTo(decode(ids)),
  };
}

/** tokenizer_config.json's named tokens; each is text or an object with `content`. */
function namedTokens(config: unknown): Record<string, string> {
  if (typeof config !== "object" || config === null || Array.isArray(config))
    return fail(
      "tokenizer_config.json",
      `the file is ${Array.isArray(config) ? "a list" : `a ${typeof config}`}`,
      "an object",
      DAMAGED,
      "unavailable",
    );
  const named: Record<string, string> = {};
  for (const key of ["bos_token", "eos_token", "unk_token", "pad_token", "sep_token", "cls_token", "mask_token"]) {
    const value = (config as Json)[key];
    if (value === undefined || value === null) continue;
    const content: unknown = typeof value === "object" ? (value as Json)["content"] : value;
    if (typeof content !== "string") fail("tokenizer_config.json", `${key} is a ${typeof content}`, "text", DAMAGED, "unavailable");
    else named[key] = content;
  }
  return named;
}

function endTokens(generation: unknown, named: Readonly<Record<string, string>>, idOf: Vocabulary["idOf"]): number[] {
  const given = typeof generation === "object" && generation !== null ? (generation as Json)["eos_token_id"] : undefined;
  if (given === undefined || given === null) return [idOf(named["eos_token"] ?? "")].filter((id) => id !== undefined);
  const list: unknown[] = Array.isArray(given) ? given : [given];
  for (const id of list)
    if (!Number.isInteger(id) || (id as number) < 0)
      fail("generation_config.json", `eos_token_id is ${JSON.stringify(given)}`, "an id or a list of ids", DAMAGED, "unavailable");
  return list as number[];
}
