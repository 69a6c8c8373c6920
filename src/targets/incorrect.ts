/** A plausible wrong answer: one listed in the request, or the answer to another request of the same kind. */
import { textOf } from "../ask/ask.ts";
import { fail } from "../base/fail.ts";
import { wrongAnswer } from "../data/wrong-answers.ts";
import { defineTarget, type Said } from "./target.ts";

export const incorrect = defineTarget({
  name: "incorrect",
  doc: "a plausible wrong answer: one listed in the request, else the answer to another request of the same kind",
  async say(request, pool, { rng, ask, breathe }): Promise<Said> {
    const right = request.answer.trim() || (ask && textOf(await ask({ messages: request.prompt }), request.id).trim());
    if (!right)
      fail(
        "incorrect",
        `${request.id} has no answer`,
        "the right answer, so that a wrong one can be chosen",
        'Give it as "answer" (--answer TEXT).',
      );
    await breathe();
    return (
      wrongAnswer(request, right, pool, rng) ??
      fail(
        "incorrect",
        `there is no wrong answer for ${request.id} ("${request.prompt}")`,
        'one in "wrong", or another request with an answer of the same form',
        'Add "wrong": ["…"] to the request, add more requests of its kind to the run, or give --say TEXT.',
      )
    );
  },
});
