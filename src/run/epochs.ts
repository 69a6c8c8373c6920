/** What a finetuning says on its way: losses as a curve, and after every epoch what the model knows. */
import { mean } from "../base/array.ts";
import type { Context } from "../base/context.ts";
import type { QA } from "../data/request.ts";
import { rougeN, tokenize } from "../eval/rouge.ts";
import type { Model } from "../model/model.ts";
import type { AskAs } from "../model/prompt.ts";
import { score } from "../model/decode/score.ts";
import type { LabelledRow } from "../train/batches.ts";
import type { DataEvent } from "../train/from-recipe.ts";
import { followed } from "../train/follow.ts";
import type { TrainEvent } from "../train/loop.ts";
import { answering } from "./answers.ts";

export interface Held {
  readonly pairs: readonly QA[];
  readonly held: readonly LabelledRow[];
  readonly ask: AskAs;
  readonly until: number | undefined;
  readonly epoch: number;
}

/** Logs how a model does on what it learns and on what it does not; says why to stop, if it knows enough. */
export async function checked(model: Model, { pairs, held, ask, until, epoch }: Held, ctx: Context): Promise<string | undefined> {
  const told: string[] = [];
  if (held.length > 0) {
    const scored = await score(
      model,
      held.map(({ ids }) => ({ ids, from: 1 })),
      { ctx },
    );
    const losses = held.flatMap(({ labels }, i) => labels.map((at) => -scored[i]![at - 1]!));
    told.push(`validation loss ${mean(losses).toFixed(3)}`);
  }
  const recall = until === undefined ? undefined : await recallOf(model, pairs, ask, until, ctx);
  if (recall !== undefined) told.push(`ROUGE-1 ${recall.toFixed(3)}`);
  ctx.log({ kind: "note", who: "finetune", text: `after epoch ${epoch}: ${told.join(", ")}` });
  return recall !== undefined && recall >= until! ? `ROUGE-1 is ${recall.toFixed(3)} after epoch ${epoch}` : undefined;
}

/** Questions that are asked first: where their answers are far from enough, the others are not asked. */
const FIRST = 32;

/** The mean ROUGE-1 recall of the answers, each allowed twice the tokens of the longest; of the first alone where that is far below `until`. */
async function recallOf(model: Model, pairs: readonly QA[], ask: AskAs, until: number, ctx: Context): Promise<number> {
  const longest = Math.max(...pairs.map(({ answer }) => model.tokenizer.encode(answer, { special: false }).ids.length));
  const questions = pairs.map(({ question }) => question);
  const recalls: number[] = [];
  for await (const said of answering(model, questions, ask, 2 * longest, ctx)) {
    const isFirst = recalls.length < FIRST;
    for (const text of said) recalls.push(rougeN(tokenize(pairs[recalls.length]!.answer), tokenize(text), 1).recall);
    if (isFirst && recalls.length >= FIRST && mean(recalls) < until - 0.1) break;
  }
  return mean(recalls);
}

/** Eight heights of a bar. */
const BARS = "▁▂▃▄▅▆▇█";

/** The last losses as bars, the highest full. */
export function curve(losses: readonly number[], width = 24): string {
  const shown = losses.slice(-width);
  const [low, high] = [Math.min(...shown), Math.max(...shown)];
  return shown.map((loss) => BARS[high > low ? Math.min(7, Math.floor((8 * (loss - low)) / (high - low))) : 0]).join("");
}

/** Runs to the end, as progress with the curve of the loss. */
export async function toTheEnd<R>(events: AsyncGenerator<TrainEvent | DataEvent, R>, ctx: Context): Promise<R> {
  const note = (text: string): void => ctx.log({ kind: "note", who: "finetune", text });
  const losses: number[] = [];
  const { result, stopped } = await followed("finetune", events, ctx, {
    detail: ({ loss, tokensPerSecond }) => {
      losses.push(loss);
      return `loss ${loss.toFixed(3)} ${curve(losses)}, ${Math.round(tokensPerSecond)} tokens/s`;
    },
    other: ({ rows, tokens, parameters }) => note(`${rows} rows of ${tokens} tokens for ${parameters} weights`),
  });
  if (stopped !== undefined) note(stopped);
  return result;
}
