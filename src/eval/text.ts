/** Running text as samples: a model is asked how likely it finds the beginning of a file. */
import { breather, checkAbort, type Context, defaultContext } from "../base/context.ts";
import { fail } from "../base/fail.ts";
import { readText } from "../data/records.ts";
import type { Model, Precision } from "../model/model.ts";
import { score } from "../model/decode/score.ts";
import { firstTokens } from "../text/long.ts";
import type { Row } from "./metric.ts";

export interface TextOptions {
  /** Number of tokens from the beginning of the text (default 20,480). */
  readonly tokens?: number;
  /** Tokens per row; every row is a separate sequence whose first token is given (default 512). */
  readonly length?: number;
  readonly dtype?: Precision;
  readonly ctx?: Context;
}

/** Tokens of a text, and tokens of a row, by default. */
export const [TEXT_TOKENS, ROW_TOKENS] = [20_480, 512];
/** Rows that are scored together: as many passes as a stopped run may lose. */
export const TEXT_WINDOW = 8;

/** The log-probabilities of a text file's tokens, row by row, every one but a row's first; a text too short to predict anything is refused. */
export async function measureText(model: Model, path: string, options: TextOptions = {}): Promise<Row<"answerLogprobs">[]> {
  const all: Row<"answerLogprobs">[] = [];
  for await (const window of textWindows(model, path, options)) all.push(...window);
  return all;
}

/** {@link measureText} in windows of {@link TEXT_WINDOW} rows, from the `from`-th row on: a run that goes on later says the same. */
export async function* textWindows(
  model: Model,
  path: string,
  { from = 0, ...options }: TextOptions & { readonly from?: number } = {},
): AsyncGenerator<Row<"answerLogprobs">[], void> {
  const { tokens = TEXT_TOKENS, length = ROW_TOKENS, ctx = defaultContext(), ...run } = options;
  const most = Math.min(length, model.config.context);
  if (!(tokens >= 2 && most >= 2))
    fail("text", `${tokens} tokens in rows of ${length}`, "at least 2 of both", "The first token of a row is not predicted.");
  const ids = await firstTokens(model.tokenizer, readText(path), tokens, breather(ctx, "text"));
  const rows = Array.from({ length: Math.ceil(ids.length / most) }, (_, i) => ({ ids: ids.slice(i * most, (i + 1) * most), from: 1 }));
  const predicted = rows.filter((row) => row.ids.length > row.from);
  if (predicted.length === 0) fail("text", `${path} holds ${ids.length} tokens`, "at least 2", "Name a longer text.");
  for (let at = from; at < predicted.length; at += TEXT_WINDOW) {
    checkAbort(ctx, "text");
    const window = predicted.slice(at, at + TEXT_WINDOW);
    const scored = await score(model, window, { ...run, ctx });
    yield scored.map((answerLogprobs, i) => ({ id: `text/${at + i}`, answerLogprobs }));
    ctx.log({ kind: "progress", stage: "reading the text", done: at + window.length, total: predicted.length, unit: "rows" });
  }
}
