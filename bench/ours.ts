/** Our side of every race: the same work as bench/peers, through the project's own rooms. */
import { ints } from "../src/base/array.ts";
import { type Context, defaultContext } from "../src/base/context.ts";
import { resolveParams } from "../src/base/schema.ts";
import { type Delta, deltasOf } from "../src/edit/edit.ts";
import { measure, type Sample } from "../src/eval/measure.ts";
import type { SampleRecord } from "../src/eval/metric.ts";
import { hitRatio } from "../src/eval/metrics/hit-ratio.ts";
import { mrr } from "../src/eval/metrics/mrr.ts";
import { probability } from "../src/eval/metrics/probability.ts";
import { rouge1 } from "../src/eval/metrics/rouge1.ts";
import { rougel } from "../src/eval/metrics/rougel.ts";
import type { TokenizedRequest } from "../src/locate/tokenized-requests.ts";
import { findValues } from "../src/locate/values.ts";
import { rome } from "../src/methods/rome/rome.ts";
import { chatPrompt } from "../src/text/chat.ts";
import { traced } from "../src/model/forward.ts";
import { generate } from "../src/model/decode/generate.ts";
import { load } from "../src/model/load.ts";
import { feedsOf, type Model } from "../src/model/model.ts";
import { endOf } from "../src/model/prompt.ts";
import { program } from "../src/onnx/program.ts";
import { trace } from "../src/tensor/graph.ts";
import { type Recipe, train, type TrainEvent, type Trained } from "../src/train/loop.ts";
import { editsOf, type OursEdits } from "./ours-edits.ts";
import type { Took } from "./race.ts";
import { CONTEXTS, type RomeWork, templatesOf, type Wanted, type Words } from "./work.ts";

type Rows = readonly (readonly number[])[];

/** What a step trains: every weight, factors of rank 8 beside the linear maps, or the top third of the blocks. */
export type TrainingKind = "full" | "lora" | "top";

export interface Ours {
  readonly words: Words;
  /** Greedy tokens for every prompt, exactly `newTokens` each, with the weights in the session or fed to it; answers `ids`. */
  decode(prompts: Rows, newTokens: number, freeze: boolean): Promise<Took>;
  /** Logits at every position; answers `argmax` of each row's last position. */
  forward(ids: Rows): Promise<Took>;
  /**
   * What the model says to questions and makes of their answers, `batch` at a time; answers `said`, the mean `loss` and the sum of `ranks`.
   */
  evaluate(samples: readonly Sample[], batch: number, newTokens: number): Promise<Took>;
  /** One AdamW step on the last `answer` tokens of each row, which stays done; answers `loss`. */
  train(ids: Rows, answer: number, kind: TrainingKind): Promise<Took>;
  /** The second value-optimisation step of an edit; answers `loss`. */
  romeStep(work: RomeWork): Promise<Took>;
  /** A whole edit of a fact at a layer; answers `norm` of the weight's change. */
  romeEdit(fact: Wanted, layer: number, evaluations: number): Promise<Took>;
  readonly edits: OursEdits;
  close(): Promise<void>;
}

/** Loads the model at `path` on `threads` threads. */
export async function loadOurs(path: string, threads: number): Promise<Ours> {
  const ctx = defaultContext({ threads });
  const model = await load(path, ctx, { purpose: "train" });
  const edits = editsOf(model, ctx);
  return {
    words: wordsOf(model),
    decode: (prompts, maxTokens, freeze) =>
      timed(async () => ({ ids: (await generate(model, prompts, { maxTokens, freeze, ctx })).map((row) => row.ids) })),
    forward: forwardOf(model),
    evaluate: (samples, batch, newTokens) => timed(() => evaluate(model, ctx, samples, { batch, maxTokens: newTokens })),
    train: trainerOf(model, ctx),
    romeStep: (work) => romeStep(model, ctx, work),
    romeEdit: (fact, layer, evaluations) => timed(() => romeEdit(model, ctx, fact, layer, evaluations)),
    edits,
    close: () => {
      edits.close();
      return model.release();
    },
  };
}

function wordsOf(model: Model): Words {
  const { tokenizer, chatTemplate: template } = model;
  return {
    ends: endOf(model),
    decode: (ids) => tokenizer.decode(ids),
    encode: (text) => tokenizer.encode(text, { special: false }),
    chat: (user) => (template === undefined ? user : chatPrompt(user, { template, tokenizer }).text),
  };
}

/** Seconds that the work takes, with what it computed. */
async function timed(work: () => Promise<Readonly<Record<string, unknown>>>): Promise<Took> {
  const start = performance.now();
  const computed = await work();
  return { ...computed, seconds: (performance.now() - start) / 1e3 };
}

/** The whole model as one graph with weights as inputs; all logits are fetched. */
function forwardOf(model: Model): Ours["forward"] {
  const graph = trace((t) => {
    const lm = traced(model, t);
    const { hidden } = lm.forward(t.input("tokens", "int64", ["B", "T"]), { positions: t.input("positions", "int64", ["B", "T"]) });
    return { logits: lm.logits(lm.normed(hidden)) }; // [B·T, V]
  });
  const pass = program(model.sessions, graph, { spin: true });
  return (ids) =>
    timed(async () => {
      const [B, T] = [ids.length, ids[0]!.length];
      const { logits } = await pass.run(
        feedsOf(model, {
          tokens: ints(ids.flat(), [B, T]),
          positions: ints(
            ids.flatMap((row) => row.map((_, i) => i)),
            [B, T],
          ),
        }),
      );
      const values = logits!.data as Float32Array;
      const V = model.config.vocab;
      return { argmax: ids.map((_, i) => argmax(values.subarray(((i + 1) * T - 1) * V, (i + 1) * T * V))) };
    });
}

