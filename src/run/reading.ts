/** Adds a text's perplexity to an evaluation. It is measured window by window into the run's folder, so that a stopped run continues. */
import { existsSync } from "node:fs";
import type { Context } from "../base/context.ts";
import { fail } from "../base/fail.ts";
import { appendLine, readLines, writeAtomic } from "../base/store.ts";
import { plainly } from "../eval/logs/samples.ts";
import type { Row } from "../eval/metric.ts";
import { perplexity } from "../eval/metrics/perplexity.ts";
import { openLog } from "../eval/open-log.ts";
import { ROW_TOKENS, TEXT_TOKENS, TEXT_WINDOW, textWindows } from "../eval/text.ts";
import { numberOf, TEXT_COLUMN } from "./eval.ts";
import type { RunFolder } from "./folder.ts";
import { contentAt } from "./inputs.ts";
import type { Model } from "./open.ts";
import type { JudgedNumber } from "./record.ts";

/** The folder for the text's rows in the run's folder, separate from the samples, and the file in it. */
const FOLDER = "text";
export const TEXT = `${FOLDER}/rows.jsonl`;

export interface Reading {
  readonly path: string;
  readonly tokens: number;
  /** Everything that decides the number besides the model. */
  readonly identity: { readonly content: string; readonly tokens: number; readonly length: number };
}

/** The text that a spec names; undefined if it names none. */
export function readingOf(text: string | undefined, tokens: number | undefined): Reading | undefined {
  if (text === undefined)
    return tokens === undefined
      ? undefined
      : fail("eval", `--text-tokens ${tokens} without a text`, "--text FILE", "Name the text, or leave the number out.");
  const count = tokens ?? TEXT_TOKENS;
  return { path: text, tokens: count, identity: { content: contentAt(text, "eval"), tokens: count, length: ROW_TOKENS } };
}

/** Measures the rows of the text that the run's folder does not have. */
export async function readText(
  model: Model,
  { path, tokens }: Reading,
  { folder, dtype, ctx }: { readonly folder: RunFolder; readonly dtype: "float32" | "float64"; readonly ctx: Context },
): Promise<void> {
  if (existsSync(folder.at(TEXT))) return;
  const file = folder.work(TEXT);
  const from = wholeWindows(file);
  for await (const window of textWindows(model, path, { tokens, length: ROW_TOKENS, dtype, from, ctx }))
    for (const row of window) appendLine(file, plainly(row));
  folder.finish(FOLDER, FOLDER);
}

/** The perplexity of the text, from the rows in the run's folder. */
export function textNumbers(folder: RunFolder): JudgedNumber[] {
  const rows = openLog(folder.at(TEXT)).rows as readonly Row<"answerLogprobs">[];
  return numberOf({
    column: TEXT_COLUMN,
    metric: perplexity,
    compat: [],
    rows: rows.length,
    score: perplexity.score({ rows, scores: {} }),
  });
}

/** The number of rows that an earlier attempt measured, in complete windows. Rows of an incomplete window are removed. */
function wholeWindows(file: string): number {
  const lines = readLines(file);
  const whole = lines.length - (lines.length % TEXT_WINDOW);
  if (whole < lines.length)
    writeAtomic(
      file,
      lines
        .slice(0, whole)
        .map((line) => `${JSON.stringify(line)}\n`)
        .join(""),
    );
  return whole;
}
