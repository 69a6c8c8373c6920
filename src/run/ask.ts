/** The command line's way to the asker. */
export { answering, answers, fits } from "../ask/ask.ts";
export type { Answer, Outcome } from "../ask/ask.ts";
export type { Model } from "../model/model.ts";
export type { Message } from "../text/chat.ts";
