/** The model's own greedy answers to questions without a given answer, kept in the cache. */
import { z } from "zod";
import { lines } from "../base/codec.ts";
import type { Context } from "../base/context.ts";
import { kept } from "../base/kept.ts";
import { type Model, stateOf } from "../model/model.ts";
import { type AskAs, formatOf, stopsOf } from "../model/prompt.ts";
import { answers, textOf } from "./ask.ts";

const TEXTS = lines(z.string());
/** New tokens at most: an answer that goes on is cut. */
export const LONGEST = 64;
/** Questions whose answers are kept as one: a run that was stopped goes on behind the last of them. */
const PIECE = 64;
/** Questions from which progress is logged. */
const MANY = 16;
/** Characters of a question in an error. */
const QUOTED = 60;

/** The model's answers, kept. Fails where a question cannot be asked; an empty answer is one that the model gave. */
export async function keptAnswers(model: Model, questions: readonly string[], ask: AskAs, ctx: Context): Promise<string[]> {
  const about = aboutOf(model, ask, ctx);
  const said: string[] = [];
  for (let from = 0; from < questions.length; from += PIECE) {
    const part = questions.slice(from, from + PIECE);
    const progress = (done: number): void => {
      if (questions.length > MANY)
        ctx.log({ kind: "progress", stage: "answers", done: from + done, total: questions.length, unit: "questions" });
    };
    said.push(
      ...(await kept(ctx, "answers", [about, part], TEXTS, async () => {
        const texts: string[] = [];
        for await (const outcome of answers(model, part, { ...ask, maxTokens: LONGEST, freeze: false, progress }, ctx)) {
          const question = part[texts.length]!;
          texts.push(textOf(outcome, `"${question.length > QUOTED ? `${question.slice(0, QUOTED)} …` : question}"`));
        }
        return texts;
      })),
    );
  }
  return said;
}

/** Everything but the questions that answers depend on: a chat template and the ids that end an answer are no part of a model's id. */
function aboutOf(model: Model, ask: AskAs, ctx: Context): Readonly<Record<string, unknown>> {
  const format = formatOf(model, ask);
  return {
    state: stateOf(model),
    format,
    template: format === "chat" ? [model.chatTemplate, model.tokenizer.named] : null,
    system: ask.system ?? null,
    stops: [...stopsOf(model, ask)].sort((a, b) => a - b),
    maxTokens: LONGEST,
    threads: ctx.threads,
  };
}

/** Requests, each with an answer: the given one, or what the model says. */
export async function withAnswers<R extends { readonly prompt: string; readonly answer: string }>(
  model: Model,
  requests: readonly R[],
  ask: AskAs,
  ctx: Context,
): Promise<R[]> {
  const open = requests.filter((r) => r.answer.trim() === "");
  if (open.length === 0) return [...requests];
  const said = await keptAnswers(
    model,
    open.map((r) => r.prompt),
    ask,
    ctx,
  );
  let next = 0;
  return requests.map((r) => (r.answer.trim() === "" ? { ...r, answer: said[next++]! } : r));
}
