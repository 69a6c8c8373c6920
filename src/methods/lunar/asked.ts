/** Questions as rows of tokens, and their keys: the inputs of a block's MLP output matrix. */
import type { NdArray } from "../../base/array.ts";
import { checkAbort, type Context } from "../../base/context.ts";
import { fail } from "../../base/fail.ts";
import { activations } from "../../locate/keys.ts";
import { checkContext, type Model } from "../../model/model.ts";
import type { BlockSite } from "../../model/names.ts";
import { type AskAs, promptWithoutEdits } from "../../model/prompt.ts";
import type { Running } from "../../onnx/program.ts";
import { tokensOver } from "../../text/spans.ts";

/** A question as the model reads it. */
export interface AskedRow {
  readonly ids: readonly number[];
  /** The first token that is the question's own, not the chat template's. */
  readonly from: number;
}

/** The rows of questions. Refuses a question that is longer than the model's context, or that no token is made of. */
export const askedRows = (model: Model, questions: readonly string[], ask: AskAs): AskedRow[] =>
  questions.map((question) => {
    const prompt = promptWithoutEdits(model, question, ask);
    checkContext(model, "lunar", `the question "${question.slice(0, 60)}"`, prompt.ids.length);
    const own =
      tokensOver(prompt, ...prompt.content) ?? fail("lunar", `no token in ${JSON.stringify(question.slice(0, 60))}`, "a question", "");
    return { ids: prompt.ids, from: own.first };
  });

/** The number of tokens from each row's first own token on. */
export const tokensIn = (rows: readonly AskedRow[]): number => rows.reduce((sum, { ids, from }) => sum + ids.length - from, 0);

/** Questions that are read together, so that the keys of many need little memory. */
const PART = 128;

/** The keys [tokens, width] at all own tokens of the rows, in parts of some rows. */
export async function* keysOf(
  model: Model,
  rows: readonly AskedRow[],
  site: BlockSite,
  running: Running,
  ctx: Context,
): AsyncGenerator<NdArray, void> {
  for (let next = 0; next < rows.length; next += PART) {
    checkAbort(ctx, "lunar");
    const part = rows.slice(next, next + PART).map(({ ids, from }) => ({ ids, at: [...ids.keys()].slice(from) }));
    yield (await activations(model, part, [site], running))[site]!;
  }
}
