/** A text's perplexity as one more number of an evaluation: measured window by window into the run's folder, so that a stopped run goes on. */
import { existsSync } from "node:fs";
import type { Context } from "../base/context.ts";
import { fail } from "../base/fail.ts";
import { appendLine, readLines, writeAtomic } from "../base/store.ts";
import { plainly } from "../eval/logs/samples.ts";
import type { Row } from "../eval/metric.ts";
import { perplexity } from "../eval/metrics/perplexity.ts";
import { openLog } from "../eval/open-log.ts";
import { ROW_TOKENS, TEXT_TOKENS, TEXT_WINDOW, textWindows } from "../eval/text.ts";
import { numberOf } from "./eval.ts";
import type { RunFolder } from "./folder.ts";
import { contentAt } from "./inputs.ts";
import type { Model } from "./open.ts";
import type { JudgedNumber } from "./record.ts";

/** The folder of the text's rows in the run's folder, apart from the samples, and its file. */
const FOLDER = "text";
export const TEXT = `${FOLDER}/rows.jsonl`;
/** The title of the number, and the group of its rows. */
const [TITLE, GROUP] = ["Perplexity", "text"];

export interface Reading {
  readonly path: string;
  readonly tokens: number;
  /** What decides the number beside the model. */
  readonly identity: { readonly content: string; readonly tokens: number; readonly length: number };
}

/** What a spec says of a text; undefined where it names none. */
export function readingOf(text: string | undefined, tokens: number | undefined): Reading | undefined {
  if (text === undefined)
    return tokens === undefined
      ? undefined
      : fail("eval", `--text-tokens ${tokens} without a text`, "--text FILE", "Name the text, or leave the number out.");
  const count = tokens ?? TEXT_TOKENS;
  return { path: text, tokens: count, identity: { content: contentAt(text, "eval"), tokens: count, length: ROW_TOKENS } };
}

/** The perplexity of the text, from rows that are in the folder already or measured now. */
export async function readText(
  model: Model,
  { path, tokens }: Reading,
  { folder, dtype, ctx }: { readonly folder: RunFolder; readonly dtype: "float32" | "float64"; readonly ctx: Context },
): Promise<JudgedNumber[]> {
  if (!existsSync(folder.at(TEXT))) {
    const file = folder.work(TEXT);
    const from = wholeWindows(file);
    for await (const window of textWindows(model, path, { tokens, length: ROW_TOKENS, dtype, from, ctx }))
      for (const row of window) appendLine(file, plainly(row));
    folder.finish(FOLDER, FOLDER);
  }
  const rows = openLog(folder.at(TEXT)).rows as readonly Row<"answerLogprobs">[];
  const column = { title: TITLE, metric: perplexity.name as "perplexity", group: GROUP };
  return numberOf({ column, metric: perplexity, compat: [], rows: rows.length, score: perplexity.score({ rows, scores: {} }) });
}

/** How many rows an earlier attempt has measured, in whole windows; what it left beyond them is taken away. */
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
