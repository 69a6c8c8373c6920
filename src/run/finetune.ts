/** Finetuning as a command does it: the trainer's events become progress, and what was learnt a checkpoint. */
import { rmSync } from "node:fs";
import { join, resolve } from "node:path";
import { answers, checkSystem } from "../ask/ask.ts";
import { mean } from "../base/array.ts";
import type { Context } from "../base/context.ts";
import { fail, type LetheError, nearest } from "../base/fail.ts";
import { hash } from "../base/hash.ts";
import { resolveParams } from "../base/schema.ts";
import { lockFile, writeAtomic } from "../base/store.ts";
import type { QA } from "../data/request.ts";
import { rougeN, tokenize } from "../eval/rouge.ts";
import type { Config } from "../model/arch/arch.ts";
import { resolveModel } from "../hub/hub.ts";
import { load } from "../model/load.ts";
import { type Model, withWeights } from "../model/model.ts";
import { type AskAs, type Format, formatOf } from "../model/prompt.ts";
import { refuseOccupied, saveCheckpoint, type StoredDtype } from "../model/save.ts";
import { score } from "../model/decode/score.ts";
import type { LabelledRow } from "../train/batches.ts";
import { type DataEvent, type Finetuned, type FinetuneOptions, finetuneRecipe } from "../train/from-recipe.ts";
import { followed } from "../train/follow.ts";
import { tokensAtMost, trainingOf } from "../train/recipe.ts";
import type { TrainEvent } from "../train/loop.ts";
import { FINETUNE, type FinetuneParams, RECIPES, rowsFor, tune } from "../train/tune.ts";
import { questionsIn } from "./data.ts";
import { version } from "./tuned.ts";

export type { Finetuned } from "../train/from-recipe.ts";

/** Builds the model of a recipe file at `dir`; a run that was stopped is continued. */
export const finetune = (recipe: string, dir: string, ctx: Context, options: FinetuneOptions): Promise<Finetuned> =>
  toTheEnd(finetuneRecipe(recipe, dir, ctx, options), ctx);

export interface TuneOnOptions extends FinetuneOptions {
  /** A recipe by name; what `params` says goes before it. */
  readonly recipe?: string;
  readonly params?: Readonly<Record<string, unknown>>;
  readonly limit?: number;
  /** Which column of the data is which field, where it has a layout of its own. */
  readonly columns?: string;
  readonly seed?: number;
  readonly format?: Format;
  readonly system?: string;
  readonly dtype?: StoredDtype;
  /** Keep the journal and every checkpoint beside the result, so that rows can be taken out again. */
  readonly keep?: boolean;
  /** Questions whose loss is told after every epoch. */
  readonly validate?: string;
  /** Stop after the epoch in which the mean ROUGE-1 recall of the learnt answers is so high. */
  readonly until?: number;
}

/** What a finished finetuning tells; it stands in the result's training.json too. */
export interface TunedOn extends Finetuned {
  readonly rows: number;
  readonly params: FinetuneParams;
  /** Where journal and checkpoints lie, if they were kept. */
  readonly training?: string;
}

