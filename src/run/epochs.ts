/** The progress of a finetuning: the loss curve, and after every epoch the share of the answers that the model knows. */
import { mean } from "../base/array.ts";
import { answers } from "../ask/ask.ts";
import type { Context } from "../base/context.ts";
import type { LetheError } from "../base/fail.ts";
import type { QA } from "../data/request.ts";
import { rougeN, tokenize } from "../eval/rouge.ts";
import type { Model } from "../model/model.ts";
import type { AskAs } from "../model/prompt.ts";
import { score } from "../model/decode/score.ts";
import type { LabelledRow } from "../train/batches.ts";
import type { DataEvent } from "../train/from-recipe.ts";
import { followed } from "../train/follow.ts";
import type { TrainEvent } from "../train/loop.ts";

export interface Held {
  readonly pairs: readonly QA[];
  readonly held: readonly LabelledRow[];
  readonly ask: AskAs;
  readonly until: number | undefined;
  readonly epoch: number;
}

/** Logs how well a model answers the training and the validation questions. Returns the reason to stop if it knows enough. */
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
  const { recall, unasked = 0 } = until === undefined ? {} : await recallOf(model, pairs, ask, until, ctx);
  if (recall !== undefined)
    told.push(`ROUGE-1 ${recall.toFixed(3)}${unasked > 0 ? ` without ${unasked} questions that could not be asked` : ""}`);
  ctx.log({ kind: "note", who: "finetune", text: `after epoch ${epoch}: ${told.join(", ")}` });
  return recall !== undefined && recall >= until! ? `ROUGE-1 is ${recall.toFixed(3)} after epoch ${epoch}` : undefined;
}

/** The number of questions asked first. If their answers are far from the goal, the others are not asked. */
const FIRST = 32;

/**
 * The mean ROUGE-1 recall of the answers, each allowed twice the tokens of the longest; of the first alone where that is far below `until`.
 * A question that cannot be asked is left out and counted.
 */
async function recallOf(
  model: Model,
  pairs: readonly QA[],
  ask: AskAs,
  until: number,
  ctx: Context,
): Promise<{ readonly recall: number; readonly unasked: number }> {
  const longest = Math.max(...pairs.map(({ answer }) => model.tokenizer.encode(answer, { special: false }).ids.length));
  const questions = pairs.map(({ question }) => question);
  const recalls: number[] = [];
  const errors: LetheError[] = [];
  for await (const outcome of answers(model, questions, { ...ask, maxTokens: 2 * longest, freeze: false, window: FIRST }, ctx)) {
    const { answer } = pairs[recalls.length + errors.length]!;
    if ("error" in outcome) errors.push(outcome.error);
    else recalls.push(rougeN(tokenize(answer), tokenize(outcome.answer), 1).recall);
    if (recalls.length + errors.length === FIRST && mean(recalls) < until - 0.1) break;
  }
  if (recalls.length === 0) throw errors[0]!;
  return { recall: mean(recalls), unasked: errors.length };
}

/** The eight bar characters, from low to high. */
const BARS = "▁▂▃▄▅▆▇█";

/** The last losses as bars, the highest full. */
function curve(losses: readonly number[], width = 24): string {
  const shown = losses.slice(-width);
  const [low, high] = [Math.min(...shown), Math.max(...shown)];
  return shown.map((loss) => BARS[high > low ? Math.min(7, Math.floor((8 * (loss - low)) / (high - low))) : 0]).join("");
}

/** Runs a training to its end and logs its progress with the loss curve. */
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
