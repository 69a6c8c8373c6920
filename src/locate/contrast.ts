/** Contrast keys: what the model would put in the subject's place, and what it says of that, so that an edit leaves a subject's like alone. */
import type { Context } from "../base/context.ts";
import { generate } from "../model/decode/generate.ts";
import type { Model } from "../model/model.ts";
import type { RowWithPlaces } from "./keys.ts";
import type { TokenizedRequest } from "./tokenized-requests.ts";

/** Tokens of an answer that are looked at. */
const ANSWER = 12;

/** The bare question up to its answer, with up to `count` other subjects in the subject's place, sampled from the model: as many tokens, distinct, never the subject. */
export async function promptsWithOtherSubjects(
  model: Model,
  alone: TokenizedRequest,
  count: number,
  seed: number,
  ctx: Context,
): Promise<number[][]> {
  const before = alone.ids.slice(0, alone.subject + 1 - alone.width);
  const own = alone.ids.slice(alone.subject + 1 - alone.width, alone.subject + 1).join();
  if (before.length === 0 || count === 0) return [];
  const ends = new Set(model.tokenizer.eos);
  const made = await generate(model, new Array<readonly number[]>(count).fill(before), {
    maxTokens: alone.width,
    temperature: 1,
    topK: 64,
    seed,
    freeze: false,
    ctx,
  });
  const distinct = new Map(
    made.filter((g) => g.ids.length === alone.width && !g.ids.some((id) => ends.has(id))).map((g) => [g.ids.join(), g.ids]),
  );
  distinct.delete(own);
  const rest = alone.ids.slice(alone.subject + 1, alone.first);
  return [...distinct.values()].map((ids) => [...before, ...ids, ...rest]);
}

/**
 * The bare question with up to `count` other subjects sampled from the model (as many tokens as the subject has, the subject itself left
 * out), each with the model's greedy answer; looked at from the stand-in's last token to the end, where the answer names things as well.
 */
export async function contrastRows(
  model: Model,
  alone: TokenizedRequest,
  count: number,
  seed: number,
  ctx: Context,
): Promise<RowWithPlaces[]> {
  const asked = await promptsWithOtherSubjects(model, alone, count, seed, ctx);
  if (asked.length === 0) return [];
  const ends = new Set(model.tokenizer.eos);
  const answers = await generate(model, asked, { maxTokens: ANSWER, stopIds: ends, freeze: false, ctx });
  return asked.map((prompt, i) => {
    const ids = [...prompt, ...answers[i]!.ids];
    return { ids, at: ids.flatMap((_, j) => (j < alone.subject ? [] : [j])) };
  });
}
