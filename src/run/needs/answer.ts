/** The need `answer`: the model's current answer. The model is asked if no answer is given. */
import { LONGEST, withAnswers } from "../../ask/kept.ts";
import { ifKept } from "../../base/kept.ts";
import { QUESTION } from "../../locate/generated-text.ts";
import { anyAnswer, defineNeed } from "./need.ts";

declare module "../../methods/method.ts" {
  interface Needs {
    readonly answer: null;
  }
}

export const answerNeed = defineNeed({
  name: "answer",
  doc: "The answer that the model gives now. If it is not given, the model is asked.",
  texts: ({ edited }) => edited.map(({ prompt, answer }) => prompt + (answer || anyAnswer(LONGEST))),
  known: (requests, { model, ask, ctx }) => withAnswers(model, requests, ask, ctx),
  async plan({ model, requests, tried, ask, ctx, aside }) {
    const kept = await ifKept(ctx, (cached) => withAnswers(model, requests, ask, cached));
    if (kept) return { tried: kept.slice(0, tried.length) };
    const open = requests.filter((r) => r.answer.trim() === "").length;
    return { tried: await withAnswers(model, tried, ask, aside), tokens: open * (QUESTION + LONGEST) };
  },
});
