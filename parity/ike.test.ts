/** IKE against the reference: sentence embeddings, what is retrieved, the prompt to the letter, and what the model makes of it. */
import { afterAll, describe, expect, it } from "vitest";
import { ints, type NdArray } from "../src/base/array.ts";
import { defaultContext } from "../src/base/context.ts";
import { resolveParams } from "../src/base/schema.ts";
import type { EditRequest } from "../src/data/request.ts";
import { zsre } from "../src/data/sets/zsre.ts";
import { apply } from "../src/edit/apply.ts";
import { sign } from "../src/edit/edit.ts";
import { demonstrationsFrom, factLine } from "../src/methods/ike/demonstrations.ts";
import { ike, type IkeParams } from "../src/methods/ike/ike.ts";
import { type Encoder, openEncoder } from "../src/text/encoder.ts";
import { traced } from "../src/model/forward.ts";
import { generate } from "../src/model/decode/generate.ts";
import { loadFrom } from "../src/model/load.ts";
import { feedsOf, type Model, type Precision } from "../src/model/model.ts";
import { promptOf, shownText } from "../src/model/prompt.ts";
import { score } from "../src/model/decode/score.ts";
import { targetTokens } from "../src/text/spans.ts";
import { createTokenizer } from "../src/text/tokenizer.ts";
import { program } from "../src/onnx/program.ts";
import { trace } from "../src/tensor/graph.ts";
import { absent, all, largest, readJson, readTensors, relative, shared } from "./shared.ts";

interface Scored {
  n_context_tokens: number;
  target_ids: number[];
  token_logprobs: number[];
  sum_logprob: number;
  argmax_ids: number[];
  /** Of the float32 reference; absent where float64 was not run. */
  f32_rel_err?: number;
}
interface Retrieved {
  corpus_ids: number[];
  scores: number[];
  gap_to_next: number;
  min_gap: number;
  prompt: string;
  descending: Scored;
  ascending: Scored;
  greedy: { ids: number[]; text: string };
  rephrase?: { prompt: string; greedy: { ids: number[]; text: string }; target: Scored; without: Scored };
}
interface Request {
  id: number;
  prompt: string;
  target: string;
  query: string;
  none: Scored;
  fact_only: Scored;
  k4: Retrieved;
  k16: Retrieved;
}
interface Golden {
  corpus_indices: number[];
  sentences: string[];
  requests: Request[];
}
interface Sentences {
  sentences: string[];
  token_ids: number[][];
  n_tokens_untruncated: number[];
  max_length: number;
  cosine: number[][];
}

const ctx = defaultContext();
const KINDS = ["copy", "update", "retain"] as const;
const NQ = "nq question: ";
/** Everything that EasyEdit does otherwise, but for the order. */
const EASYEDIT = ["sentence-neighbours", "no-self-demo", "no-gate", "corpus-leak", "nq-prefix"];

