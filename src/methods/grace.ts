/** GRACE: a codebook at one MLP; a question whose key is near a stored key gets the value stored with it. */
import { fail } from "../base/fail.ts";
import { rng } from "../base/rng.ts";
import type { EditRequest } from "../data/request.ts";
import {
  adapterOf,
  type BookParams,
  bookOf,
  type Entry,
  EXPANSIONS,
  labelsOf,
  nearestOf,
  place,
  PUTS,
  type Rule,
  SAME,
} from "../locate/codebook.ts";
import { activations, norm, rowOf } from "../locate/keys.ts";
import { answerAs, type EditRow, rowsOf } from "../locate/target-rows.ts";
import { scopeOf } from "../locate/scope.ts";
import { findValues, type Value } from "../locate/values.ts";
import type { Model } from "../model/model.ts";
import { checkLayer, siteName } from "../model/names.ts";
import { defineMethod, type Job } from "./method.ts";

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

export const grace = defineMethod<GraceParams>({
  name: "grace",
  title: "GRACE",
  paper: "arXiv:2211.11031",
  doc: "Changes no weight; a codebook answers questions whose key lies within the radius of a stored key.",
  takes: "one",
  needs: ["target"],
  params: {
    layer: {
      default: (c) => Math.round(c.layers * 0.8),
      doc: "block whose MLP output is replaced",
      source: "docs/methods/grace.md (EasyEdit: 0.84 of the depth)",
      min: 0,
      whole: true,
    },
    steps: {
      default: 50,
      doc: "maximal number of updates of the value",
      source: "EasyEdit hparams/GRACE/llama-7b.yaml n_iter",
      min: 1,
      whole: true,
    },
    lr: { default: 1, doc: "learning rate of Adam on the value", source: "EasyEdit hparams/GRACE/llama-7b.yaml edit_lr", min: 0 },
    enough: {
      default: 0.05,
      doc: "stop when the loss of the target's least likely token is below this (nats)",
      source: "docs/methods/grace.md",
      min: 0,
    },
    radius: { default: 0, doc: "radius of a new key (EasyEdit: 1); 0: measured", source: "docs/methods/grace.md", min: 0 },
    quantile: {
      default: 0,
      doc: "measured radius: this quantile of the distances to the question after context templates; 0: from reach",
      source: "docs/methods/grace.md",
      min: 0,
      max: 1,
    },
    reach: {
      default: 0.8,
      doc: "measured radius: at most this share of the distance to the nearest other question",
      source: "docs/methods/grace.md",
      min: 0,
      max: 1,
    },
    others: {
      default: 64,
      doc: "for the measured radius: how many questions made by the model, and as many with substitute subjects",
      source: "docs/methods/grace.md",
      min: 1,
      whole: true,
    },
    init: {
      default: "warm",
      choices: ["cold", "warm"],
      doc: "a new value starts as uniform noise (cold) or as the layer's output (warm)",
      source: "docs/methods/grace.md",
    },
    replace: {
      default: "replace_last",
      choices: Object.keys(PUTS),
      doc: "tokens that get the value: the question's last, all, or those before its last",
      source: "EasyEdit hparams/GRACE/llama-7b.yaml replacement",
    },
    expand: {
      default: "beside",
      choices: EXPANSIONS,
      doc: "if a key of the same target is near, but the new key is not within its radius: add a new entry (beside), enlarge the radius (coverage), or also move the key halfway (moving_average)",
      source: "docs/methods/grace.md (EasyEdit: coverage)",
    },
  },
  hparams: {
    inner_params: "layer",
    edit_lr: "lr",
    n_iter: "steps",
    eps: "radius",
    val_init: "init",
    replacement: "replace",
    eps_expand: "expand",
  },
  compat: {
    "label-means":
      "treat two targets as equal when the means of their label tensors are equal, and compare a key with the label of another entry",
    "every-call": "look up the last token of every call, so that each token of a cached answer is looked up again",
    "stale-index": "look up the token at the position where the last edited question ended",
    "no-stop": "train the value for all steps",
    "open-end": "do not train the end of the answer",
  },
  edit: async (job) => {
    const { model, requests, params, compat, previous, running } = job;
    const request = requests[0] ?? fail("grace", "no request", "one request", "");
    checkLayer("grace", params.layer, model.config.layers);
    const [row] = rowsOf(model, withoutSubject(request), ["{}"], answerAs(job));
    const measured = params.radius > 0 ? { radius: params.radius } : await measuredRadius(job, row!);
    const random = rng(job.seed).split(`grace ${request.id}`);
    const draw = (n: number): Float64Array => Float64Array.from({ length: n }, () => random.uniform());
    const taught = await teach(model, bookOf(previous), row!, { ...job, radius: measured.radius, draw });
    const { book, value } = taught;
    return {
      change: adapterOf(model, book, { params, compat, dtype: running.dtype, last: row!.subject }),
      memory: labelsOf(book),
      evidence: {
        layer: params.layer,
        rule: taught.rule,
        keys: book.length,
        distance: taught.distance ?? null,
        ...measured,
        evaluations: value?.evaluations.length ?? 0,
        loss: value?.evaluations.at(-1)!.total ?? null,
      },
    };
  },
});

