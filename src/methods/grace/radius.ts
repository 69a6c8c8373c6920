/** The radius of GRACE's new key, measured by the distances to other questions. */
import { fail } from "../../base/fail.ts";
import { SAME } from "../../locate/codebook.ts";
import { activations, norm, rowOf } from "../../locate/keys.ts";
import { scopeOf } from "../../locate/scope.ts";
import { answerAs, type TokenizedRequest } from "../../locate/tokenized-requests.ts";
import { siteName } from "../../model/names.ts";
import type { Job } from "../method.ts";
import type { GraceParams } from "./teach.ts";

/** `reach` times the distance of the nearest other question; with `quantile`, at most that quantile of the distances after other text. */
export async function measuredRadius(
  job: Job<GraceParams>,
  row: TokenizedRequest,
): Promise<{ radius: number; [measured: string]: unknown }> {
  const { model, params, requests, running, ctx } = job;
  const site = siteName(params.layer, model.arch.memory.key);
  const scope = await scopeOf({ ...job, ask: answerAs(job) }, requests[0]!, params.others);
  const mine = 1 + scope.inside.length + scope.common;
  const ends = [row.ids.slice(0, row.first), ...scope.inside, ...scope.outside].map((ids) => ({ ids, at: [ids.length - 1] }));
  const seen = (await activations(model, ends, [site], running, { from: mine, ctx }))[site]!;
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

/** A quantile of ascending numbers: the smallest number that is not below the given share of them. */
const quantile = (xs: readonly number[], q: number): number => xs[Math.max(0, Math.ceil(q * xs.length) - 1)]!;
