/** The gate of hush: directions that meet a fact's own key with 1, thresholds measured on other questions, and the token that decides. */
import { hash } from "../../base/hash.ts";
import { arrays } from "../../base/codec.ts";
import type { Context } from "../../base/context.ts";
import { kept } from "../../base/kept.ts";
import { activations, dot, norm, rowOf, type RowWithPlaces, subjectActivations } from "../../locate/keys.ts";
import { scopeOf } from "../../locate/scope.ts";
import type { TokenizedRequest } from "../../locate/tokenized-requests.ts";
import { promptWithoutEdits, type RowOptions } from "../../model/prompt.ts";
import { siteName } from "../../model/names.ts";
import { cholesky, choleskySolve, type Gemm, gemmOn, type Matrix, matrix, ridged, transpose } from "../../onnx/linalg.ts";
import type { Job } from "../method.ts";
import type { Book, Fact } from "./book.ts";

export interface HushParams {
  layer: number;
  ridge: number;
  threshold: number;
  floor: number;
  others: number;
  teach: number;
  enough: number;
  steps: number;
  lr: number;
  polish: number;
}

/** A fact's own key meets its direction with 1, up to rounding; a threshold leaves room for that. */
const OWN = 0.999;
/** Rows whose keys are read together. */
const TOGETHER = 64;

/** A relative distance of two directions below this: one and the same question. */
const SAME = 1e-4;

/** A book with the facts of some requests. */
export interface Admitted {
  readonly book: Book;
  /** Which of the facts each request is. */
  readonly places: readonly number[];
  /** How much other questions meet each request's direction at most; none where the threshold is given. */
  readonly others: readonly number[];
}

/**
 * Appends the facts of requests to a book, each with its direction and its threshold. They have no value yet (−1). A question that is in the
 * book already keeps its fact: it will get another value. Warns if another question meets a key as much as its own question does.
 */
export async function admit(
  job: Job<HushParams>,
  rows: readonly TokenizedRequest[],
  { facts: before, values }: Book,
  ask: RowOptions,
): Promise<Admitted> {
  const { model, requests, params, statistics, running, ctx } = job;
  const site = model.arch.memory.key;
  const keys = (await subjectActivations(model, rows, params.layer, [site], running))[site];
  const moments = ridged(await statistics!.secondMoment(params.layer, site), params.ridge);
  const [n, m] = keys.shape as [number, number];
  const own = matrix(n, m, Float64Array.from(keys.data as Float64Array));
  const directions = await directionsOf(own, moments, gemmOn(model.sessions), ctx);
  const others = params.threshold > 0 ? [] : await meetingsOfOthers(job, rows, directions, ask);
  const facts = [...before];
  const places = rows.map((_, i) => {
    const direction = rowOf(directions, i);
    const threshold = params.threshold > 0 ? Math.min(OWN, params.threshold) : thresholdFor(others[i]!, params.floor);
    if (others[i] !== undefined && others[i] >= OWN)
      ctx.log({
        kind: "warning",
        who: "hush",
        text: `${requests[i]!.id}: another question meets its key as its own does (${others[i].toFixed(2)}); such questions get the target too`,
      });
    const known = facts.findIndex((fact) => norm(fact.direction.map((x, j) => x - direction[j]!)) < SAME * norm(direction));
    return known >= 0 ? known : facts.push({ direction, threshold, value: -1 }) - 1;
  });
  return { book: { facts, values }, places, others };
}

/** The directions [n, m] of keys [n, m]: M⁻¹·k / (kᵀ·M⁻¹·k), by the factor of the moments M [m, m], which the cache keeps. */
export async function directionsOf(keys: Matrix, moments: Matrix, gemm: Gemm, ctx: Context): Promise<Matrix> {
  const { l } = await kept(ctx, "factors", [hash(moments)], arrays({ l: "float64" }), async () => ({
    l: await cholesky(moments, gemm, ctx),
  }));
  const solved = transpose(await choleskySolve(l as Matrix, transpose(keys), gemm, ctx));
  const [n, m] = keys.shape as [number, number];
  for (let i = 0; i < n; i++) {
    const meets = dot(rowOf(keys, i), rowOf(solved, i));
    for (let j = 0; j < m; j++) solved.data[i * m + j]! /= meets;
  }
  return solved;
}

/** The threshold of a fact whose direction other questions meet with at most `others`: halfway to its own key, and at least `floor`. */
export const thresholdFor = (others: number, floor: number): number => Math.min(OWN, Math.max(floor, others + 0.5 * (1 - others)));

