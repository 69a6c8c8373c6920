/**
 * Asking a model: questions in, outcomes out in their order; an outcome is an answer, or the reason why the question could not be asked.
 */
import { checkAbort, type Context } from "../base/context.ts";
import { fail, LetheError } from "../base/fail.ts";
import { type Rng, rng } from "../base/rng.ts";
import { generate, type Generated, type GenerateOptions, stream } from "../model/decode/generate.ts";
import type { Model } from "../model/model.ts";
import { type AskAs, promptWithoutEdits, formatOf, promptOf, stopsOf } from "../model/prompt.ts";
import type { Message } from "../text/chat.ts";
import { grouped } from "../text/padding.ts";

/** A question, or a conversation whose last turn is answered. */
export interface Asking {
  readonly messages: string | readonly Message[];
  /** Where a temperature is given: what the answer is drawn by, in place of the run's seed and the question's place. */
  readonly seed?: string;
  /** How it is drawn, in place of the asker's own way; only with a seed, and only for whoever asks beside other work. */
  readonly drawn?: Drawing;
}

/** A way of drawing an answer. */
export type Drawing = Pick<GenerateOptions, "temperature" | "topP" | "maxTokens">;

/** How a model is asked. With a temperature, every answer is drawn by the seed and by the place of its question among all. */
export interface AskOptions
  extends AskAs, Pick<GenerateOptions, "maxTokens" | "temperature" | "topK" | "topP" | "seed" | "stop" | "freeze"> {
  /** Leave out what prompt edits put before a question. */
  readonly withoutPromptEdits?: boolean;
}

export interface Answer {
  /** The answer, without white space around it. */
  readonly answer: string;
  readonly tokens: readonly { readonly id: number; readonly text: string; readonly logprob: number }[];
  /** "end": the model ended it; "stop": a stop text; "length": the limit of tokens. */
  readonly stopped: Generated["stopped"];
  readonly promptTokens: number;
}

/** A question that could not be asked: it is empty, it fills the model's context, or the chat template refuses it. */
export interface Unasked {
  readonly error: LetheError;
}

export type Outcome = Answer | Unasked;

export interface ManyOptions extends AskOptions {
  /** Questions that are answered together, at most (16). */
  readonly together?: number;
  /** Questions that are read ahead, so that those of about one length are answered together (four times `together`). No more are held. */
  readonly window?: number;
  /** Called behind every batch with the number of questions that are done. */
  readonly progress?: (done: number) => void;
}

const [TOGETHER, AHEAD] = [16, 4];
/** Padded tokens of the prompts that are answered together. */
const PADDED = 8192;

/**
 * Outcomes in the order of the questions. An answer is the same alone and among others, whatever `together` and `window` are. What is
 * wrong with a question is its outcome, and the others are answered; what is wrong with the model ends the work with an error. An abort
 * ends it within a batch; the outcomes before that are out.
 */
export async function* answers(
  model: Model,
  questions: AsyncIterable<string | Asking> | Iterable<string | Asking>,
  options: ManyOptions,
  ctx: Context,
): AsyncGenerator<Outcome, void> {
  const { together = TOGETHER, window = AHEAD * together } = options;
  let waiting: Asking[] = [];
  let done = 0;
  const flush = (): AsyncGenerator<Outcome, void> => {
    const asked = waiting;
    waiting = [];
    done += asked.length;
    return inBatches(model, asked, { ...options, together, before: done - asked.length }, ctx);
  };
  for await (const question of questions) {
    checkAbort(ctx, "ask");
    if (waiting.push(typeof question === "string" ? { messages: question } : question) >= window) yield* flush();
  }
  if (waiting.length > 0) yield* flush();
}

/** The outcomes of a window behind `before` other questions, each as soon as all before it are there. */
async function* inBatches(
  model: Model,
  asked: readonly Asking[],
  { together, before, progress, ...ask }: ManyOptions & { readonly together: number; readonly before: number },
  ctx: Context,
): AsyncGenerator<Outcome, void> {
  const outcomes: (Outcome | undefined)[] = asked.map(() => undefined);
  const rows: { readonly index: number; readonly ids: readonly number[] }[] = [];
  for (const [index, { messages }] of asked.entries()) {
    const ids = await idsOrError(model, messages, ask);
    if ("error" in ids) outcomes[index] = ids;
    else rows.push({ index, ids });
  }
  let next = 0;
  let done = before + asked.length - rows.length;
  for (const group of grouped(rows, ({ ids }) => ids.length, PADDED, together)) {
    checkAbort(ctx, "ask");
    group.sort((a, b) => a.index - b.index);
    const draws = group.map(({ index }) => drawOf(asked[index]!, before + index, ask));
    const said = await generate(
      model,
      group.map(({ ids }) => ids),
      generation(model, ask, draws, ctx),
    );
    group.forEach(({ index, ids }, i) => (outcomes[index] = answerOf(model, said[i]!, ids.length)));
    progress?.((done += group.length));
    while (outcomes[next]) yield outcomes[next++]!;
  }
  while (next < outcomes.length) yield outcomes[next++]!;
}

