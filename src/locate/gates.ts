/** Scope gates: how near a question must come to an edit's own before the edit speaks, calibrated on questions whose answers stay. */
import { floats, type NdArray } from "../base/array.ts";
import type { Context } from "../base/context.ts";
import type { EditRequest, QA } from "../data/request.ts";
import { cosine, type Encoder } from "../text/encoder.ts";
import type { Model } from "../model/model.ts";
import { selfQuestions } from "./samples.ts";

/** What gates are calibrated on, in this order of preference: a retain set, the demonstrations' questions, the model's own. */
export interface Calibration {
  readonly model: Model;
  readonly requests: readonly EditRequest[];
  readonly retain?: readonly QA[];
  readonly demonstrations?: readonly EditRequest[];
  readonly encoder: Encoder;
  readonly seed: number;
  readonly ctx: Context;
}

export interface Gates {
  /** Each request's question, encoded: [1, width]. */
  readonly keys: readonly NdArray[];
  /** The least cosine at which a request speaks. */
  readonly above: readonly number[];
  /** Each request's cosine with the nearest question that must stay. */
  readonly nearest: readonly number[];
  readonly on: { readonly questions: number; readonly from: "retain" | "demonstrations" | "self" | "given" };
}

/** Questions of the model's own where nobody gave any. */
const OWN = 64;
/** A request's own question passes whatever the rounding. */
const MOST = 1 - 1e-4;

/**
 * A gate for each request, `share` of the way from the nearest question that must stay to the request's own; or `above`, where it is
 * not 0, for all. Says where a question that must stay is the request's own, word for word or nearly.
 */
export async function gatesOf(
  job: Calibration,
  { share, above: given }: { readonly share: number; readonly above: number },
): Promise<Gates> {
  const { requests, encoder, ctx } = job;
  const all = await encoder.embed(
    requests.map((r) => r.prompt),
    ctx,
  );
  const width = all.shape[1]!;
  const keys = requests.map((_, i) => floats((all.data as Float32Array).slice(i * width, (i + 1) * width), [1, width]));
  if (given > 0) return { keys, above: keys.map(() => given), nearest: keys.map(() => 0), on: { questions: 0, from: "given" } };
  const { from, questions } = await questionsThatStay(job);
  const known = await encoder.embed(questions, ctx);
  const nearest = keys.map((key) => questions.reduce((best, _, j) => Math.max(best, cosine(key, 0, known, j)), 0));
  nearest.forEach((near, i) => {
    if (near > MOST)
      ctx.log({ kind: "warning", who: "gate", text: `${requests[i]!.id}: a question that must stay is all but the same: it will not` });
  });
  return {
    keys,
    above: nearest.map((near) => Math.min(near + share * (1 - near), MOST)),
    nearest,
    on: { questions: questions.length, from },
  };
}

async function questionsThatStay(job: Calibration): Promise<{ from: "retain" | "demonstrations" | "self"; questions: string[] }> {
  const { model, requests, retain = [], demonstrations = [], seed, ctx } = job;
  const edited = new Set(requests.map((r) => r.prompt.trim()));
  const apart = (questions: readonly string[]): string[] => questions.filter((question) => !edited.has(question.trim()));
  if (retain.length > 0) return { from: "retain", questions: apart(retain.map((qa) => qa.question)) };
  if (demonstrations.length > 0) return { from: "demonstrations", questions: apart(demonstrations.map((r) => r.prompt)) };
  return { from: "self", questions: apart(await selfQuestions(model, OWN, seed, ctx)) };
}
