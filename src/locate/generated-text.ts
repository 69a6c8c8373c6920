/**
 * Text that the model generates by itself, as rows of tokens: conversations, and questions, which name the kind of things that edits
 * change.
 */
import { z } from "zod";
import { lines } from "../base/codec.ts";
import { checkAbort, type Context } from "../base/context.ts";
import { keptAll } from "../base/kept.ts";
import { rng } from "../base/rng.ts";
import { stream } from "../model/decode/generate.ts";
import { type Model, stateOf, withOwnSessions } from "../model/model.ts";
import { formatOf, promptWithoutEdits, stopsOf } from "../model/prompt.ts";

/** A row of tokens. The tokens from index `from` on are counted; those before it are only read as context. */
export interface TokenRow {
  readonly ids: readonly number[];
  readonly from: number;
}

/** The first words of questions. They fit a question about anything. */
const WORDS = ["Who", "What", "Which", "Where", "When", "In which", "How many", "The", "Name the", "In what year"];
/** Share of the tokens that belong to questions (docs/methods/rome.md gives the measurements). */
const QUESTIONS = 0.7;
/** Tokens of a conversation, at most. They are generated one after the other: few long rows take longer than many short ones. */
const TALK = 128;
/** Tokens of a question after its first word, at most. */
export const QUESTION = 20;

/** The largest number of rows that are generated together. */
const TOGETHER = 128;
/** The largest size, in bytes, of the attention cache of rows that are generated together. */
const CACHE = 1e9;
/**
 * The session always holds the weights, even for few rows. Otherwise the last digits of a logit would depend on the number of rows, and so
 * would the text.
 */
const DRAWN = { temperature: 1, topP: 0.95, freeze: true };

/** Rows of tokens, one a line. */
const BATCH = lines(z.array(z.int()));

interface Kind {
  readonly name: string;
  readonly tokens: number;
  /** The tokens with which row `i` begins. */
  readonly start: (i: number) => readonly number[];
  readonly from: number;
  readonly more: number;
  /** Rows that are kept as one. */
  readonly batch: number;
  readonly stops: ReadonlySet<number>;
}

/** Generated rows with at least `tokens` tokens, by seed. The cache keeps each batch, so that a stopped run continues where it stopped. */
export async function generatedRows(model: Model, tokens: number, length: number, seed: number, ctx: Context): Promise<TokenRow[]> {
  const rows: TokenRow[] = [];
  let before = 0;
  for (const kind of [talk(model, tokens * (1 - QUESTIONS), length), questions(model, tokens * QUESTIONS)]) {
    rows.push(...(await ofKind(model, kind, { seed, ctx, before, total: tokens })));
    before += kind.tokens;
  }
  return rows;
}

/** The first `count` distinct questions that the model asks in the rows of {@link generatedRows}. */
export async function generatedQuestions(model: Model, count: number, seed: number, ctx: Context): Promise<string[]> {
  const stops = stopsOf(model);
  const asked = new Set<string>();
  for (let tokens = QUESTION * count; asked.size < count && tokens <= 64 * QUESTION * count; tokens *= 2) {
    for (const { ids, from } of await ofKind(model, questions(model, tokens), { seed, ctx, before: 0, total: tokens }))
      if (stops.has(ids.at(-1)!)) asked.add(model.tokenizer.decode(ids.slice(from, -1)).trim());
  }
  return [...asked].slice(0, count);
}

function talk(model: Model, tokens: number, length: number): Kind {
  const start = startOf(model);
  const more = Math.max(1, Math.min(TALK, length, model.config.context) - start.length);
  return { name: "talk", tokens: Math.ceil(tokens), start: () => start, from: 0, more, batch: 4, stops: new Set() };
}

function questions(model: Model, tokens: number): Kind {
  const start = startOf(model);
  const words = WORDS.map((w) => model.tokenizer.encode(w, { special: false }).ids);
  return {
    name: "questions",
    tokens: Math.ceil(tokens),
    start: (i) => [...start, ...words[i % words.length]!],
    from: start.length,
    more: QUESTION,
    batch: 64,
    stops: stopsOf(model),
  };
}

