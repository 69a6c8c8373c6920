/** Re-exports the asker for the command line. */
export { answering, answers, fits } from "../ask/ask.ts";
export type { Answer, Outcome } from "../ask/ask.ts";
export type { Model } from "../model/model.ts";
export type { Message } from "../text/chat.ts";
