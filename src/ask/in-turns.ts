/** Asking a model beside other work: what is asked at a time is answered together. */
import type { Message } from "../text/chat.ts";

/** A question, or a conversation whose last turn is answered; greedily, or drawn by a seed. */
export interface Asking {
  readonly messages: string | readonly Message[];
  /** What the answer is drawn by; without one the likeliest words are taken. */
  readonly seed?: string;
}

/** Answers in the order of what is asked; each is the same alone and together with others. */
export type AskAll = (asked: readonly Asking[]) => Promise<readonly string[]>;

/** Gathers what is asked before the event loop turns, and asks it together. */
export function inTurns<T>(ask: (asked: readonly Asking[]) => Promise<readonly T[]>): (asking: Asking) => Promise<T> {
  let waiting: { readonly asking: Asking; readonly done: (said: T) => void; readonly failed: (error: unknown) => void }[] = [];
  const turn = async (): Promise<void> => {
    const group = waiting;
    waiting = [];
    try {
      const said = await ask(group.map(({ asking }) => asking));
      group.forEach(({ done }, i) => done(said[i]!));
    } catch (error) {
      group.forEach(({ failed }) => failed(error));
    }
  };
  return (asking) =>
    new Promise((done, failed) => {
      if (waiting.push({ asking, done, failed }) === 1) setImmediate(() => void turn());
    });
}