interface SampleOptions {
  readonly seed: number;
  readonly ctx: Context;
  /** Tokens of the kinds before this one, and of all kinds, for the progress. */
  readonly before: number;
  readonly total: number;
}

/** Rows of one kind. Generation uses its own sessions, so that their memory is free again afterwards. */
const ofKind = (model: Model, kind: Kind, options: SampleOptions): Promise<TokenRow[]> =>
  withOwnSessions(model, (own) => sampled(own, kind, options));

async function sampled(model: Model, kind: Kind, { seed, ctx, before, total }: SampleOptions): Promise<TokenRow[]> {
  const about = { start: WORDS.map((_, i) => kind.start(i)), more: kind.more, seed, batch: kind.batch, ...DRAWN, threads: ctx.threads };
  const state = stateOf(model);
  const rows: TokenRow[] = [];
  let have = 0;
  for (let next = 0; have < kind.tokens;) {
    // a batch gives at most batch · more tokens, so all of these batches are needed
    const count = Math.min(TOGETHER / kind.batch, Math.ceil((kind.tokens - have) / (kind.batch * kind.more)));
    const batches = Array.from({ length: count }, (_, i) => next + i);
    const done = before + have;
    const report = (made: number): void =>
      ctx.log({ kind: "progress", stage: "generated text", done: Math.min(before + kind.tokens, done + made), total, unit: "tokens" });
    const wanted = new Map(batches.map((batch) => [batch, [state, about, [...kind.stops], batch]]));
    const all = await keptAll(ctx, "samples", wanted, BATCH, (missing) => sampledBatches(model, kind, missing, { seed, ctx, report }));
    for (const ids of batches.flatMap((batch) => all.get(batch)!)) {
      if (have >= kind.tokens) break;
      rows.push({ ids, from: kind.from });
      have += ids.length - kind.from;
    }
    next += count;
  }
  return rows;
}

/**
 * Batches of one kind, generated together: for each token, every weight is read once for all rows. The random stream of a row depends on its
 * batch and its index in the batch only, so its tokens do not depend on the other rows.
 */
async function sampledBatches(
  model: Model,
  kind: Kind,
  batches: readonly number[],
  { seed, ctx, report }: { seed: number; ctx: Context; report: (made: number) => void },
): Promise<Map<number, number[][]>> {
  checkAbort(ctx, "generated text");
  report(0);
  const rows = batches.flatMap((batch) =>
    Array.from({ length: kind.batch }, (_, i) => ({
      ids: [...kind.start(batch * kind.batch + i)],
      draws: rng(seed * 65_537 + batch).split(i),
    })),
  );
  const size = rowsAtMost(model, kind);
  let made = 0;
  for (let from = 0; from < rows.length; from += size) {
    const part = rows.slice(from, from + size);
    const prompts = part.map(({ ids }) => [...ids]);
    const draws = part.map((row) => row.draws);
    for await (const { row, id } of stream(model, prompts, { maxTokens: kind.more, ...DRAWN, draws, stopIds: kind.stops, ctx })) {
      part[row]!.ids.push(id);
      if (++made % 256 === 0) report(made);
    }
  }
  return new Map(batches.map((batch, b) => [batch, rows.slice(b * kind.batch, (b + 1) * kind.batch).map(({ ids }) => ids)]));
}

/** Rows whose keys and values together take at most {@link CACHE} bytes. */
function rowsAtMost({ config }: Model, kind: Kind): number {
  const tokens = Math.max(...WORDS.map((_, i) => kind.start(i).length)) + kind.more;
  const bytes = 2 * config.layers * config.kvHeads * config.headSize * tokens * 4;
  return Math.max(1, Math.floor(CACHE / bytes));
}

/** The tokens before the user's words in a chat; for a model without a chat template, the token that starts or ends a text. */
function startOf(model: Model): readonly number[] {
  if (formatOf(model) === "chat") {
    const prompt = promptWithoutEdits(model, "x");
    return model.tokenizer.encode(prompt.text.slice(0, prompt.content[0]), { special: false }).ids;
  }
  return [model.tokenizer.bos ?? model.tokenizer.eos[0] ?? model.tokenizer.pad];
}