/**
 * The largest s of each direction [n, m] at any token of other questions: of the retain set, of questions that the model generates, and of the
 * question with substitute subjects. A generated question that names the subject does not count: its key is the fact's own.
 */
async function meetingsOfOthers(
  job: Job<HushParams>,
  alone: readonly TokenizedRequest[],
  directions: Matrix,
  ask: RowOptions,
): Promise<number[]> {
  const { model, requests, params, seed, ctx, retain = [] } = job;
  const edited = new Set(requests.map(({ prompt }) => prompt));
  const rest = retain.filter(({ question }) => !edited.has(question)).map(({ question }) => promptWithoutEdits(model, question, ask));
  const common = new Map<string, { readonly ids: readonly number[]; readonly text: string }>();
  const [own, most]: [Set<string>[], number[]] = [[], []];
  for (const [i, request] of requests.entries()) {
    const scope = await scopeOf({ model, seed, templates: ["{}"], ask, ctx }, request, params.others);
    most.push(Math.max(...(await ofQuestion(job, alone[i]!, scope.outside.slice(0, scope.common), rowOf(directions, i)))));
    const generated = scope.outside.slice(scope.common).map((ids) => ({ ids, text: model.tokenizer.decode([...ids]) }));
    const counted = [...generated.filter(({ text }) => !text.includes(request.subject)), ...rest];
    for (const row of counted) common.set(row.ids.join(), row);
    own.push(new Set(counted.map(({ ids }) => ids.join())));
  }
  const rows = [...common.values()].map(({ ids }) => ({ ids, at: [...ids.keys()] }));
  const seen = await largest(job, rows, directions, ctx);
  return most.map((most, i) =>
    [...common.keys()].reduce((max, key, row) => (own[i]!.has(key) ? Math.max(max, seen[row]![i]!) : max), most),
  );
}

/** s of one direction in its own question before the subject, and from the subject on where another one stands in its place. */
async function ofQuestion(
  job: Job<HushParams>,
  { ids, subject, width }: TokenizedRequest,
  alike: readonly (readonly number[])[],
  direction: Float64Array,
): Promise<number[]> {
  const from = subject + 1 - width;
  const before = from > 0 ? [{ ids: ids.slice(0, from), at: [...ids.keys()].slice(0, from) }] : [];
  const behind = alike.map((ids) => ({ ids, at: [...ids.keys()].slice(from) }));
  const one = matrix(1, direction.length, direction);
  return [0, ...(await largest(job, before, one)), ...(await largest(job, behind, one))].flat();
}

/** The largest s of each direction [n, m] over the places of each row: [rows][n]. With a context, what is read is kept in the cache. */
async function largest(
  { model, params, running }: Job<HushParams>,
  rows: readonly RowWithPlaces[],
  directions: Matrix,
  ctx?: Context,
): Promise<number[][]> {
  const [gemm, name] = [gemmOn(model.sessions), siteName(params.layer, model.arch.memory.key)];
  const [n, m] = directions.shape as [number, number];
  const out: number[][] = [];
  for (let from = 0; from < rows.length; from += TOGETHER) {
    const part = rows.slice(from, from + TOGETHER);
    const seen = (await activations(model, part, [name], running, ctx && { from: 0, ctx }))[name]!;
    const meets = await gemm(matrix(seen.shape[0]!, m, Float64Array.from(seen.data as Float64Array)), directions, { transB: true });
    let place = 0;
    for (const { at } of part) {
      const most = new Array<number>(n).fill(-Infinity);
      for (const _ of at) {
        for (let i = 0; i < n; i++) most[i] = Math.max(most[i]!, meets.data[place * n + i]!);
        place++;
      }
      out.push(most);
    }
  }
  return out;
}

/** The rows with the token at which the gate of `facts` opens for their questions in the place of the subject's last token. */
export async function atOpenToken(
  job: Job<HushParams>,
  rows: readonly TokenizedRequest[],
  facts: readonly Fact[],
): Promise<TokenizedRequest[]> {
  const { model, params, running } = job;
  const name = siteName(params.layer, model.arch.memory.key);
  const places = rows.map(({ ids, first }) => ({ ids, at: [...ids.keys()].slice(0, first) }));
  const seen = (await activations(model, places, [name], running))[name]!;
  let place = 0;
  return rows.map((row) => {
    let best = { meets: -Infinity, token: row.subject };
    for (let token = 0; token < row.first; token++) {
      const key = rowOf(seen, place++);
      for (const { direction, threshold } of facts) {
        const meets = dot(direction, key);
        if (meets >= threshold && meets > best.meets) best = { meets, token };
      }
    }
    return { ...row, subject: best.token };
  });
}
