/** The retain set: questions whose answers must stay; the model's own where nobody gave any. */
import { keptAnswers, LONGEST } from "../../ask/kept.ts";
import type { Context } from "../../base/context.ts";
import { fail } from "../../base/fail.ts";
import { hash } from "../../base/hash.ts";
import { ifKept } from "../../base/kept.ts";
import { questionsIn } from "../../data/place.ts";
import type { QA } from "../../data/request.ts";
import { QUESTION, generatedQuestions } from "../../locate/generated-text.ts";
import { anyAnswer, defineNeed, type Having } from "./need.ts";

declare module "../../methods/method.ts" {
  interface Needs {
    /** Questions whose answers must stay. */
    readonly retain: readonly QA[];
  }
}
declare module "../choice.ts" {
  interface Given {
    /** Questions whose answers must stay. */
    readonly retain?: readonly QA[];
  }
}

/** Questions of the model's own in place of a retain set. */
const OWN = 64;
/** Tokens that the model says for them, about: of its questions half are used, the others being the same or without an end. */
const OWN_TOKENS = OWN * (2 * QUESTION + LONGEST);

export const retainNeed = defineNeed({
  name: "retain",
  doc: "Questions whose answers must stay. Where nobody gave them, the model writes questions and answers them.",
  read: ({ retain }, ctx) => (retain === undefined ? undefined : questionsIn(retain as string, ctx)),
  isGiven: ({ retain }) => retain !== undefined,
  check({ method, given: { retain } }) {
    if (!method.spares && retain?.length === 0)
      fail(
        method.name,
        "the retain set is empty",
        "questions whose answers must not change",
        "Give --retain FILE, or omit it to use questions made by the model.",
      );
  },
  identity: ({ given: { retain } }) => (retain ? hash(retain) : null),
  texts: ({ given: { retain } }) => retain?.map(({ question, answer }) => question + answer) ?? [anyAnswer(2 * LONGEST)],
  bring: (having) => having.given.retain ?? ownRetain(having, having.ctx),
  async plan(planning) {
    const { given, tried, ctx } = planning;
    if (given.retain) return {};
    const own = await ifKept(ctx, (cached) => ownRetain(planning, cached));
    if (own) return { given: { retain: own } };
    // no shorter than what would stay
    const longest = "the ".repeat(LONGEST).trim();
    return { given: { retain: tried.map(({ id, prompt }) => ({ id, question: prompt, answer: longest })) }, tokens: OWN_TOKENS };
  },
});

/** Questions of the model's own with its own answers, without those that it answers with nothing; none that is to be forgotten. */
async function ownRetain({ model, requests, ask, seed }: Having, ctx: Context): Promise<QA[]> {
  const edited = new Set(requests.map((r) => r.prompt.trim()));
  const questions = (await generatedQuestions(model, OWN, seed, ctx)).filter((q) => !edited.has(q));
  const answers = await keptAnswers(model, questions, ask, ctx);
  return questions.flatMap((question, i) => (answers[i] === "" ? [] : [{ id: `own/${i + 1}`, question, answer: answers[i]! }]));
}