describe.skipIf(absent)(`IKE${absent && ` (skipped: ${absent})`}`, () => {
  const model = absent ? undefined! : loadFrom(shared("models/smollm2-135m-instruct"));
  const encoder = absent ? undefined! : openEncoder(shared("models/minilm-l6-v2-int8"), model.sessions);
  const golden = absent ? undefined! : readJson<Golden>("golden/memory/ike.json");
  const asked = absent ? undefined! : readJson<Sentences>("golden/memory/encoder.json");
  const tensors: Map<string, NdArray> = absent ? new Map() : readTensors("golden/memory/ike.safetensors");
  const corpus: EditRequest[] = absent ? [] : corpusOf(golden.corpus_indices);
  afterAll(() => model?.release());
  const seen = new Map<string, Promise<NdArray>>();
  /** The encoder, which need not read the corpus again for every case. */
  const known: Encoder = {
    id: encoder?.id,
    embed: (texts) => {
      const key = JSON.stringify(texts);
      if (!seen.has(key)) seen.set(key, encoder.embed(texts, ctx));
      return seen.get(key)!;
    },
  };

  it("the encoder's tokens, embeddings and cosines", async () => {
    const tokenizer = createTokenizer(readJson("models/minilm-l6-v2-int8/tokenizer.json"), {});
    expect(asked.sentences.map((text) => [...encoder.tokens(text)])).toEqual(asked.token_ids);
    expect(asked.sentences.map((text) => tokenizer.encode(text).ids.length)).toEqual(asked.n_tokens_untruncated);
    expect(Math.max(...asked.sentences.map((text) => encoder.tokens(text).length))).toBe(asked.max_length);
    const ours = await encoder.embed(asked.sentences, ctx);
    expect(largest(ours, readTensors("golden/memory/encoder.safetensors").get("embeddings")!)).toBeLessThan(1e-5);
    expect(largest(cosines(ours), asked.cosine.flat())).toBeLessThan(1e-5);
  });
  it("the encoder goes red when a text loses its full stop", async () => {
    const ours = await encoder.embed([asked.sentences[0]!.slice(0, -1), ...asked.sentences.slice(1)], ctx);
    expect(largest(ours, readTensors("golden/memory/encoder.safetensors").get("embeddings")!)).toBeGreaterThan(1e-3);
    expect(largest(cosines(ours), asked.cosine.flat())).toBeGreaterThan(1e-3);
  });

  it("the corpus, its embeddings and the queries'", async () => {
    expect(sentencesOf(corpus)).toEqual(golden.sentences);
    expect(largest(await encoder.embed(golden.sentences, ctx), tensors.get("corpus_embeddings")!)).toBeLessThan(1e-5);
    const queries = golden.requests.map(({ prompt, target }) => `${factLine(prompt, target)}Prompt: ${prompt}\n\n`);
    expect(queries).toEqual(golden.requests.map((r) => r.query));
    expect(largest(await encoder.embed(queries, ctx), tensors.get("query_embeddings")!)).toBeLessThan(1e-5);
  });
  it("the corpus goes red when its unrelated questions lose the set's name", async () => {
    const bare = sentencesOf(corpus, "");
    expect(bare).not.toEqual(golden.sentences);
    expect(
      largest(await encoder.embed(bare.slice(0, 6), ctx), tensors.get("corpus_embeddings")!.data.slice(0, 6 * 384) as Float32Array),
    ).toBeGreaterThan(1e-3);
  });

  describe.each(golden ? golden.requests.filter(({ id }) => all || id === 1) : [])("request $id", (r) => {
    it.each([4, 16])("retrieval and prompt with %d demonstrations", async (k) => {
      const wanted = r[`k${k as 4 | 16}`];
      const { edited, ids, scores } = await editedBy(r, { k: k + 2 }, [...EASYEDIT, "descending"]);
      expect(ids.slice(0, k)).toEqual(wanted.corpus_ids);
      expect(largest(scores.slice(0, k), wanted.scores)).toBeLessThan(1e-5);
      const gaps = scores.slice(0, k + 1).map((s, i) => s - scores[i + 1]!);
      expect(Math.abs(gaps[k - 1]! - wanted.gap_to_next)).toBeLessThan(1e-5);
      expect(Math.abs(Math.min(...gaps) - wanted.min_gap)).toBeLessThan(1e-5);
      expect(await plain(edited, r.prompt)).not.toBe(wanted.prompt); // two demonstrations more show
      const exact = await editedBy(r, { k }, [...EASYEDIT, "descending"]);
      expect(await plain(exact.edited, r.prompt)).toBe(wanted.prompt);
    });

    const text = async (which: "none" | "fact_only" | "descending" | "ascending", k: number): Promise<string> => {
      if (which === "none") return r.prompt;
      const compat = which === "descending" ? [...EASYEDIT, "descending"] : EASYEDIT;
      return plain((await editedBy(r, { k: which === "fact_only" ? 0 : k }, compat)).edited, r.prompt);
    };
    const cases = [
      ["none", 0],
      ["fact_only", 0],
      ["descending", 4],
      ["ascending", 4],
      ...(all
        ? ([
            ["descending", 16],
            ["ascending", 16],
          ] as const)
        : []),
    ] as const;
    it.each(cases)("log-probabilities of the target: %s, %d demonstrations", async (which, k) => {
      const wanted = which === "none" || which === "fact_only" ? r[which] : r[`k${k as 4 | 16}`][which];
      const asks = await text(which, k);
      for (const dtype of ["float32", ...(wanted.f32_rel_err === undefined ? [] : ["float64"])] as Precision[]) {
        await matches(asks, r.target, wanted, dtype);
      }
      const { ids, first } = answered(asks.replace("New Fact", "New fact").replace(r.prompt, r.prompt.toLowerCase()), r.target);
      const [off] = await score(model, [{ ids, from: first }]);
      expect(largest(off!, wanted.token_logprobs)).toBeGreaterThan(1e-3); // a letter's case shows
    });

    it.each(all ? [4, 16] : [4])("what is said, with %d demonstrations", async (k) => {
      const wanted = r[`k${k as 4 | 16}`];
      const { edited } = await editedBy(r, { k }, [...EASYEDIT, "descending"]);
      await says(await plain(edited, r.prompt), wanted.greedy);
      if (wanted.rephrase) {
        const asks = await plain(edited, wanted.rephrase.prompt);
        await says(asks, wanted.rephrase.greedy);
        await matches(asks, r.target, wanted.rephrase.target, "float32");
        await matches(wanted.rephrase.prompt, r.target, wanted.rephrase.without, "float32");
      }
      const [bare] = await generate(model, [model.tokenizer.encode(r.prompt).ids], { maxTokens: 16, freeze: false });
      expect(bare!.ids).not.toEqual(wanted.greedy.ids); // without the context it is another answer
    });
  });

  /** Our edit by the reference's ways, applied; and what it retrieved. */
  async function editedBy(r: Request, over: Partial<IkeParams>, compat: string[]) {
    const request: EditRequest = {
      id: String(r.id),
      prompt: r.prompt,
      target: r.target,
      subject: "",
      answer: "",
      paraphrases: [],
      neighbours: [],
      wrong: [],
    };
    const params = resolveParams("ike", ike.params, { ...over }, model.config);
    const job = { model, requests: [request], retain: [], demonstrations: corpus, encoder: known, params, compat: new Set(compat) };
    const draft = await ike.edit({ ...job, format: "plain", seed: 0, running: { dtype: "float32", executor: "graph" }, ctx });
    const by = { method: "ike", params: {}, compat, seed: 0, departures: [], requests: [], code: "" };
    const edit = sign(draft, { base: model.id, on: [], format: "plain", by });
    const [found] = edit.evidence!["demonstrations"] as { from: string; kind: (typeof KINDS)[number]; score: number }[][];
    const ids = found!.map(({ from, kind }) => 3 * corpus.findIndex((c) => c.id === from) + KINDS.indexOf(kind));
    return { edited: apply(model, edit, { ctx, format: "plain" }), ids, scores: found!.map((d) => d.score) };
  }

  const answered = (asks: string, target: string) => targetTokens((t) => model.tokenizer.encode(t), asks, target);

  async function matches(asks: string, target: string, wanted: Scored, dtype: Precision): Promise<void> {
    const { ids, first } = answered(asks, target);
    expect([first, ids.slice(first)]).toEqual([wanted.n_context_tokens, wanted.target_ids]);
    const [ours] = await score(model, [{ ids, from: first }], { dtype });
    const sum = ours!.reduce((a, b) => a + b, 0);
    if (dtype === "float64") {
      expect(relative(ours!, wanted.token_logprobs)).toBeLessThan(1e-9);
      expect(Math.abs(sum / wanted.sum_logprob - 1)).toBeLessThan(1e-9);
      return;
    }
    expect(largest(ours!, wanted.token_logprobs)).toBeLessThan(1e-3);
    expect(Math.abs(sum - wanted.sum_logprob)).toBeLessThan(1e-3 * wanted.target_ids.length);
    expect(await likeliest(model, ids, first)).toEqual(wanted.argmax_ids);
  }

  async function says(asks: string, wanted: { ids: number[]; text: string }): Promise<void> {
    const [ours] = await generate(model, [model.tokenizer.encode(asks).ids], { maxTokens: 16, freeze: false });
    expect(ours!.ids).toEqual(wanted.ids);
    expect(ours!.text).toBe(wanted.text);
  }
});

