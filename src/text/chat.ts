/** Chat templates: render a conversation as the text that a model was trained to answer. */
import { fail, LetheError } from "../base/fail.ts";
import { bounded, wordsOf } from "../base/bounded.ts";
import { renderTemplate } from "./jinja/jinja.ts";
import { JinjaError } from "./jinja/trouble.ts";
import type { Tokenizer } from "./tokenizer.ts";

export interface Message {
  role: "system" | "user" | "assistant";
  content: string;
}

/** Variables of a template besides the messages; every other member is passed under its own name. */
export interface TemplateVars {
  /** End with the text that starts the assistant's turn. */
  addGenerationPrompt?: boolean;
  bos?: string;
  eos?: string;
  [name: string]: unknown;
}

/** The date that `strftime_now` returns, so that a prompt is the same every day: the default date of Llama 3's templates. */
const TEMPLATE_DATE = "2024-07-26";

/** The time that a template may take, in case one step hangs. */
const MILLISECONDS = 10_000;
const HINT = "Use --plain to ask without the template, or mend chat_template in the model's folder.";
const refuse = (got: string, wanted = ""): never => fail("chat template", got, wanted, HINT, "execution");

/**
 * The conversation as text, as Python's apply_chat_template renders it. The template's own errors and unsupported features are
 * reported as errors with the template's line. Counts are limited (`jinja/meter.ts`), so that a hostile template fails in the same
 * way on every machine.
 */
export function renderChat(template: string, messages: readonly Message[], vars: TemplateVars = {}): string {
  const { addGenerationPrompt = false, bos, eos, ...others } = vars;
  const given: Record<string, unknown> = {
    tools: null,
    documents: null,
    ...others,
    messages,
    add_generation_prompt: addGenerationPrompt,
    ...(bos === undefined ? {} : { bos_token: bos }),
    ...(eos === undefined ? {} : { eos_token: eos }),
  };
  try {
    return bounded("chat template", MILLISECONDS, HINT, () => renderTemplate(template, given, fixedDate));
  } catch (error) {
    if (error instanceof LetheError) throw error;
    if (error instanceof JinjaError) return refuse(complaint(error));
    if (error instanceof RangeError) return refuse(`it nests or grows without limit (${wordsOf(error)})`, "a template of ordinary size");
    throw error;
  }
}

function complaint({ kind, message, line }: JinjaError): string {
  const words = message.replace(/\s+/g, " ").replace(/\.$/, "").slice(0, 500);
  const place = line === undefined ? "" : ` (line ${line} of the template)`;
  if (kind === "Raised") return `it refuses this conversation: ${words}${place}`;
  if (kind === "Limit") return words + place;
  if (kind === "Unsupported") return `it uses what is not supported: ${words}${place}`;
  return `it cannot be rendered: ${kind}: ${words}${place}`;
}

function fixedDate(format: string): string {
  const [year, month, day] = TEMPLATE_DATE.split("-") as [string, string, string];
  const parts: Record<string, string> = {
    "%Y": year,
    "%y": year.slice(2),
    "%m": month,
    "%d": day,
    "%e": String(Number(day)),
    "%-d": String(Number(day)),
    "%b": "Jul",
    "%B": "July",
    "%a": "Fri",
    "%A": "Friday",
    "%H": "00",
    "%M": "00",
    "%S": "00",
    "%I": "12",
    "%p": "AM",
    "%j": "208",
    "%F": TEMPLATE_DATE,
    "%%": "%",
  };
  return format.slice(0, 1_000).replace(/%-?[A-Za-z%]/g, (token) => parts[token] ?? token);
}

/** A question as a model's prompt. */
export interface ChatPrompt {
  text: string;
  ids: number[];
  offsets: [start: number, end: number][];
  /** The range of the last user message in `text`. */
  content: [start: number, end: number];
  /** The text of the template between this prompt and the answer: "" or white space. */
  lead: string;
}

/**
 * A question or a conversation, as the text and tokens after which the assistant answers. As in Python's apply_chat_template,
 * only the template decides what is at the start: no BOS is added, whether the template writes one or not.
 */
