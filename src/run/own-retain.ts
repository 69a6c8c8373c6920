/** Questions of the model's own with its own answers, in place of a retain set that nobody gave. */
import { keptAnswers, LONGEST } from "../ask/kept.ts";
import type { Context } from "../base/context.ts";
import type { ForgetRequest, QA } from "../data/request.ts";
import { QUESTION, selfQuestions } from "../locate/samples.ts";
import type { Model } from "../model/model.ts";
import type { AskAs } from "../model/prompt.ts";

/** Questions of the model's own in place of a retain set. */
const OWN = 64;

/** Tokens that {@link ownRetain} has the model say, about: of its questions half are used, the others being the same or without an end. */
export const OWN_TOKENS = OWN * (2 * QUESTION + LONGEST);

/** Questions of the model's own with its own answers, without those that it answers with nothing; none that is to be forgotten. */
export async function ownRetain(model: Model, requests: readonly ForgetRequest[], ask: AskAs, seed: number, ctx: Context): Promise<QA[]> {
  const edited = new Set(requests.map((r) => r.prompt.trim()));
  const questions = (await selfQuestions(model, OWN, seed, ctx)).filter((q) => !edited.has(q));
  const answers = await keptAnswers(model, questions, ask, ctx);
  return questions.flatMap((question, i) => (answers[i] === "" ? [] : [{ id: `own/${i + 1}`, question, answer: answers[i]! }]));
}
