/** Turns a question into tokens, with the chat template if the model has one, or as plain text. All prompts are made here. */
import { chatPrompt, type ChatPrompt, type Message, turnEnd } from "../text/chat.ts";
import type { Exchange, Model, Prefix, Rewrite } from "./model.ts";
import { type Answered, targetTokens } from "../text/spans.ts";

export type Format = "chat" | "plain";

export interface AskAs {
  /** Default: chat if the model has a chat template. */
  readonly format?: Format;
  /** A system message instead of the chat template's own. */
  readonly system?: string;
}

/** The format of a prompt: the given one, or the default. */
export const formatOf = (model: Model, ask: AskAs = {}): Format => (model.chatTemplate === undefined ? "plain" : (ask.format ?? "chat"));

export interface RowOptions extends AskAs {
  /** Append the token that ends the answer. */
  readonly end: boolean;
}

/** The prompt of a question or a conversation as text and tokens, including the texts that prompt edits put before it. */
export async function promptOf(model: Model, question: string | readonly Message[], ask: AskAs = {}): Promise<ChatPrompt> {
  const messages = messagesOf(question);
  if (!model.rewrites?.length) return promptWithoutEdits(model, messages, ask);
  const { laid, system } = await rewritten(model.rewrites, messages, formatOf(model, ask));
  if (system.length === 0) return promptWithoutEdits(model, laid, ask);
  const own = ask.system ?? messages.find(({ role }) => role === "system")?.content ?? "";
  const content = [own, ...system].filter((part) => part !== "").join("\n\n");
  const behind: Message[] = [{ role: "system", content }, ...laid.filter(({ role }) => role !== "system")];
  return promptWithoutEdits(model, behind, ask.format === undefined ? {} : { format: ask.format });
}

/** The same prompt without the texts of prompt edits. Methods use it, because they change weights or activations. */
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

/**
 * The messages with the texts of prompt edits before each user message, the lowest edit first, and the paragraphs of the system message, each
 * once.
 */
async function rewritten(
  rewrites: readonly Rewrite[],
  messages: readonly Message[],
  format: Format,
): Promise<{ readonly laid: readonly Message[]; readonly system: readonly string[] }> {
  const out: Message[] = [];
  const system = new Set<string>();
  for (const message of messages) {
    const found: Prefix[] = [];
    for (const rewrite of message.role === "user" ? rewrites : []) found.push(...[(await rewrite.before(message.content)) ?? []].flat());
    for (const paragraph of found.flatMap((p) => p.system ?? [])) system.add(paragraph);
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
  return { laid: out, system: [...system] };
}

/** A question after the text of prompt edits. Shown questions and answers are turns of a chat, or text in a plain prompt. */
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

/** Shown questions and answers as running text, with an empty line after each. */
export const shownText = (shown: readonly Exchange[]): string =>
  shown.map(({ asked, said }) => `${asked}${/\s$/.test(asked) || /^\s/.test(said) ? "" : " "}${said}\n\n`).join("");

/** The token ids that end an answer: the end of the assistant's turn, or the end of the text. */
export const endOf = (model: Model, ask: AskAs = {}): readonly number[] =>
  formatOf(model, ask) === "chat" ? turnEnd(model.tokenizer, model.chatTemplate!) : model.tokenizer.eos.slice(0, 1);

/** Every id at which an answer stops. */
export const stopsOf = (model: Model, ask: AskAs = {}): ReadonlySet<number> => {
  const end = endOf(model, ask);
  return new Set([...model.tokenizer.eos, ...(end.length === 1 ? end : [])]);
};

/** The tokens of a prompt and its target, in the format of the prompt. `ids[first..]` are the target's, with the token that ends an answer. */
export function withTarget(model: Model, prompt: ChatPrompt, target: string, options: RowOptions): Answered {
  const isChat = formatOf(model, options) === "chat";
  const encode = (text: string) => model.tokenizer.encode(text, { special: !isChat });
  const whole = targetTokens(encode, prompt.text, target, isChat ? prompt.lead : undefined);
  return options.end ? { ...whole, ids: [...whole.ids, ...endOf(model, options)] } : whole;
}
