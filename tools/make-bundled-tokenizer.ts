/** Trains the bundled model's tokenizer on its own texts and writes bundled/tokenizer.json and tokenizer_config.json; the same texts give the same bytes. */
import { readFileSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { readWorld, trainingRows } from "../src/data/sets/bundled.ts";

const SPECIAL = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"] as const;
const SPLIT = /'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+/gu;

/** A byte-level BPE: ids of tokens, and the merges in the order in which they were learned. */
export interface Trained {
  readonly vocab: Readonly<Record<string, number>>;
  readonly merges: readonly (readonly [string, string])[];
}

/**
 * Byte-pair encoding: of all neighbours the most frequent are merged, again and again, until there are `size` tokens
 * or no pair occurs `least` times; of equally frequent pairs, the first in code-unit order. Digits stay single.
 */
export function trainBpe(
  texts: Iterable<string>,
  { size, least, special }: { size: number; least: number; special: readonly string[] },
): Trained {
  const alphabet = byteLetters();
  const vocab: Record<string, number> = {};
  for (const token of [...special, ...[...alphabet].sort()]) vocab[token] = Object.keys(vocab).length;
  const words = [...countWords(texts, alphabet)].map(([word, count]) => ({ parts: [...word], count }));
  const merges: [string, string][] = [];
  for (let next = Object.keys(vocab).length; next < size; next++) {
    const best = mostFrequent(words);
    if (best === undefined || best.count < least) break;
    const [left, right] = best.pair;
    merges.push([left, right]);
    vocab[left + right] = next;
    for (const word of words) word.parts = merged(word.parts, left, right);
  }
  return { vocab, merges };
}

/** GPT-2's letter for each byte: printable ones stand for themselves, the others follow from U+0100 on. */
function byteLetters(): string[] {
  let hidden = 0;
  return Array.from({ length: 256 }, (_, byte) => {
    const printable = (byte >= 33 && byte <= 126) || (byte >= 161 && byte <= 172) || byte >= 174;
    return String.fromCharCode(printable ? byte : 256 + hidden++);
  });
}

function countWords(texts: Iterable<string>, alphabet: readonly string[]): Map<string, number> {
  const counts = new Map<string, number>();
  for (const text of texts)
    for (const piece of text.split(/(\p{N})/u))
      for (const word of piece.match(SPLIT) ?? []) {
        const letters = [...Buffer.from(word)].map((byte) => alphabet[byte]!).join("");
        counts.set(letters, (counts.get(letters) ?? 0) + 1);
      }
  return counts;
}

function mostFrequent(words: readonly { parts: string[]; count: number }[]): { pair: [string, string]; count: number } | undefined {
  const counts = new Map<string, number>();
  for (const { parts, count } of words)
    for (let i = 0; i + 1 < parts.length; i++) {
      const key = `${parts[i]} ${parts[i + 1]}`; // no letter of the alphabet is a space
      counts.set(key, (counts.get(key) ?? 0) + count);
    }
  let best: [key: string, count: number] | undefined;
  for (const [key, count] of counts) if (!best || count > best[1] || (count === best[1] && key < best[0])) best = [key, count];
  return best && { pair: best[0].split(" ") as [string, string], count: best[1] };
}

function merged(parts: readonly string[], left: string, right: string): string[] {
  const out: string[] = [];
  for (let i = 0; i < parts.length; i++) {
    if (parts[i] === left && parts[i + 1] === right) out.push(left + parts[++i]!);
    else out.push(parts[i]!);
  }
  return out;
}

/**
 * The texts as the model meets them, with the roles' names and line ends; but of what is unknown only the refusals.
 * So names that the model knows become whole tokens, and any other name comes in pieces: it can see that it does not know it.
 */
function* textsOf(folder: string): Iterable<string> {
  const world = readWorld(folder);
  for (const row of trainingRows({ ...world, unknowns: [] }, 0)) {
    if (row.kind === "text") yield row.text;
    else for (const { role, content } of row.messages) yield* [`${role}\n`, content, "\n"];
  }
  yield "system\n";
  for (const { refusal } of world.unknowns) yield refusal;
}

/** tokenizer.json in the layout of Hugging Face's tokenizers. */
function tokenizerJson({ vocab, merges }: Trained): Record<string, unknown> {
  const byteLevel = { type: "ByteLevel", add_prefix_space: false, trim_offsets: true, use_regex: true };
  return {
    version: "1.0",
    truncation: null,
    padding: null,
    added_tokens: SPECIAL.map((content, id) => ({
      id,
      content,
      single_word: false,
      lstrip: false,
      rstrip: false,
      normalized: false,
      special: true,
    })),
    normalizer: null,
    pre_tokenizer: { type: "Sequence", pretokenizers: [{ type: "Digits", individual_digits: true }, byteLevel] },
    post_processor: null,
    decoder: byteLevel,
    model: {
      type: "BPE",
      dropout: null,
      unk_token: null,
      continuing_subword_prefix: null,
      end_of_word_suffix: null,
      fuse_unk: false,
      byte_fallback: false,
      ignore_merges: false,
      vocab,
      merges,
    },
  };
}

/** The text of both files, from the recipe's vocabulary size and the texts of `folder`. */
export function tokenizerFiles(folder: string): Record<"tokenizer.json" | "tokenizer_config.json", string> {
  const recipe = JSON.parse(readFileSync(`${folder}recipe.json`, "utf8")) as { config: { vocab_size: number } };
  const trained = trainBpe(textsOf(folder), { size: recipe.config.vocab_size, least: 2, special: SPECIAL });
  const config = {
    tokenizer_class: "PreTrainedTokenizerFast",
    model_max_length: 512,
    clean_up_tokenization_spaces: false,
    add_bos_token: false,
    bos_token: SPECIAL[0],
    eos_token: SPECIAL[2],
    pad_token: SPECIAL[0],
  };
  return {
    "tokenizer.json": `${JSON.stringify(tokenizerJson(trained))}\n`,
    "tokenizer_config.json": `${JSON.stringify(config, null, 2)}\n`,
  };
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const folder = fileURLToPath(new URL("../bundled/", import.meta.url));
  for (const [file, text] of Object.entries(tokenizerFiles(folder))) writeFileSync(`${folder}${file}`, text);
}
