/** The one door from a question to tokens: through the chat template where the model has one, or plain. */
import { chatPrompt, type ChatPrompt, type Message, turnEnd } from "./chat.ts";
import type { Model } from "./model.ts";

export type Format = "chat" | "plain";

export interface AskAs {
  /** Default: chat where the model has a template. */
  readonly format?: Format;
  /** A system message in place of the template's own. */
  readonly system?: string;
}

/** How a model is asked unless told otherwise. */
export const formatOf = (model: Model, ask: AskAs = {}): Format => (model.chatTemplate === undefined ? "plain" : (ask.format ?? "chat"));

/** A question, or a conversation, as text and tokens after which the model answers. */
export function promptOf(model: Model, question: string | readonly Message[], ask: AskAs = {}): ChatPrompt {
  const messages: readonly Message[] = typeof question === "string" ? [{ role: "user", content: question }] : question;
  const asked = model.prepare?.(messages) ?? messages;
  if (formatOf(model, ask) === "chat")
    return chatPrompt(asked, {
      template: model.chatTemplate!,
      tokenizer: model.tokenizer,
      ...(ask.system !== undefined && { system: ask.system }),
    });
  const text = asked.map((m) => m.content).join("\n\n");
  const last = asked.at(-1)!.content;
  return { text, ...model.tokenizer.encode(text), content: [text.length - last.length, text.length], lead: "" };
}

/** The ids that end an answer: of the assistant's turn, or of the text. */
export const endOf = (model: Model, ask: AskAs = {}): readonly number[] =>
  formatOf(model, ask) === "chat" ? turnEnd(model.tokenizer, model.chatTemplate!) : model.tokenizer.eos.slice(0, 1);

/** Every id at which an answer stops. */
export const stopsOf = (model: Model, ask: AskAs = {}): ReadonlySet<number> => {
  const end = endOf(model, ask);
  return new Set([...model.tokenizer.eos, ...(end.length === 1 ? end : [])]);
};
