/** The tokenizer: ids, places and texts that the reference library gives, streams that never break a character, bad files that say so. */
import { readFileSync } from "node:fs";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { LetheError } from "../../src/base/fail.ts";
import { rng } from "../../src/base/rng.ts";
import { createTokenizer, type Tokenizer } from "../../src/text/tokenizer.ts";
import { mergesOf, tokenizerFromGguf } from "../../src/text/tokenizer-gguf.ts";
import { mutateJson, survive } from "../mutate.ts";

type Json = Record<string, unknown>;
interface Row {
  ids: number[];
  offsets: [number, number][];
  decoded: string;
  shown: string;
}
/** Six small tokenizers with what the Rust library makes of 23 texts: byte-level BPE three ways, SentencePiece two ways, WordPiece. */
const golden = JSON.parse(readFileSync(new URL("tokenizers.golden.json", import.meta.url), "utf8")) as {
  texts: string[];
  tokenizers: Record<string, { json: Json; rows: Row[] }>;
};
const kinds = Object.keys(golden.tokenizers);
const make = (kind: string, config: Json = {}, generation?: unknown): Tokenizer =>
  createTokenizer(golden.tokenizers[kind]!.json, config, generation);
const copy = (kind: string): Json => structuredClone(golden.tokenizers[kind]!.json);

/** The reference counts code points; we count UTF-16 units. */
function units(text: string, offsets: readonly (readonly [number, number])[]): [number, number][] {
  const at = [0];
  for (const character of text) at.push(at.at(-1)! + character.length);
  return offsets.map(([a, b]) => [at[a]!, at[b]!]);
}

/** Texts of letters, signs and any other character, lone surrogates among them. */
const anyText = (maxLength: number): fc.Arbitrary<string> =>
  fc
    .array(
      fc.oneof(
        fc.constantFrom(...Array.from(" aetoinsT.'\n0▁é한")),
        fc.integer({ min: 0, max: 0x10ffff }).map((code) => String.fromCodePoint(code)),
      ),
      { maxLength },
    )
    .map((units) => units.join(""));

describe.each(kinds)("%s", (kind) => {
  const tokenizer = make(kind);
  const { rows } = golden.tokenizers[kind]!;

  it.each(golden.texts.map((text, k) => [text, rows[k]!] as const))("%j", (text, row) => {
    const { ids, offsets } = tokenizer.encode(text);
    expect(ids).toEqual(row.ids);
    expect(tokenizer.decode(ids, { special: true })).toBe(row.decoded);
    expect(tokenizer.decode(ids)).toBe(row.shown);
    const reference = units(text, row.offsets);
    offsets.forEach(([start, end], k) => {
      if (k > 0) expect(start >= offsets[k - 1]![0] && end >= offsets[k - 1]![1], `token ${k} goes back`).toBe(true);
      const [a, b] = reference[k]!;
      // Where we differ by intent: an added "▁" is empty, the tokens of a fused character span all of it, an added end stands at the end.
      if (start === end) expect(["▁", "<s>", "[CLS]", "[SEP]"]).toContain(tokenizer.tokenOf(ids[k]!));
      else if (kind === "qwen" || kind === "wordpiece")
        expect(start <= a && end >= b, `token ${k} [${start}, ${end}) holds [${a}, ${b})`).toBe(true);
      else expect([start, end]).toEqual([a, b]);
    });
  });

  it("streams to the same text and never ends inside a character", () => {
    fc.assert(
      fc.property(anyText(30), fc.array(fc.nat(tokenizer.size - 1), { maxLength: 12 }), (text, noise) => {
        const whole = tokenizer.encode(text).ids;
        for (const ids of [whole, noise]) {
          const stream = tokenizer.decoder();
          const parts = ids.map((id) => stream.push(id));
          expect(parts.join("") + stream.end()).toBe(tokenizer.decode(ids));
          if (ids === whole && !text.includes("\uFFFD") && !/\p{Surrogate}/u.test(text) && kind !== "wordpiece")
            expect(parts.join("")).not.toContain("\uFFFD");
        }
      }),
      { numRuns: 150, seed: 4 },
    );
  });

  it("covers every character and goes only forward, on any text", () => {
    fc.assert(
      fc.property(anyText(40), (text) => {
        const { ids, offsets } = tokenizer.encode(text, { special: false });
        expect(offsets.length).toBe(ids.length);
        const seen = new Uint8Array(text.length);
        offsets.forEach(([start, end], k) => {
          expect(start >= (offsets[k - 1]?.[0] ?? 0) && end >= (offsets[k - 1]?.[1] ?? 0) && start <= end && end <= text.length).toBe(true);
          seen.fill(1, start, end);
        });
        if (kind !== "wordpiece")
          expect(
            seen.every((s) => s === 1),
            JSON.stringify(text),
          ).toBe(true);
      }),
      { numRuns: 200, seed: 5 },
    );
  });
});