const plain = async (model: Model, question: string): Promise<string> => (await promptOf(model, question, { format: "plain" })).text;

/** The reference's corpus: the answer of zsRE's record is what is said. */
function corpusOf(indices: readonly number[]): EditRequest[] {
  const { requests } = zsre.read({ path: shared("data/zsre/zsre_1037.json") });
  return indices.map((i) => ({ ...requests[i]!, target: null }));
}

const sentencesOf = (corpus: readonly EditRequest[], prefix = NQ): string[] =>
  corpus.flatMap((r) => KINDS.map((kind) => shownText([demonstrationsFrom(r, prefix)[kind]!])));

function cosines({ shape, data }: NdArray): number[] {
  const [rows, width] = shape as [number, number];
  const row = (i: number): Float32Array => (data as Float32Array).subarray(i * width, (i + 1) * width);
  return Array.from({ length: rows * rows }, (_, k) => row(Math.floor(k / rows)).reduce((s, x, j) => s + x * row(k % rows)[j]!, 0));
}

/** The likeliest token at each place of ids[first..]. */
async function likeliest(model: Model, ids: readonly number[], first: number): Promise<number[]> {
  const graph = trace((t) => {
    const lm = traced(model, t);
    const { hidden } = lm.forward(t.input("tokens", "int64", ["B", "T"]), { positions: t.input("positions", "int64", ["B", "T"]) });
    return {
      ids: lm
        .logits(lm.normed(hidden, t.input("rows", "int64", ["M"])))
        .logSoftmax()
        .argmax(),
    };
  });
  const T = ids.length;
  const rows = ints(Array.from({ length: T - first }, (_, i) => first + i - 1));
  const feeds = { tokens: ints(ids, [1, T]), positions: ints([...ids.keys()], [1, T]), rows };
  const { ids: found } = await program(model.sessions, graph).run(feedsOf(model, feeds));
  return Array.from(found!.data as BigInt64Array, Number);
}
