/** The one door from a question to tokens: through the chat template where the model has one, or plain. */
import { chatPrompt, type ChatPrompt, type Message, turnEnd } from "../text/chat.ts";
import type { Exchange, Model, Prefix, Rewrite } from "./model.ts";
import { type Answered, targetTokens } from "../text/spans.ts";

export type Format = "chat" | "plain";

export interface AskAs {
  /** Default: chat where the model has a template. */
  readonly format?: Format;
  /** A system message in place of the template's own. */
  readonly system?: string;
}

/** How a model is asked unless told otherwise. */
export const formatOf = (model: Model, ask: AskAs = {}): Format => (model.chatTemplate === undefined ? "plain" : (ask.format ?? "chat"));

export interface RowOptions extends AskAs {
  /** Append the token that ends the answer. */
  readonly end: boolean;
}

/** A question, or a conversation, as text and tokens after which the model answers, with what prompt edits put before it. */
export async function promptOf(model: Model, question: string | readonly Message[], ask: AskAs = {}): Promise<ChatPrompt> {
  const messages = messagesOf(question);
  return promptWithoutEdits(
    model,
    model.rewrites?.length ? await rewritten(model.rewrites, messages, formatOf(model, ask)) : messages,
    ask,
  );
}

/** The same without what prompt edits put before it: for what is made of weights and template alone. */
export function promptWithoutEdits(model: Model, question: string | readonly Message[], ask: AskAs = {}): ChatPrompt {
  const asked = messagesOf(question);
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

const messagesOf = (question: string | readonly Message[]): readonly Message[] =>
  typeof question === "string" ? [{ role: "user", content: question }] : question;

/** Every user message that an edit is concerned with, behind what the edits put before it: those below first. */
async function rewritten(rewrites: readonly Rewrite[], messages: readonly Message[], format: Format): Promise<readonly Message[]> {
  const out: Message[] = [];
  for (const message of messages) {
    const found: Prefix[] = [];
    for (const rewrite of message.role === "user" ? rewrites : []) found.push(...[(await rewrite.before(message.content)) ?? []].flat());
    if (found.length === 0) {
      out.push(message);
      continue;
    }
    out.push(
      ...laidOut(
        { shown: found.flatMap((p) => p.shown), context: found.map((p) => p.context).join(""), frame: found.at(-1)!.frame },
        message.content,
        format,
      ),
    );
  }
  return out;
}

/** A question behind what stands before it: exchanges are turns of a chat, and text in a plain prompt. */
export function laidOut({ shown, context, frame }: Prefix, question: string, format: Format): Message[] {
  const turns = format === "chat" ? shown.flatMap(({ asked, said }) => [turn("user", asked), turn("assistant", said)]) : [];
  return [...turns, turn("user", (format === "chat" ? "" : shownText(shown)) + context + framed(frame, question))];
}

const turn = (role: Message["role"], content: string): Message => ({ role, content });

/** A question in its frame. */
export function framed(frame: string, question: string): string {
  const at = frame.indexOf("{}");
  return at < 0 ? frame + question : frame.slice(0, at) + question + frame.slice(at + 2);
}

/** Exchanges as running text, an empty line after each. */
export const shownText = (shown: readonly Exchange[]): string =>
  shown.map(({ asked, said }) => `${asked}${/\s$/.test(asked) || /^\s/.test(said) ? "" : " "}${said}\n\n`).join("");

/** The ids that end an answer: of the assistant's turn, or of the text. */
export const endOf = (model: Model, ask: AskAs = {}): readonly number[] =>
  formatOf(model, ask) === "chat" ? turnEnd(model.tokenizer, model.chatTemplate!) : model.tokenizer.eos.slice(0, 1);

/** Every id at which an answer stops. */
export const stopsOf = (model: Model, ask: AskAs = {}): ReadonlySet<number> => {
  const end = endOf(model, ask);
  return new Set([...model.tokenizer.eos, ...(end.length === 1 ? end : [])]);
};

/**
 * A prompt's tokens and, behind them, the target as the template continues it: `ids[first..]` are the target's, what ends the answer
 * included.
 */
export function withTarget(model: Model, prompt: ChatPrompt, target: string, options: RowOptions): Answered {
  const isChat = formatOf(model, options) === "chat";
  const encode = (text: string) => model.tokenizer.encode(text, { special: !isChat });
  const whole = targetTokens(encode, prompt.text, target, isChat ? prompt.lead : undefined);
  return options.end ? { ...whole, ids: [...whole.ids, ...endOf(model, options)] } : whole;
}