describe("special tokens and ids", () => {
  it("adds a BOS when asked, and knows special tokens that are written", () => {
    const tokenizer = make("llama3", { bos_token: "<s>", eos_token: { content: "</s>" } });
    const [bos, eos] = [tokenizer.idOf("<s>")!, tokenizer.idOf("</s>")!];
    expect([tokenizer.bos, tokenizer.eos, tokenizer.pad]).toEqual([bos, [eos], eos]);
    expect(tokenizer.encode("a</s>").ids.at(0)).toBe(bos);
    expect(tokenizer.encode("a</s>", { special: false })).toEqual({
      ids: [tokenizer.idOf("a"), eos],
      offsets: [
        [0, 1],
        [1, 5],
      ],
    });
    expect(tokenizer.decode([bos, tokenizer.idOf("a")!, eos])).toBe("a");
    expect(tokenizer.named).toEqual({ bos_token: "<s>", eos_token: "</s>" });
  });

  it("takes the end from generation_config first, as a number or a list", () => {
    expect(make("llama3", { eos_token: "</s>" }, { eos_token_id: 2 }).eos).toEqual([2]);
    const tokenizer = make("llama3", { eos_token: "</s>", pad_token: "<s>" }, { eos_token_id: [2, 1] });
    expect([tokenizer.eos, tokenizer.pad, tokenizer.bos]).toEqual([[2, 1], 0, undefined]);
    expect(() => make("llama3", {}, { eos_token_id: ["x"] })).toThrow(/generation_config\.json: eos_token_id is \["x"\]; wanted an id/);
    expect(() => make("llama3", { eos_token: 3 })).toThrow(/tokenizer_config\.json: eos_token is a number; wanted text/);
  });

  it("gives nothing for ids without a token, and its size is one more than the highest", () => {
    const tokenizer = make("gpt2");
    expect(tokenizer.decode([tokenizer.size, 1_000_000])).toBe("");
    expect(tokenizer.tokenOf(tokenizer.size)).toBe("");
    expect(tokenizer.tokenOf(tokenizer.size - 1)).not.toBe("");
  });

  it("hashes vocabulary, merges and kind, not how they are written", () => {
    const pairs = copy("gpt2");
    const model = pairs["model"] as { merges: [string, string][]; vocab: Record<string, number> };
    const joined = structuredClone(pairs);
    (joined["model"] as Json)["merges"] = model.merges.map((m) => m.join(" "));
    (joined["model"] as Json)["vocab"] = Object.fromEntries(Object.entries(model.vocab).reverse());
    expect(createTokenizer(joined, {}).hash).toBe(make("gpt2").hash);
    model.merges.reverse();
    expect(createTokenizer(pairs, {}).hash).not.toBe(make("gpt2").hash);
    expect(make("llama2").hash).toBe(make("mistral").hash);
    expect(make("llama2").hash).not.toBe(make("gpt2").hash);
  });

  it("takes time in proportion to the text", () => {
    const random = rng("speed");
    const words = Array.from({ length: 2000 }, () =>
      Array.from({ length: 1 + random.below(9) }, () => "etaoinshrdlu"[random.below(12)]).join(""),
    );
    const text = Array.from({ length: 50_000 }, () => words[random.below(2000)])
      .join(" ")
      .slice(0, 250_000);
    const tokenizer = make("llama3");
    const start = performance.now();
    const { ids } = tokenizer.encode(text);
    expect(performance.now() - start).toBeLessThan(5_000);
    expect(tokenizer.decode(ids)).toBe(text);
  });
});

