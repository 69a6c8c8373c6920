/** Asking a model beside other work: what is asked at a time is answered together. */
import type { Context } from "../base/context.ts";
import type { Model } from "../model/model.ts";
import type { AskAs } from "../model/prompt.ts";
import { canonical } from "../base/hash.ts";
import { type Answer, type Asking, answers, type Drawing, type Unasked } from "./ask.ts";
import { LONGEST } from "./kept.ts";

/** What came of a question: what was said, or why it could not be asked. */
export type Reply = Pick<Answer, "answer"> | Unasked;

/** Replies in the order of what is asked; each is the same alone and together with others. */
export type AskAll = (asked: readonly Asking[]) => Promise<readonly Reply[]>;

/** Answers that a model gave before, so that whoever was stopped asks for the others only. */
export interface Memory {
  recall(asking: Asking): string | undefined;
  keep(asking: Asking, answer: string): void;
}

/** How a model is drawn from where a seed is given: not far from what it finds likeliest. */
const DRAWN: Drawing = { temperature: 0.7, topP: 0.9, maxTokens: LONGEST };
/** How it answers without a seed. */
const LIKELIEST: Drawing = { maxTokens: LONGEST };
/** Questions from which progress is logged. */
const MANY = 16;

/** Asks a model: without a seed for the likeliest words, with one for a draw by it, in the asking's way or in its own. What the memory holds is not asked again. */
export function asker(model: Model, ask: AskAs, ctx: Context, memory?: Memory): AskAll {
  return async (asked) => {
    const replies = asked.map((asking): Reply | undefined => {
      const answer = memory?.recall(asking);
      return answer === undefined ? undefined : { answer };
    });
    const total = asked.length;
    let before = replies.filter((reply) => reply !== undefined).length;
    const ways = asked.map(({ seed, drawn = DRAWN }) => (seed === undefined ? LIKELIEST : drawn));
    const distinct = new Map([LIKELIEST, DRAWN, ...ways].map((way) => [canonical(way), way]));
    for (const [name, way] of distinct) {
      const places = [...asked.keys()].filter((i) => replies[i] === undefined && canonical(ways[i]!) === name);
      const progress = (done: number): void => {
        if (total > MANY) ctx.log({ kind: "progress", stage: "asking", done: before + done, total, unit: "questions" });
      };
      const options = { ...ask, ...way, freeze: false, progress };
      const own = places.map((i) => asked[i]!);
      let next = 0;
      for await (const outcome of answers(model, own, options, ctx)) {
        const place = places[next++]!;
        replies[place] = outcome;
        if (!("error" in outcome)) memory?.keep(asked[place]!, outcome.answer);
      }
      before += places.length;
    }
    return replies as Reply[];
  };
}

/** Gathers what is asked before the event loop turns, and asks it together. */
export function inTurns<T>(ask: (asked: readonly Asking[]) => Promise<readonly T[]>): (asking: Asking) => Promise<T> {
  let waiting: { readonly asking: Asking; readonly done: (said: T) => void; readonly failed: (error: unknown) => void }[] = [];
  const turn = async (): Promise<void> => {
    const group = waiting;
    waiting = [];
    try {
      const replies = await ask(group.map(({ asking }) => asking));
      group.forEach(({ done }, i) => done(replies[i]!));
    } catch (error) {
      group.forEach(({ failed }) => failed(error));
    }
  };
  return (asking) =>
    new Promise((done, failed) => {
      if (waiting.push({ asking, done, failed }) === 1) setImmediate(() => void turn());
    });
}
