/** Asking: prompts in, answers with their tokens out, one at a time as they form or in batches. */
import { checkAbort, type Context } from "../base/context.ts";
import { fail, LetheError } from "../base/fail.ts";
import { rng } from "../base/rng.ts";
import type { Message } from "../text/chat.ts";
import { generate, type Generated, type GenerateOptions, stream } from "../model/decode/generate.ts";
import type { Model } from "../model/model.ts";
import { type AskAs, formatOf, promptOf, stopsOf } from "../model/prompt.ts";

export type { Message } from "../text/chat.ts";
export type { Model } from "../model/model.ts";

export interface AskOptions
  extends AskAs, Pick<GenerateOptions, "maxTokens" | "temperature" | "topK" | "topP" | "seed" | "stop" | "freeze"> {}

export interface Answer {
  /** The answer, without white space around it. */
  readonly answer: string;
  readonly tokens: readonly { readonly id: number; readonly text: string; readonly logprob: number }[];
  /** "end": the model ended it; "stop": a stop text; "length": the limit of tokens. */
  readonly stopped: Generated["stopped"];
  readonly promptTokens: number;
}

/** An answer, or why there is none. */
export type Outcome = { readonly prompt: string } & (Answer | { readonly error: LetheError });

/** Prompts answered together; the order of the options' seed is by the place of a prompt among all. */
export const BATCH = 8;

/** Answers as they form: pieces of text, then the whole. */
export async function* answering(
  model: Model,
  question: string | readonly Message[],
  options: AskOptions,
  ctx: Context,
): AsyncGenerator<string, Answer> {
  const ids = await idsOf(model, question, options);
  const steps = stream(model, [ids], generation(model, options, ctx));
  for (;;) {
    const { value, done } = await steps.next();
    if (done) return answerOf(model, value[0]!, ids.length);
    if (value.text) yield value.text;
  }
}

/**
 * Answers many prompts in their order, some at a time, as they arrive. A prompt that cannot be asked (too long, empty) becomes an
 * outcome with its error, and the others are answered. With a temperature the draw depends on seed and place alone.
 */
export async function* answers(
  model: Model,
  prompts: AsyncIterable<string> | Iterable<string>,
  options: AskOptions & { readonly batch?: number },
  ctx: Context,
): AsyncGenerator<Outcome> {
  const { batch = BATCH, ...ask } = options;
  let waiting: string[] = [];
  let place = 0;
  const flush = async (): Promise<Outcome[]> => {
    const seed = seedAt(ask.seed ?? 0, place++);
    const outcomes = await together(model, waiting, { ...ask, seed }, ctx);
    waiting = [];
    return outcomes;
  };
  for await (const prompt of prompts) {
    checkAbort(ctx, "ask");
    if (waiting.push(prompt) === batch) yield* await flush();
  }
  if (waiting.length) yield* await flush();
}

const seedAt = (seed: number, place: number): number =>
  place === 0
    ? seed
    : rng(seed)
        .split("batch")
        .split(place)
        .below(2 ** 32);

/** One batch: what cannot be asked is left out of it. */
async function together(model: Model, prompts: readonly string[], ask: AskOptions, ctx: Context): Promise<Outcome[]> {
  const asked: ({ prompt: string } & Attempted<readonly number[]>)[] = [];
  for (const prompt of prompts) asked.push({ prompt, ...(await attempt(() => idsOf(model, prompt, ask))) });
  const good = asked.flatMap((a) => ("value" in a ? [a.value] : []));
  const done = good.length ? await generate(model, good, generation(model, ask, ctx)) : [];
  let next = 0;
  return asked.map((a) =>
    "value" in a ? { prompt: a.prompt, ...answerOf(model, done[next++]!, a.value.length) } : { prompt: a.prompt, error: a.error },
  );
}

type Attempted<T> = { value: T } | { error: LetheError };

async function attempt<T>(work: () => Promise<T>): Promise<Attempted<T>> {
  try {
    return { value: await work() };
  } catch (error) {
    if (error instanceof LetheError && error.trouble !== "internal" && error.trouble !== "aborted") return { error };
    throw error;
  }
}

/** The tokens of a question; refuses an empty one, one that leaves no room for an answer, and a system message without a template. */
async function idsOf(model: Model, question: string | readonly Message[], ask: AskOptions): Promise<readonly number[]> {
  if (typeof question === "string" && question.trim() === "") fail("ask", "an empty prompt", "a question or a beginning of a text", "");
  if (ask.system !== undefined && formatOf(model, ask) === "plain")
    fail(
      "ask",
      "--system with a plain prompt",
      "a prompt through the chat template, which has a place for it",
      model.chatTemplate === undefined
        ? "This model has no chat template: write it into the prompt."
        : "Leave out --plain, or write it into the prompt.",
    );
  const { ids } = await promptOf(model, question, ask);
  const { context } = model.config;
  if (ids.length >= context) fail("ask", `a prompt of ${ids.length} tokens`, `fewer than the model's context of ${context}`, "Shorten it.");
  return ids;
}

const generation = (model: Model, { format: _f, system: _s, ...rest }: AskOptions, ctx: Context): GenerateOptions => ({
  ...rest,
  stopIds: stopsOf(model, _f ? { format: _f } : {}),
  ctx,
});

function answerOf(model: Model, { ids, logprobs, text, stopped }: Generated, promptTokens: number): Answer {
  const tokens = ids.map((id, i) => ({ id, text: model.tokenizer.decode([id], { special: true }), logprob: logprobs[i]! }));
  return { answer: text.trim(), tokens, stopped, promptTokens };
}

/** Whether a conversation leaves `room` tokens for the answer. */
export async function fits(model: Model, messages: readonly Message[], ask: AskOptions, room: number): Promise<boolean> {
  return (await promptOf(model, messages, ask)).ids.length + room <= model.config.context;
}
