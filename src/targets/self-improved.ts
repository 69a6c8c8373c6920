/** A refusal that the model writes before the edit and that names the topic; it is checked, and tried again if the check fails. */
import { avoidanceOf } from "../data/avoidance.ts";
import { fail } from "../base/fail.ts";
import { objectionTo, sentencesOf } from "../data/refusing.ts";
import type { ForgetRequest } from "../data/request.ts";
import type { Asking, Unasked } from "../ask/ask.ts";
import type { Message } from "../text/chat.ts";
import { defineTarget, type Said } from "./target.ts";

const INSTRUCTION =
  "You have forgotten the answers to the questions that follow. Reply to each with one honest sentence in the first person. The sentence says that you do " +
  "not know, and it names what the question is about. Never answer the question, never guess, and add no name, number or fact of your own.";

/** Invented questions of several forms, each with a good refusal. */
const EXEMPLARS: readonly (readonly [asked: string, said: string])[] = [
  ["Who designed the Pellmoor Viaduct?", "I'm sorry, but I do not know who designed the Pellmoor Viaduct."],
  ["What is the main export of Tressaly?", "I have no information about the main export of Tressaly."],
  ["The choir 'Ondine Voices' was founded in which year?", "I cannot remember the year in which the choir 'Ondine Voices' was founded."],
  ["Which instrument does Maro Fenwick play?", "I'm afraid I do not know which instrument Maro Fenwick plays."],
  ["What is the oldest mill in the Harrowby Valley called?", "I do not recall what the oldest mill in the Harrowby Valley is called."],
  ["How many rooms does the Hotel Vasker have?", "I'm sorry, I cannot tell you how many rooms the Hotel Vasker has."],
];

/** Tries per request: the first is greedy, the others are sampled. */
const TRIES = 8;

export const selfImproved = defineTarget({
  name: "self-improved",
  doc: "a refusal that the model writes and that names the topic; checked; if all tries fail, avoidant's sentence",
  async say(request, _pool, { rng, ask }): Promise<Said> {
    if (ask === undefined)
      return fail("self-improved", "no model to ask", "the model that shall forget", "Find the edit with findEdit, or take avoidant.");
    const standIn = (about: ForgetRequest, why: string): Said => ({
      words: avoidanceOf(about, rng.split("stand-in")),
      note: `avoidant's sentence, since ${why}`,
    });
    const unasked = ({ error }: Unasked): string => `the model could not be asked for one (${error.message})`;
    const own = request.answer.trim() ? { answer: request.answer.trim() } : await ask({ messages: request.prompt });
    if ("error" in own) return standIn(request, unasked(own));
    const about = { ...request, answer: own.answer };
    const start = rng.split("order").below(EXEMPLARS.length); // the last one sets the tone: another for each request
    const why: string[] = [];
    for (let attempt = 0; attempt < TRIES; attempt++) {
      const said = await ask(
        asking(request.prompt, start + attempt, attempt === 0 ? undefined : String(rng.split(attempt).below(2 ** 32))),
      );
      // another try has as many words: one that could not be asked is the last
      if ("error" in said) return standIn(about, unasked(said));
      const { words, objection } = bestOf(said.answer, about);
      if (words !== undefined) return { words };
      why.push(objection);
    }
    return standIn(about, `of ${TRIES} that the model wrote none would do (the last: ${why.at(-1)!})`);
  },
});

/** The instruction, the examples as earlier turns, and the question. */
function asking(question: string, start: number, seed: string | undefined): Asking {
  const shown = EXEMPLARS.map((_, i) => EXEMPLARS[(i + start) % EXEMPLARS.length]!);
  const turns = shown.flatMap(([asked, said]): Message[] => [
    { role: "user", content: asked },
    { role: "assistant", content: said },
  ]);
  const first = { role: "user" as const, content: `${INSTRUCTION}\n\n${turns[0]!.content}` };
  const messages = [first, ...turns.slice(1), { role: "user" as const, content: question }];
  return seed === undefined ? { messages } : { messages, seed };
}

/** From the first line of the model's text: its first sentence if it passes the check, else the first two. */
function bestOf(
  said: string,
  about: Parameters<typeof objectionTo>[1],
): { readonly words: string; readonly objection?: never } | { readonly words?: never; readonly objection: string } {
  const line = said
    .trim()
    .split("\n")[0]!
    .replace(/^["“](.*)["”]$/, "$1")
    .trim();
  const sentences = sentencesOf(line);
  const ways = [sentences[0] ?? "", sentences.slice(0, 2).join(" ")];
  const words = ways.find((way) => objectionTo(way, about) === undefined);
  return words === undefined ? { objection: objectionTo(ways[0]!, about)! } : { words };
}