/** Finetunes a model on questions and answers and writes it as a checkpoint at `dir`; a run that was stopped is continued. */
export async function finetuneOn(spec: string, data: string, dir: string, ctx: Context, options: TuneOnOptions): Promise<TunedOn> {
  const { limit, seed = 0, force = false, every = 100, keep = false, until, dtype = "float32" } = options;
  const named = recipeCalled(options.recipe);
  const { columns } = options;
  const pairs = await questionsIn(data, ctx, { ...(limit !== undefined && { limit }), ...(columns !== undefined && { columns }) });
  if (pairs.length === 0) fail("finetune", `${data} has no rows`, "questions and answers", "");
  const validation = options.validate === undefined ? [] : await questionsIn(options.validate, ctx);
  const out = resolve(dir);
  refuseOccupied(out, force);
  const folder = `${out}.training`;
  const release = lockFile(`${folder}.lock`, "finetune");
  try {
    if (options.resume === false) rmSync(folder, { recursive: true, force: true });
    const paramsFor = (config: Config): FinetuneParams => resolveParams("finetune", FINETUNE, { ...named, ...options.params }, config);
    const texts = pairs.map(({ question, answer }) => question + answer);
    const model = await load(spec, ctx, {
      force,
      training: (shape) =>
        trainingOf("finetune", shape, paramsFor(shape.config), { units: pairs.length, rows: 1, tokens: tokensAtMost(texts, shape.config) }),
    });
    try {
      const params = paramsFor(model.config);
      const ask = { format: options.format ?? formatOf(model), ...(options.system !== undefined && { system: options.system }) };
      checkSystem(model, ask);
      const rows = rowsFor(model, pairs, { ...ask, learn: params.learn });
      const held = rowsFor(model, validation, { ...ask, learn: params.learn });
      const perEpoch = Math.ceil(rows.length / params.batch);
      const events = tune(
        model,
        rows,
        {
          params,
          seed,
          running: { dtype: "float32", executor: "graph" },
          folder,
          every,
          ...(keep && { keep: { spec: await resolveModel(spec, ctx) } }),
          stop: async ({ step, weights }) => {
            if (step % perEpoch !== 0 || (held.length === 0 && until === undefined)) return undefined;
            return checked(withWeights(model, weights()), { pairs, held, ask, until, epoch: step / perEpoch }, ctx);
          },
        },
        ctx,
      );
      const { weights, losses } = await toTheEnd(events, ctx);
      await model.sessions.release(); // a pass's arena holds gigabytes
      saveCheckpoint(out, { ...model, weights: new Map([...model.weights, ...weights]) }, { dtype, force });
      const told = { steps: losses.length, losses, rows: rows.length, params };
      const about = { code: version, base: model.id, data: hash(pairs), seed, ...ask, ...(until !== undefined && { until }) };
      writeAtomic(join(out, "training.json"), `${JSON.stringify({ ...about, ...told }, null, 2)}\n`);
      if (!keep) rmSync(folder, { recursive: true, force: true });
      return { dir: out, ...told, ...(keep && { training: folder }) };
    } finally {
      await model.release();
    }
  } finally {
    release();
  }
}

/** A recipe's parameters by its name; none without one. */
function recipeCalled(name: string | undefined): Partial<FinetuneParams> {
  if (name === undefined) return {};
  const near = nearest(name, Object.keys(RECIPES));
  return (
    (Object.hasOwn(RECIPES, name) ? RECIPES[name]!.params : undefined) ??
    fail("finetune", `no recipe "${name}"`, `one of ${Object.keys(RECIPES).join(", ")}`, near ? `Did you mean "${near}"?` : "")
  );
}

interface Held {
  readonly pairs: readonly QA[];
  readonly held: readonly LabelledRow[];
  readonly ask: AskAs;
  readonly until: number | undefined;
  readonly epoch: number;
}

/** Tells how a model does on what it learns and on what it does not; says why to stop, if it knows enough. */
async function checked(model: Model, { pairs, held, ask, until, epoch }: Held, ctx: Context): Promise<string | undefined> {
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

/** Questions that are asked first: where their answers are far from enough, the others are not asked. */
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

/** Eight heights of a bar. */
const BARS = "▁▂▃▄▅▆▇█";

/** The last losses as bars, the highest full. */
export function curve(losses: readonly number[], width = 24): string {
  const shown = losses.slice(-width);
  const [low, high] = [Math.min(...shown), Math.max(...shown)];
  return shown.map((loss) => BARS[high > low ? Math.min(7, Math.floor((8 * (loss - low)) / (high - low))) : 0]).join("");
}

/** Runs to the end, as progress with the curve of the loss. */
async function toTheEnd<R>(events: AsyncGenerator<TrainEvent | DataEvent, R>, ctx: Context): Promise<R> {
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