function argmax(values: Float32Array): number {
  let best = 0;
  for (let i = 1; i < values.length; i++) if (values[i]! > values[best]!) best = i;
  return best;
}

/** torch.optim.AdamW's defaults and the peer's rate; one pass a step. */
const RECIPE: Recipe = {
  steps: 1_000_000,
  batch: 4,
  budget: Infinity,
  together: 1,
  optimizer: { name: "adamw", betas: [0.9, 0.999], eps: 1e-8, decay: 0.01 },
  schedule: { lr: 1e-5, warmup: 0, shape: "constant", floor: 0 },
  seed: 0,
  executor: "graph",
};

/** What a recipe adds to train so. */
function kindOf(kind: TrainingKind, { config, weights }: Model): Partial<Recipe> {
  if (kind === "full") return {};
  if (kind === "lora") return { lora: { rank: 8, alpha: 32, dropout: 0, targets: [] } };
  const from = config.layers - Math.round(config.layers / 3);
  return { only: [...weights.keys()].filter((name) => Number(/^blocks\.(\d+)\./.exec(name)?.[1] ?? -1) >= from) };
}

/** Fields of an evaluation, and the metrics made of them. */
async function evaluate(
  model: Model,
  ctx: Context,
  samples: readonly Sample[],
  how: { readonly batch: number; readonly maxTokens: number },
): Promise<Readonly<Record<string, unknown>>> {
  const rows: SampleRecord[] = [];
  const fields = ["generation", "answerLoss", "answerLogprobs", "answerRanks"] as const;
  for await (const window of measure(model, samples, fields, { ...how, ctx })) rows.push(...window);
  for (const metric of [rouge1, rougel, probability, mrr, hitRatio]) metric.score({ rows, scores: {} });
  const logprobs = rows.flatMap((row) => row.answerLogprobs!);
  return {
    said: rows.map((row) => row.generation),
    loss: -logprobs.reduce((a, b) => a + b, 0) / logprobs.length,
    ranks: rows.flatMap((row) => row.answerRanks!).reduce((a, b) => a + b, 0),
  };
}

/** Training that goes on from turn to turn; the first turn also prepares it, untimed. */
function trainerOf(model: Model, ctx: Context): Ours["train"] {
  let steps: AsyncGenerator<TrainEvent, Trained> | undefined;
  return async (ids, answer, kind) => {
    steps ??= train(
      model,
      ids.map((row, i) => ({ id: `${i}`, ids: row, labels: row.map((_, at) => at).slice(Math.max(1, row.length - answer)) })),
      { ...RECIPE, ...kindOf(kind, model), batch: ids.length },
      ctx,
    );
    const { value } = await steps.next();
    if (!value || !("kind" in value) || value.kind !== "step") throw new Error("bench: the trainer made no step");
    return { seconds: value.ms / 1e3, loss: value.loss };
  };
}

/** From one evaluation to the next: Adam's update, the loss and its gradient. What is constant is computed before the first, untimed. */
async function romeStep(model: Model, ctx: Context, work: RomeWork): Promise<Took> {
  const rows = work.lookup.map((subject, i): TokenizedRequest => {
    const row = work.rows[i]!;
    const isKl = i === work.rows.length - 1;
    return isKl
      ? { text: "", ids: row, subject, first: row.length, width: 1 }
      : { text: "", ids: [...row, work.target.at(-1)!], subject, first: row.length + 1 - work.target.length, width: 1 };
  });
  const at: number[] = [];
  const [found] = await findValues(model, [{ rows: rows.slice(0, -1), klRow: rows.at(-1)! }], {
    dtype: "float32",
    executor: "graph",
    layer: work.layer,
    site: model.arch.memory.value,
    steps: 2,
    lr: 0.5,
    decay: 1e-3,
    clamp: 4,
    kl: 0.0625,
    ctx,
    done: () => at.push(performance.now()) > 2,
  });
  return { seconds: (at[1]! - at[0]!) / 1e3, loss: found!.evaluations[1]!.total };
}

/** The method itself, set to EasyEdit's defaults: no second moments, every row alike, all evaluations. */
async function romeEdit(model: Model, ctx: Context, fact: Wanted, layer: number, steps: number): Promise<{ norm: number }> {
  const draft = await rome.edit({
    model,
    ctx,
    retain: [],
    format: "chat",
    seed: 0,
    running: { dtype: "float32", executor: "graph" },
    requests: [{ ...fact, answer: "", paraphrases: [], neighbours: [], wrong: [] }],
    params: resolveParams("rome", rome.params, { layer, steps, lr: 0.5, enough: 0 }, model.config),
    compat: new Set(["identity-covariance", "mean-key", "even-rows", "open-end"]),
    templates: templatesOf(CONTEXTS),
  });
  const [delta] = Object.values(deltasOf(draft)) as [Delta & { outer: unknown }];
  const [left, right] = delta.outer as [{ data: Float32Array }, { data: Float32Array }];
  return { norm: Math.hypot(...left.data) * Math.hypot(...right.data) };
}