export function chatPrompt(
  question: string | readonly Message[],
  { template, tokenizer, system }: { template: string; tokenizer: Tokenizer; system?: string },
): ChatPrompt {
  const asked: readonly Message[] = typeof question === "string" ? [{ role: "user", content: question }] : question;
  const messages: readonly Message[] =
    system === undefined ? asked : [{ role: "system", content: system }, ...asked.filter((m) => m.role !== "system")];
  const text = renderChat(template, messages, varsOf(tokenizer, true));
  const { ids, offsets } = tokenizer.encode(text, { special: false });
  return { text, ids, offsets, content: contentOf(template, messages, text, tokenizer), lead: leadOf(template, messages, text, tokenizer) };
}

const varsOf = (tokenizer: Tokenizer, addGenerationPrompt: boolean): TemplateVars => ({ ...tokenizer.named, addGenerationPrompt });

/** The position of the last user message: found by rendering a sentinel instead of it, else by searching. */
function contentOf(template: string, messages: readonly Message[], text: string, tokenizer: Tokenizer): [number, number] {
  const last = messages.findLastIndex((m) => m.role === "user");
  if (last < 0) return [text.length, text.length];
  const sentinel = unusedIn(text);
  const marked = renderChat(
    template,
    messages.map((m, k) => (k === last ? { ...m, content: sentinel } : m)),
    varsOf(tokenizer, true),
  );
  const start = marked.indexOf(sentinel);
  const behind = marked.length - start - sentinel.length;
  if (
    start >= 0 &&
    marked.slice(0, start) === text.slice(0, start) &&
    text.endsWith(marked.slice(marked.length - behind)) &&
    start + behind <= text.length
  )
    return [start, text.length - behind];
  const { content } = messages[last]!;
  const found = [content, content.trim()].map((c) => [text.lastIndexOf(c), c.length] as const).find(([at]) => at >= 0);
  return found ? [found[0], found[0] + found[1]] : refuse("the prompt does not contain the user's message", "a template that includes it");
}

/** The white space between the prompt and the answer in a finished conversation. */
function leadOf(template: string, messages: readonly Message[], text: string, tokenizer: Tokenizer): string {
  const sentinel = unusedIn(text);
  const answered = answeredText(template, [...messages, { role: "assistant", content: sentinel }], tokenizer);
  const at = answered?.indexOf(sentinel) ?? -1;
  if (answered === undefined || at < text.length || !answered.startsWith(text)) return "";
  const lead = answered.slice(text.length, at);
  return lead.trim() === "" ? lead : "";
}

/**
 * The ids that end the assistant's turn, found by rendering an answer and reading what follows it; for ChatML `<|im_end|>`.
 * If the template writes nothing after an answer, the tokenizer's `eos`.
 */
export function turnEnd(tokenizer: Tokenizer, template: string): number[] {
  const sentinel = unusedIn(template);
  const text =
    answeredText(
      template,
      [
        { role: "user", content: "?" },
        { role: "assistant", content: sentinel },
      ],
      tokenizer,
    ) ?? "";
  const at = text.indexOf(sentinel);
  const behind = at < 0 ? "" : text.slice(at + sentinel.length);
  const { ids } = tokenizer.encode(behind.trimStart(), { special: false });
  const [first] = ids;
  if (first !== undefined && tokenizer.decode([first]) === "" && tokenizer.tokenOf(first) !== "") return [first];
  const whole = behind.trim();
  const ending = tokenizer.encode(whole, { special: false }).ids;
  return ending.length ? ending : tokenizer.eos.slice(0, 1);
}

/** The rendered conversation, or undefined when the template refuses it. */
function answeredText(template: string, messages: readonly Message[], tokenizer: Tokenizer): string | undefined {
  try {
    return renderChat(template, messages, varsOf(tokenizer, false));
  } catch (error) {
    if (error instanceof LetheError) return undefined;
    throw error;
  }
}

/** A word of letters that no template trims, splits or escapes, and that does not occur in `text`. */
function unusedIn(text: string): string {
  let word = "Lethesentinel";
  while (text.includes(word)) word += "x";
  return word;
}
