/** Adds one answer to GRACE's codebook: places its key, and trains the value for it. */
import { type BookParams, type Entry, nearestOf, place, PUTS, type Rule } from "../../locate/codebook.ts";
import { activations, rowOf } from "../../locate/keys.ts";
import type { TokenizedRequest } from "../../locate/tokenized-requests.ts";
import { findValues, type Value } from "../../locate/values.ts";
import type { Model } from "../../model/model.ts";
import { siteName } from "../../model/names.ts";
import type { Job } from "../method.ts";

export interface GraceParams extends BookParams {
  steps: number;
  lr: number;
  enough: number;
  radius: number;
  quantile: number;
  reach: number;
  others: number;
  init: string;
  expand: string;
}

/** The input of {@link teach} besides the row. */
export interface Teaching extends Pick<Job<GraceParams>, "params" | "compat" | "running" | "ctx"> {
  readonly radius: number;
  /** Draws the first value. */
  readonly draw: (size: number) => Float64Array;
}

/**
 * The book after one more row: the rule that was applied, the result of the lookup, and the search for the value (none if no key is near
 * enough).
 */
export interface Taught {
  readonly book: readonly Entry[];
  readonly rule: Rule;
  readonly query: Float64Array;
  /** The distance to the nearest earlier key. */
  readonly distance?: number;
  readonly index: number;
  readonly value?: Value;
}

/** Places a row's key in the book and trains the value that the lookup returns for it (GRACE, algorithm 1). */
export async function teach(model: Model, before: readonly Entry[], row: TokenizedRequest, job: Teaching): Promise<Taught> {
  const { params, compat, running, ctx } = job;
  const { key: keySite, value: valueSite } = model.arch.memory;
  const names = [siteName(params.layer, keySite), siteName(params.layer, valueSite)] as const;
  const seen = await activations(model, [{ ids: row.ids, at: [row.subject] }], names, running);
  const [query, output] = [rowOf(seen[names[0]]!, 0), rowOf(seen[names[1]]!, 0)];
  const fresh: Entry = {
    key: query,
    value: params.init === "cold" ? job.draw(output.length) : output,
    radius: job.radius,
    target: row.ids.slice(row.first),
    prompt: row.first,
  };
  const placed = place(before, fresh, params.expand, compat.has("label-means"));
  const near = nearestOf(placed.book, query)!;
  const at = { ...placed, query, index: near.index };
  if (near.distance > placed.book[near.index]!.radius) return at; // no key is near enough: nothing to train
  const start = placed.book[near.index]!.value.map((v, i) => v - output[i]!);
  const [value] = await findValues(model, [{ rows: [row], start }], {
    ...running,
    layer: params.layer,
    site: valueSite,
    puts: PUTS[params.replace as keyof typeof PUTS],
    steps: params.steps + 1,
    lr: params.lr,
    decay: 0,
    clamp: Infinity,
    kl: 0,
    done: compat.has("no-stop") ? () => false : (e) => e.worst < params.enough,
    ctx,
  });
  const trained = value!.h0.map((h, i) => h + value!.shift[i]!);
  return { ...at, value: value!, book: placed.book.map((entry, i) => (i === near.index ? { ...entry, value: trained } : entry)) };
}
