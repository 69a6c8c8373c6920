/** What the model itself says to questions whose answers nobody gave, kept in the cache. */
import { z } from "zod";
import { json } from "../base/codec.ts";
import { checkAbort, type Context } from "../base/context.ts";
import { kept } from "../base/kept.ts";
import type { ForgetRequest, QA } from "../data/request.ts";
import { QUESTION, selfQuestions } from "../locate/samples.ts";
import { generate } from "../model/decode/generate.ts";
import { type Model, stateOf } from "../model/model.ts";
import { type AskAs, promptOf, stopsOf } from "../model/prompt.ts";
import { grouped } from "../text/padding.ts";
import type { Asking } from "../ask/in-turns.ts";

/** New tokens at most: an answer that goes on is cut. */
export const LONGEST = 64;
/** Questions answered at once. */
const TOGETHER = 16;
/** Padded tokens of the prompts that are answered at once. */
const PADDED = 8192;
/** Questions of the model's own in place of a retain set. */
const OWN = 64;

/** The model's greedy answers, batch by batch. */
export async function* answering(
  model: Model,
  questions: readonly string[],
  ask: AskAs,
  maxTokens: number,
  ctx: Context,
): AsyncGenerator<readonly string[], void> {
  for (let from = 0; from < questions.length; from += TOGETHER) {
    checkAbort(ctx, "answers");
    const part = await Promise.all(questions.slice(from, from + TOGETHER).map(async (q) => (await promptOf(model, q, ask)).ids));
    const out = await generate(model, part, { stopIds: stopsOf(model, ask), maxTokens, freeze: false, ctx });
    if (questions.length > TOGETHER)
      ctx.log({ kind: "progress", stage: "answers", done: from + part.length, total: questions.length, unit: "questions" });
    yield out.map((row) => row.text.trim());
  }
}

/** The model's answers, kept. */
export async function answersOf(model: Model, questions: readonly string[], ask: AskAs, ctx: Context): Promise<string[]> {
  const about = [stateOf(model), ask.format ?? null, ask.system ?? null, questions, LONGEST, ctx.threads];
  return kept(ctx, "answers", about, json(z.array(z.string())), async () => {
    const said: string[] = [];
    for await (const part of answering(model, questions, ask, LONGEST, ctx)) said.push(...part);
    return said;
  });
}

/** How a model is drawn from where a seed is given: not far from what it finds likeliest. */
const DRAWN = { temperature: 0.7, topP: 0.9 };

/**
 * What the model says to questions and conversations, those of about one length together; each is answered alike alone and among others.
 * To one that fills the model's context it says nothing, and the log tells how many there are.
 */
export async function saidOf(model: Model, asked: readonly Asking[], ask: AskAs, ctx: Context): Promise<string[]> {
  const said = asked.map(() => "");
  const rows = await Promise.all(
    asked.map(async ({ messages, seed }, index) => ({ index, seed, ids: (await promptOf(model, messages, ask)).ids })),
  );
  const fitting = rows.filter(({ ids }) => ids.length < model.config.context);
  const over = rows.length - fitting.length;
  if (over > 0)
    ctx.log({
      kind: "warning",
      who: "answers",
      text: `${over} of ${rows.length} prompts fill the model's context of ${model.config.context} tokens and are not answered`,
    });
  const kinds = [fitting.filter(({ seed }) => seed === undefined), fitting.filter(({ seed }) => seed !== undefined)];
  let done = 0;
  for (const group of kinds.flatMap((kind) => grouped(kind, ({ ids }) => ids.length, PADDED, TOGETHER))) {
    checkAbort(ctx, "answers");
    const seeds = group.flatMap(({ seed }) => (seed === undefined ? [] : [seed]));
    const out = await generate(
      model,
      group.map(({ ids }) => ids),
      { stopIds: stopsOf(model, ask), maxTokens: LONGEST, freeze: false, ...(seeds.length > 0 && { ...DRAWN, seeds }), ctx },
    );
    group.forEach(({ index }, i) => (said[index] = out[i]!.text.trim()));
    done += group.length;
    if (asked.length > TOGETHER) ctx.log({ kind: "progress", stage: "asking", done, total: fitting.length, unit: "questions" });
  }
  return said;
}

/** Requests, each with an answer: the given one, or what the model says. */
export async function withAnswers<R extends ForgetRequest>(model: Model, requests: readonly R[], ask: AskAs, ctx: Context): Promise<R[]> {
  const open = requests.filter((r) => r.answer.trim() === "");
  if (open.length === 0) return [...requests];
  const said = await answersOf(
    model,
    open.map((r) => r.prompt),
    ask,
    ctx,
  );
  return requests.map((r) => (r.answer.trim() === "" ? { ...r, answer: said[open.indexOf(r)]! } : r));
}

/** Tokens that {@link ownRetain} has the model say, about: of its questions half are used, the others being the same or without an end. */
export const OWN_TOKENS = OWN * (2 * QUESTION + LONGEST);

/** Questions of the model's own with its own answers, in place of a retain set; none that is to be forgotten. */
export async function ownRetain(model: Model, requests: readonly ForgetRequest[], ask: AskAs, seed: number, ctx: Context): Promise<QA[]> {
  const edited = new Set(requests.map((r) => r.prompt.trim()));
  const questions = (await selfQuestions(model, OWN, seed, ctx)).filter((q) => !edited.has(q));
  const answers = await answersOf(model, questions, ask, ctx);
  return questions.flatMap((question, i) => (answers[i] === "" ? [] : [{ id: `own/${i + 1}`, question, answer: answers[i]! }]));
}