describe("a bad file says what is wrong", () => {
  const broken = (change: (json: Json, model: Json) => void, kind = "llama3"): string => {
    const json = copy(kind);
    change(json, json["model"] as Json);
    try {
      createTokenizer(json, {}).encode("Hello 123");
    } catch (error) {
      expect(error).toBeInstanceOf(LetheError);
      return (error as LetheError).message;
    }
    return "";
  };
  const cases: [string, RegExp, (json: Json, model: Json) => void][] = [
    [
      "no model",
      /model is missing; wanted an object/,
      (j) => {
        delete j["model"];
      },
    ],
    [
      "a vocabulary that is a list",
      /model\.vocab is a list; wanted an object/,
      (_, m) => {
        m["vocab"] = [];
      },
    ],
    [
      "an id that is text",
      /model\.vocab\["a"\] is "7"; wanted an id/,
      (_, m) => {
        (m["vocab"] as Json)["a"] = "7";
      },
    ],
    [
      "an id used twice",
      /gives id 5 to/,
      (_, m) => {
        (m["vocab"] as Json)["a"] = 5;
      },
    ],
    [
      "a gap",
      /is 4000000000 in a vocabulary of 330; wanted ids without a large gap/,
      (_, m) => {
        (m["vocab"] as Json)["a"] = 4e9;
      },
    ],
    [
      "a merge of an unknown token",
      /model\.merges\[0\] names "qqq", which is not in the vocabulary/,
      (_, m) => {
        (m["merges"] as unknown[])[0] = ["qqq", "a"];
      },
    ],
    [
      "a merge of three",
      /model\.merges\[1\] is "a b c"; wanted two tokens/,
      (_, m) => {
        (m["merges"] as unknown[])[1] = "a b c";
      },
    ],
    [
      "an unknown part",
      /normalizer\.type is "Magic"; wanted one of Sequence, BertNormalizer/,
      (j) => {
        j["normalizer"] = { type: "Magic" };
      },
    ],
    [
      "a pattern of the wrong type",
      /pre_tokenizer\.pretokenizers\[0\]\.pattern does not fit/,
      (j) => {
        ((j["pre_tokenizer"] as Json)["pretokenizers"] as Json[])[0]!["pattern"] = 5;
      },
    ],
    [
      "a pattern that is none",
      /cannot be used: .*[Rr]eg/,
      (j) => {
        ((j["pre_tokenizer"] as Json)["pretokenizers"] as Json[])[0]!["pattern"] = { Regex: "(((" };
      },
    ],
    [
      "parts without end",
      /nested more than 16 deep/,
      (j) => {
        let part: Json = { type: "NFC" };
        for (let k = 0; k < 5000; k++) part = { type: "Sequence", normalizers: [part] };
        j["normalizer"] = part;
      },
    ],
    [
      "an added token without text",
      /added_tokens\[0\]\.content is ""/,
      (j) => {
        (j["added_tokens"] as Json[])[0]!["content"] = "";
      },
    ],
    [
      "a template that names no token",
      /post_processor adds "<none>", which is not a token/,
      (j) => {
        j["post_processor"] = {
          type: "TemplateProcessing",
          single: [{ SpecialToken: { id: "<none>", type_id: 0 } }, { Sequence: { id: "A", type_id: 0 } }],
        };
      },
    ],
    [
      "a template without the text",
      /contains the text 0 times; wanted once/,
      (j) => {
        j["post_processor"] = { type: "TemplateProcessing", single: [] };
      },
    ],
    [
      "pieces of no length",
      /pre_tokenizer\.length does not fit/,
      (j) => {
        j["pre_tokenizer"] = { type: "FixedLength", length: 0 };
      },
    ],
  ];
  it.each(cases)("%s", (_, message, change) => {
    expect(broken(change)).toMatch(message);
  });

  it("an expression that backtracks for ever is stopped", () => {
    const json = copy("llama3");
    json["pre_tokenizer"] = { type: "Split", pattern: { Regex: "(a+)+$" }, behavior: "Isolated" };
    expect(() => createTokenizer(json, {}).encode(`${"a".repeat(50)}b`)).toThrow(
      /no result after .* s; wanted a result in time\. Its regular expressions/,
    );
  }, 20_000);

  it.each(kinds)(
    "%s: 150 mutations",
    (kind) => {
      const outcome = survive(
        mutateJson(golden.tokenizers[kind]!.json, `text/${kind}`, 150),
        (json) => {
          const tokenizer = createTokenizer(json, {});
          for (const text of golden.texts.slice(0, 9)) tokenizer.decode(tokenizer.encode(text).ids);
        },
        { seconds: 8, bytes: 400e6 },
      );
      expect(outcome.refused).toBeGreaterThan(20);
      expect(outcome.loaded).toBeGreaterThan(5);
    },
    120_000,
  );
});

