/** Running text as samples: measures the log-probabilities of the beginning of a file. */
import type { Context } from "../base/context.ts";
import { fail } from "../base/fail.ts";
import { readText } from "../data/records.ts";
import type { Model, Precision } from "../model/model.ts";
import { score } from "../model/decode/score.ts";
import type { Row } from "./metric.ts";

export interface TextOptions {
  /** Number of tokens from the beginning of the text (default 20,480). */
  readonly tokens?: number;
  /** Tokens per row; every row is a separate sequence whose first token is given (default 512). */
  readonly length?: number;
  readonly dtype?: Precision;
  readonly ctx?: Context;
}

/** The log-probabilities of a text file's tokens, row by row, except the first token of each row; refuses a text that is too short. */
export async function measureText(model: Model, path: string, options: TextOptions = {}): Promise<Row<"answerLogprobs">[]> {
  const { tokens = 20_480, length = 512, ...run } = options;
  const most = Math.min(length, model.config.context);
  if (!(tokens >= 2 && most >= 2))
    fail("text", `${tokens} tokens in rows of ${length}`, "at least 2 of both", "The first token of a row is not predicted.");
  const ids = model.tokenizer.encode(readText(path), { special: false }).ids.slice(0, tokens);
  const rows = Array.from({ length: Math.ceil(ids.length / most) }, (_, i) => ({ ids: ids.slice(i * most, (i + 1) * most), from: 1 }));
  const predicted = rows.filter((row) => row.ids.length > row.from);
  if (predicted.length === 0) fail("text", `${path} has ${ids.length} tokens`, "at least 2", "Name a longer text.");
  return (await score(model, predicted, run)).map((answerLogprobs, i) => ({ id: `text/${i}`, answerLogprobs }));
}