const withoutSubject = ({ id, prompt, target }: EditRequest) => ({ id, prompt, target });

/** What {@link teach} is given beyond the row. */
export interface Teaching extends Pick<Job<GraceParams>, "params" | "compat" | "running" | "ctx"> {
  readonly radius: number;
  /** Draws a value to begin with. */
  readonly draw: (size: number) => Float64Array;
}

/** A book taught one row more: which rule it fell under, what was looked up, and the search of its value (none where no key answers). */
export interface Taught {
  readonly book: readonly Entry[];
  readonly rule: Rule;
  readonly query: Float64Array;
  /** To the nearest key before. */
  readonly distance?: number;
  readonly index: number;
  readonly value?: Value;
}

/** Places a row's key in the book and trains the value that answers it (GRACE, algorithm 1). */
export async function teach(model: Model, before: readonly Entry[], row: EditRow, job: Teaching): Promise<Taught> {
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
  if (near.distance > placed.book[near.index]!.radius) return at; // no key answers: nothing to train
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

/** A radius that keeps out other questions, or that takes in the question in company. */
async function measuredRadius(job: Job<GraceParams>, row: EditRow): Promise<{ radius: number; [measured: string]: unknown }> {
  const { model, params, requests, running } = job;
  const site = siteName(params.layer, model.arch.memory.key);
  const scope = await scopeOf({ ...job, ask: answerAs(job) }, requests[0]!, params.others);
  const ends = [row.ids.slice(0, row.first), ...scope.inside, ...scope.outside].map((ids) => ({ ids, at: [ids.length - 1] }));
  const seen = (await activations(model, ends, [site], running))[site]!;
  const own = rowOf(seen, 0);
  const distances = ends.slice(1).map((_, i) => norm(rowOf(seen, i + 1).map((k, j) => k - own[j]!)));
  const ascending = (xs: readonly number[]): number[] => [...xs].sort((a, b) => a - b);
  const inside = ascending(distances.slice(0, scope.inside.length));
  const outside = ascending(distances.slice(scope.inside.length).filter((d) => d > SAME));
  const nearest = outside[0] ?? fail("grace", "no other question to measure the radius with", "at least one", "Give --set radius=N.");
  const wanted = params.quantile > 0 && inside.length > 0 ? quantile(inside, params.quantile) : Infinity;
  const quartiles = (xs: readonly number[]): number[] => (xs.length > 0 ? [0, 0.25, 0.5, 0.75, 1].map((q) => quantile(xs, q)) : []);
  return { radius: Math.min(wanted, params.reach * nearest), inside: quartiles(inside), outside: quartiles(outside) };
}

/** A quantile of ascending numbers: the first that so large a share is not above. */
const quantile = (xs: readonly number[], q: number): number => xs[Math.max(0, Math.ceil(q * xs.length) - 1)]!;