describe("from GGUF metadata", () => {
  const vocabulary = Object.entries((golden.tokenizers["gpt2"]!.json["model"] as { vocab: Record<string, number> }).vocab)
    .sort((a, b) => a[1] - b[1])
    .map(([t]) => t);
  const merges = (golden.tokenizers["gpt2"]!.json["model"] as { merges: [string, string][] }).merges.map((m) => m.join(" "));
  const added = new Set((golden.tokenizers["gpt2"]!.json["added_tokens"] as { content: string }[]).map((a) => a.content));
  const kv = {
    "tokenizer.ggml.model": "gpt2",
    "tokenizer.ggml.pre": "gpt-2",
    "tokenizer.ggml.tokens": vocabulary,
    "tokenizer.ggml.merges": merges,
    "tokenizer.ggml.token_type": Int32Array.from(vocabulary, (t) => (added.has(t) ? 3 : 1)),
    "tokenizer.ggml.bos_token_id": 0n,
    "tokenizer.ggml.eos_token_id": 1,
  };
  const from = (over: Json = {}): Tokenizer => {
    const { tokenizerJson, tokenizerConfig } = tokenizerFromGguf({ ...kv, ...over });
    return createTokenizer(tokenizerJson, tokenizerConfig);
  };

  it("byte-level BPE is the tokenizer.json that the same model has", () => {
    const ours = from();
    expect(ours.hash).toBe(make("gpt2").hash);
    golden.texts.forEach((text, k) => expect(ours.encode(text).ids).toEqual(golden.tokenizers["gpt2"]!.rows[k]!.ids));
    expect([ours.bos, ours.eos, ours.pad]).toEqual([0, [1], 1]);
  });

  it("splits as the pre-tokenizer's name says, and adds what the flags say", () => {
    const digits = (pre: string): string[] =>
      from({ "tokenizer.ggml.pre": pre })
        .encode("a  2024", { special: false })
        .ids.map((id) => vocabulary[id]!);
    for (const pre of ["smollm", "qwen2", "llama-bpe", "default"]) expect(digits(pre).join("")).toBe("aĠĠ2024");
    expect(from({ "tokenizer.ggml.pre": "llama-bpe" }).encode("a").ids[0]).toBe(0);
    expect(from({ "tokenizer.ggml.add_bos_token": true, "tokenizer.ggml.add_eos_token": true }).encode("a").ids).toEqual([
      0,
      vocabulary.indexOf("a"),
      1,
    ]);
    expect(from({ "tokenizer.ggml.pre": "qwen2" }).encode("cafe\u0301").ids).toEqual(from().encode("café").ids);
  });

  it("refuses what it does not know, naming what it does", () => {
    expect(() => from({ "tokenizer.ggml.pre": "smolm" })).toThrow(
      /tokenizer\.ggml\.pre is "smolm".*one of default, gpt-2.*\(perhaps smollm\)\. Put the model's tokenizer\.json and the file into one folder/,
    );
    expect(() => from({ "tokenizer.ggml.model": "rwkv" })).toThrow(/tokenizer\.ggml\.model is "rwkv"; wanted gpt2 or llama/);
    expect(() => from({ "tokenizer.ggml.token_type": [1] })).toThrow(/has 1 numbers for 330 tokens/);
    expect(() => from({ "tokenizer.ggml.tokens": [1, 2] })).toThrow(/not a list of texts/);
    expect(() => from({ "tokenizer.ggml.merges": ["ab"] })).toThrow(/merge "ab" is not two tokens/);
    expect(() => from({ "tokenizer.ggml.add_bos_token": "yes" })).toThrow(/add_bos_token is "yes"; wanted true or false/);
    expect(() => tokenizerFromGguf({ ...kv, "tokenizer.ggml.model": "llama" })).toThrow(/scores is missing/);
  });

  it("SentencePiece: the merges make the choices that scores make", () => {
    const { pieces, scores, types } = pieceVocabulary();
    const { tokenizerJson, tokenizerConfig } = tokenizerFromGguf({
      "tokenizer.ggml.model": "llama",
      "tokenizer.ggml.tokens": pieces,
      "tokenizer.ggml.scores": Float32Array.from(scores),
      "tokenizer.ggml.token_type": types,
      "tokenizer.ggml.bos_token_id": 1,
      "tokenizer.ggml.eos_token_id": 2,
      "tokenizer.ggml.unknown_token_id": 0,
    });
    const tokenizer = createTokenizer(tokenizerJson, tokenizerConfig);
    const random = rng("pieces");
    for (let k = 0; k < 400; k++) {
      const text = Array.from({ length: 1 + random.below(25) }, () => "abcd é"[random.below(6)]).join("");
      const expected = byScore(`▁${text.replaceAll(" ", "▁")}`, pieces, scores, types);
      expect(tokenizer.encode(text).ids, JSON.stringify(text)).toEqual([1, ...expected]);
      expect(tokenizer.decode(tokenizer.encode(text).ids)).toBe(text);
    }
    expect(tokenizer.encode("", { special: false }).ids).toEqual([]);
  });

  it("SentencePiece: merges come in the order of Python's converter", () => {
    const pieces = ["<unk>", "a", "b", "c", "ab", "bc", "abc", "▁", "▁a", "▁ab"];
    expect(mergesOf(pieces, [2, 1, 1, 1, 1, 1, 1, 1, 1, 1], [0, -9, -9, -9, -1, -2, -3, -9, -3, -1])).toEqual([
      ["▁a", "b"],
      ["▁", "ab"],
      ["a", "b"],
      ["b", "c"],
      ["ab", "c"],
      ["a", "bc"],
      ["▁", "a"],
    ]);
  });
});

