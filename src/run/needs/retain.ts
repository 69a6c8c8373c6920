/** The need `retain`: questions whose answers must not change. If none are given, the model generates them. */
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
    /** Questions whose answers must not change. */
    readonly retain: readonly QA[];
  }
}
declare module "../choice.ts" {
  interface Given {
    /** Questions whose answers must not change. */
    readonly retain?: readonly QA[];
  }
}

/** The number of generated questions if no retain set is given. */
const OWN = 64;
/** The approximate number of tokens generated for them. Half of the questions are used; the others are duplicates or have no end. */
const OWN_TOKENS = OWN * (2 * QUESTION + LONGEST);

export const retainNeed = defineNeed({
  name: "retain",
  doc: "Questions whose answers must not change. If none are given, the model generates questions and answers.",
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
    // at least as long as a real answer
    const longest = "the ".repeat(LONGEST).trim();
    return { given: { retain: tried.map(({ id, prompt }) => ({ id, question: prompt, answer: longest })) }, tokens: OWN_TOKENS };
  },
});

/** Generated questions with the model's answers. Questions with an empty answer and questions to forget are left out. */
async function ownRetain({ model, requests, ask, seed }: Having, ctx: Context): Promise<QA[]> {
  const edited = new Set(requests.map((r) => r.prompt.trim()));
  const questions = (await generatedQuestions(model, OWN, seed, ctx)).filter((q) => !edited.has(q));
  const answers = await keptAnswers(model, questions, ask, ctx);
  return questions.flatMap((question, i) => (answers[i] === "" ? [] : [{ id: `own/${i + 1}`, question, answer: answers[i]! }]));
}
