/** Demonstrations: examples made of other facts, and the choice of those most similar to a request. */
import type { NdArray } from "../../base/array.ts";
import { arrays } from "../../base/codec.ts";
import type { Context } from "../../base/context.ts";
import { fail } from "../../base/fail.ts";
import { kept } from "../../base/kept.ts";
import { rng } from "../../base/rng.ts";
import type { EditRequest } from "../../data/request.ts";
import { cosine, type Encoder } from "../../text/encoder.ts";
import type { Exchange } from "../../model/model.ts";
import { framed, shownText } from "../../model/prompt.ts";

/** The three kinds: the new fact itself, the new fact asked in other words, and a question whose answer does not change. */
const KINDS = ["copy", "update", "retain"] as const;
export type Kind = (typeof KINDS)[number];

/** A demonstration: its fact, its kind, and the question with its answer. */
export interface Demonstration extends Exchange {
  readonly from: string;
  readonly kind: Kind;
}

/** A demonstration and its similarity to the request. */
export type Shown = Demonstration & { readonly score: number };

/** The text around a question that follows a new fact. */
export const FRAME = "Prompt: {}";

/** A fact as a sentence. */
export const factLine = (prompt: string, target: string): string =>
  `New Fact: ${prompt}${/\s$/.test(prompt) || /^\s/.test(target) ? "" : " "}${target}\n`;

/**
 * The demonstrations that a fact gives. `prefix` is put before a question whose answer does not change. Refuses a fact without target and
 * answer.
 */
export function demonstrationsFrom(r: EditRequest, prefix = ""): Partial<Record<Kind, Demonstration>> & { readonly copy: Demonstration } {
  const target = r.target ?? r.answer;
  if (target.trim() === "") fail("demonstrations", `${r.id} has no answer`, "a fact with its answer", 'Add "answer" to its line.');
  const fact = factLine(r.prompt, target);
  const of = (kind: Kind, question: string, said: string): Demonstration => ({
    from: r.id,
    kind,
    asked: fact + framed(FRAME, question),
    said,
  });
  const [rephrased, near] = [r.paraphrases[0], r.neighbours.find((n) => n.answer.trim() !== "")];
  return {
    copy: of("copy", r.prompt, target),
    ...(rephrased !== undefined && { update: of("update", rephrased, target) }),
    ...(near && { retain: of("retain", prefix + near.question, near.answer) }),
  };
}

export interface DemonstrationOptions {
  /** The number of demonstrations of each request. */
  readonly count: number;
  /** "copy:update:retain", in numbers. */
  readonly ratio: string;
  /**
   * If true, each of the most similar facts gives one demonstration, of a kind chosen by the ratio. Otherwise the most similar
   * demonstrations of any kind are used.
   */
  readonly byFact: boolean;
  /** Keep demonstrations of the requests themselves, and demonstrations that contain an answer to forget. */
  readonly leaks: boolean;
  readonly prefix: string;
  readonly encoder: Encoder;
  readonly seed: number;
  readonly ctx: Context;
}

/**
 * The most similar demonstrations of each request, in descending order of similarity. In the mode by fact, a fact without the chosen kind
 * gives a copy. Demonstrations that ask a request's own question, or contain its answer to forget, are left out.
 */
export async function nearestDemonstrations(
  requests: readonly EditRequest[],
  facts: readonly EditRequest[],
  options: DemonstrationOptions,
): Promise<Shown[][]> {
  const { count, byFact, leaks, encoder, ctx } = options;
  const parts = partsOf(options.ratio);
  if (count === 0 || facts.length === 0) return requests.map(() => []);
  const corpus = facts.map((r) => demonstrationsFrom(r, options.prefix));
  const searched = byFact ? corpus.map((c) => c.copy) : corpus.flatMap((c) => KINDS.flatMap((kind) => c[kind] ?? []));
  const known = await keptEmbeddings(
    encoder,
    searched.map((d) => shownText([d])),
    ctx,
  );
  const queries = await encoder.embed(
    requests.map(({ prompt, target }) => `${factLine(prompt, target!)}${framed(FRAME, prompt)}\n\n`),
    ctx,
  );
  const isSaid = leakFilter(requests, facts);
  const isKept = (request: EditRequest, d: Demonstration): boolean => leaks || !isSaid(request, d);
  const offers = new Map(corpus.map((c) => [c.copy.from, c]));
  return requests.map((request, i) => {
    const ranked = searched
      .map((d, j): Shown => ({ ...d, score: cosine(queries, i, known, j) }))
      .filter((d) => isKept(request, d))
      .sort((a, b) => b.score - a.score)
      .slice(0, count);
    if (!byFact) return ranked;
    const kinds = rng(options.seed).split("demonstrations").split(request.id).shuffled(kindsOf(parts, ranked.length));
    return ranked.map((d, j): Shown => {
      const offered = offers.get(d.from)?.[kinds[j]!];
      return offered && isKept(request, offered) ? { ...offered, score: d.score } : d;
    });
  });
}

const EMBEDDINGS = arrays({ embeddings: "float32" });

/**
 * Embeddings of a corpus, kept in the cache. Embeddings from a model's own hidden states are not kept, because their id does not name the
 * model.
 */
async function keptEmbeddings(encoder: Encoder, texts: readonly string[], ctx: Context): Promise<NdArray> {
  if (!encoder.id.includes("@")) return encoder.embed(texts, ctx);
  const about = [encoder.id, texts, ctx.threads];
  const made = async () => ({ embeddings: await encoder.embed(texts, ctx) });
  return (await kept(ctx, "embeddings", about, EMBEDDINGS, made)).embeddings;
}

/** The parts of "1:3:4". */
function partsOf(ratio: string): readonly number[] {
  const parts = ratio.split(":").map((part) => (part.trim() === "" ? NaN : Number(part)));
  return parts.length === KINDS.length && parts.every((n) => n >= 0 && n < Infinity) && parts.some((n) => n > 0)
    ? parts
    : fail("demonstrations", `ratio "${ratio}"`, "three numbers copy:update:retain, not all 0", "For example 1:3:4.");
}

/** `count` kinds in the given ratio, rounded to whole numbers. */
export function kindsOf(parts: readonly number[], count: number): Kind[] {
  const whole = parts.reduce((a, b) => a + b, 0);
  const upTo = parts.map((_, i) => Math.round((count * parts.slice(0, i + 1).reduce((a, b) => a + b, 0)) / whole));
  return KINDS.flatMap((kind, i) => new Array<Kind>(upTo[i]! - (upTo[i - 1] ?? 0)).fill(kind));
}

/** Whether a demonstration asks an edited question, or contains an answer to forget. */
function leakFilter(requests: readonly EditRequest[], facts: readonly EditRequest[]): (request: EditRequest, d: Demonstration) => boolean {
  const plain = (text: string): string =>
    text
      .toLowerCase()
      .replaceAll(/[^\p{L}\p{N}]+/gu, " ")
      .trim();
  const asked = new Set(requests.flatMap((r) => [r.prompt, ...r.paraphrases]).map(plain));
  const same = new Set(facts.filter((d) => [d.prompt, ...d.paraphrases].some((text) => asked.has(plain(text)))).map((d) => d.id));
  return (request, d) => {
    const answer = plain(request.answer);
    return same.has(d.from) || (answer !== "" && ` ${plain(`${d.asked} ${d.said}`)} `.includes(` ${answer} `));
  };
}
