/** Chat templates: render a conversation as the text that a model was trained to answer. */
import * as jinja from "@huggingface/jinja";
import { fail, LetheError } from "../base/fail.ts";
import { bounded, wordsOf } from "../base/bounded.ts";
import type { Tokenizer } from "./tokenizer.ts";

/** The used parts of the template interpreter; its own type declarations do not resolve in Node. */
interface Value {
  readonly type: string;
  readonly value: unknown;
}
interface Statement {
  readonly type: string;
}
interface Scope {
  set(name: string, value: unknown): unknown;
}
interface Evaluator {
  evaluate(statement: Statement | undefined, scope: Scope): Value;
  run(program: Statement): Value;
}
const { Environment, Interpreter, parse, tokenize } = jinja as unknown as {
  Environment: new () => Scope;
  Interpreter: new (scope: Scope) => Evaluator;
  tokenize(template: string, options: { lstrip_blocks: boolean; trim_blocks: boolean }): unknown;
  parse(tokens: unknown): Statement;
};

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
export const TEMPLATE_DATE = "2024-07-26";

/** Resource limits of a template, which is untrusted. */
const LIMITS = {
  template: 200_000,
  space: 5_000,
  steps: 300_000,
  text: 8_000_000,
  allText: 800_000_000,
  items: 200_000,
  range: 10_000,
  indent: 1_000,
  milliseconds: 10_000,
};
const HINT = "Use --plain to ask without the template, or mend chat_template in the model's folder.";
const refuse = (got: string, wanted = ""): never => fail("chat template", got, wanted, HINT, "execution");

/**
 * The conversation as text. The template's own errors and unsupported features are reported as errors.
 * Counts are limited, so that a hostile template fails in the same way on every machine: 300,000 evaluations, 8,000,000 characters
 * in one value and a hundred times that in all, 200,000 items in one value, `range` up to 10,000; and 10 s, in case one step hangs.
 */
export function renderChat(template: string, messages: readonly Message[], vars: TemplateVars = {}): string {
  if (template.length > LIMITS.template) refuse(`it is ${template.length} characters long`, `at most ${LIMITS.template}`);
  if (/\s{5001}/.test(template)) refuse(`more than ${LIMITS.space} spaces in a row`, "a template of ordinary size"); // the lexer takes quadratic time on spaces
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
    return bounded("chat template", LIMITS.milliseconds, HINT, () => {
      const program = parse(tokenize(template, { lstrip_blocks: true, trim_blocks: true }));
      return String(metered(scopeOf(given)).run(program).value);
    });
  } catch (error) {
    if (error instanceof LetheError) throw error;
    if (error instanceof RangeError) return refuse(`it nests or grows without limit (${wordsOf(error)})`, "a template of ordinary size");
    return refuse(`it cannot be rendered: ${wordsOf(error)}`);
  }
}

function scopeOf(given: Readonly<Record<string, unknown>>): Scope {
  const scope = new Environment();
  const globals: Record<string, unknown> = {
    true: true,
    false: false,
    none: null,
    True: true,
    False: false,
    None: null,
    raise_exception: (words: unknown) => refuse(`it refuses this conversation: ${String(words).slice(0, 500)}`),
    range: boundedRange,
    strftime_now: (format: unknown) => fixedDate(String(format)),
  };
  for (const [name, value] of Object.entries({ ...globals, ...given })) scope.set(name, value);
  return scope;
}

function boundedRange(start: unknown, stop?: unknown, step: unknown = 1): number[] {
  const [from, to, by] = typeof stop === "number" ? [start, stop, step] : [0, start, 1];
  if (typeof from !== "number" || typeof to !== "number" || typeof by !== "number" || by === 0)
    return refuse("range() got arguments that are not whole numbers");
  const length = Math.max(0, Math.ceil((to - from) / by));
  if (!(length <= LIMITS.range)) refuse(`range() of ${length} numbers`, `at most ${LIMITS.range}`);
  return Array.from({ length }, (_, k) => from + k * by);
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

/** An interpreter that counts its steps and the size of its values. */
function metered(scope: Scope): Evaluator {
  const interpreter = new Interpreter(scope);
  const evaluate = interpreter.evaluate.bind(interpreter);
  const weigh = scale();
  let steps = 0;
  let text = 0;
  interpreter.evaluate = (statement, inner) => {
    if (++steps > LIMITS.steps) refuse("it does not end", `at most ${LIMITS.steps} evaluations`);
    checkIndent(statement, (argument) => interpreter.evaluate(argument, inner).value);
    const value = evaluate(statement, inner);
    const size = weigh(value);
    if (typeof value.value === "string") {
      text += size > 1_000 ? size : 0;
      if (size > LIMITS.text) refuse(`it makes a text of ${size} characters`, `at most ${LIMITS.text}`);
      if (text > LIMITS.allText) refuse(`it makes ${text} characters in all`, `at most ${LIMITS.allText}`);
    } else if (size > LIMITS.items) refuse(`it makes a value of ${size} items`, `at most ${LIMITS.items}`);
    return value;
  };
  return interpreter;
}

interface Filter {
  type: string;
  callee?: { value?: unknown };
  args?: Statement[];
}

/** Limits `indent` and `tojson`, which repeat spaces before the size of the result can be checked. */
function checkIndent(statement: Statement | undefined, valueOf: (argument: Statement) => unknown): void {
  if (statement?.type !== "FilterExpression" && statement?.type !== "FilterStatement") return;
  const { filter } = statement as Statement & { filter: Filter };
  if (filter.type !== "CallExpression" || (filter.callee?.value !== "indent" && filter.callee?.value !== "tojson")) return;
  for (const argument of filter.args ?? []) {
    if (argument.type === "SpreadExpression" || argument.type === "KeywordSpreadExpression")
      refuse("indent with unpacked arguments", "plain arguments");
    const value = valueOf(argument.type === "KeywordArgumentExpression" ? (argument as Statement & { value: Statement }).value : argument);
    if (typeof value === "number" && value > LIMITS.indent) refuse(`an indent of ${value}`, `at most ${LIMITS.indent}`);
  }
}

/** The size of a value: the characters of a text; for a container everything inside, with repeated items counted each time. */
function scale(): (value: Value) => number {
  const weights = new WeakMap<object, number>();
  const weigh = (value: Value): number => {
    const inner = value.value;
    if (typeof inner === "string") return inner.length;
    const items = Array.isArray(inner)
      ? (inner as Value[])
      : inner instanceof Map
        ? [...(inner as Map<string, Value>).values()]
        : undefined;
    if (!items) return 1;
    if (items.length > LIMITS.items) return items.length;
    const known = weights.get(value);
    if (known !== undefined) return known;
    const isFixed = value.type !== "NamespaceValue";
    if (isFixed) weights.set(value, items.length + 1);
    const one = (item: Value): number => (typeof item.value === "string" ? 1 : isFixed ? weigh(item) : (weights.get(item) ?? 1));
    const total = items.reduce((sum, item) => sum + one(item), 1);
    if (isFixed) weights.set(value, total);
    return total;
  };
  return weigh;
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