/** Bytes, four letters and pieces grown from them, each with a score of its own, as SentencePiece's BPE trainer leaves them. */
function pieceVocabulary(): { pieces: string[]; scores: number[]; types: number[] } {
  const bytes = Array.from({ length: 256 }, (_, b) => `<0x${b.toString(16).toUpperCase().padStart(2, "0")}>`);
  const letters = ["▁", "a", "b", "c", "d"];
  const grown: string[] = [];
  const random = rng("vocabulary");
  while (grown.length < 60) {
    const parts = [...letters, ...grown];
    const next = parts[random.below(parts.length)]! + parts[random.below(parts.length)]!;
    if (next.length <= 6 && !parts.includes(next)) grown.push(next);
  }
  const pieces = ["<unk>", "<s>", "</s>", ...bytes, ...grown, ...letters];
  const scores = pieces.map((_, id) => (id < 259 ? 0 : -(id - 259)));
  const types = pieces.map((_, id) => (id === 0 ? 2 : id < 3 ? 3 : id < 259 ? 6 : 1));
  return { pieces, scores, types };
}

/** SentencePiece's own rule: join the neighbours whose union has the best score, the leftmost of equals, until none has one. */
function byScore(text: string, pieces: readonly string[], scores: readonly number[], types: readonly number[]): number[] {
  const ids = new Map(pieces.map((p, id) => [p, id] as const).filter(([, id]) => types[id] === 1));
  const parts = Array.from(text);
  for (;;) {
    let best = -1;
    for (let k = 0; k + 1 < parts.length; k++) {
      const id = ids.get(parts[k]! + parts[k + 1]!);
      if (id !== undefined && (best < 0 || scores[id]! > scores[ids.get(parts[best]! + parts[best + 1]!)!]!)) best = k;
    }
    if (best < 0) break;
    parts.splice(best, 2, parts[best]! + parts[best + 1]!);
  }
  return parts.flatMap((part) => ids.get(part) ?? Array.from(new TextEncoder().encode(part), (b) => b + 3));
}