/** One answer as it forms: pieces of text, then the whole. Refuses what cannot be asked. */
export async function* answering(
  model: Model,
  question: string | readonly Message[],
  options: AskOptions,
  ctx: Context,
): AsyncGenerator<string, Answer> {
  const ids = await idsOf(model, question, options);
  const steps = stream(model, [ids], generation(model, options, [drawOf({ messages: question }, 0, options)], ctx));
  for (;;) {
    const { value, done } = await steps.next();
    if (done) return answerOf(model, value[0]!, ids.length);
    if (value.text) yield value.text;
  }
}

/** What a model says to one question as it says it: ids, and text with the white space around it. Refuses what cannot be asked. */
export async function saidTo(model: Model, question: string | readonly Message[], options: AskOptions, ctx: Context): Promise<Generated> {
  const ids = await idsOf(model, question, options);
  const draws = [drawOf({ messages: question }, 0, options)];
  return (await generate(model, [ids], generation(model, options, draws, ctx)))[0]!;
}

/** The text of an answer; fails with the reason where the question, named by `of`, could not be asked. */
export function textOf(outcome: Pick<Answer, "answer"> | Unasked, of: string): string {
  if (!("error" in outcome)) return outcome.answer;
  const { who, got, wanted, hint, trouble } = outcome.error;
  return fail(who, `${of}: ${got}`, wanted, hint, trouble);
}

/** Whether a conversation leaves `room` tokens for the answer. */
export async function fits(model: Model, messages: readonly Message[], ask: AskAs, room: number): Promise<boolean> {
  return (await promptOf(model, messages, ask)).ids.length + room <= model.config.context;
}

async function idsOrError(model: Model, messages: Asking["messages"], ask: AskOptions): Promise<readonly number[] | Unasked> {
  try {
    return await idsOf(model, messages, ask);
  } catch (error) {
    if (error instanceof LetheError && error.trouble !== "internal" && error.trouble !== "aborted") return { error };
    throw error;
  }
}

/** The tokens of a question. Refuses an empty one, one that leaves no room for an answer, and a system message without a chat template. */
async function idsOf(model: Model, question: Asking["messages"], ask: AskOptions): Promise<readonly number[]> {
  if (typeof question === "string" && question.trim() === "") fail("ask", "an empty prompt", "a question or a beginning of a text", "");
  checkSystem(model, ask);
  const { ids } = ask.withoutPromptEdits ? promptWithoutEdits(model, question, ask) : await promptOf(model, question, ask);
  const { context } = model.config;
  if (ids.length >= context) fail("ask", `a prompt of ${ids.length} tokens`, `fewer than the model's context of ${context}`, "Shorten it.");
  return ids;
}

/** Refuses a system message for a plain prompt, which has no place for it. */
export function checkSystem(model: Model, ask: AskAs): void {
  if (ask.system !== undefined && formatOf(model, ask) === "plain")
    fail(
      "ask",
      "--system with a plain prompt",
      "a prompt through the chat template, which has a place for it",
      model.chatTemplate === undefined
        ? "This model has no chat template: write it into the prompt."
        : "Leave out --plain, or write it into the prompt.",
    );
}

const drawOf = ({ seed }: Asking, place: number, ask: AskOptions): Rng =>
  seed === undefined ? rng(ask.seed ?? 0).split(place) : rng(seed);

/** How a batch is generated; only what has to do with that is taken from the options. */
function generation(model: Model, ask: AskOptions, draws: readonly Rng[], ctx: Context): GenerateOptions {
  const { maxTokens, temperature, topK, topP, stop, freeze } = ask;
  const given = Object.entries({ maxTokens, temperature, topK, topP, stop, freeze }).filter(([, value]) => value !== undefined);
  return { ...(Object.fromEntries(given) as GenerateOptions), draws, stopIds: stopsOf(model, ask), ctx };
}

function answerOf(model: Model, { ids, logprobs, text, stopped }: Generated, promptTokens: number): Answer {
  const tokens = ids.map((id, i) => ({ id, text: model.tokenizer.decode([id], { special: true }), logprob: logprobs[i]! }));
  return { answer: text.trim(), tokens, stopped, promptTokens };
}
