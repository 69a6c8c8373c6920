/** Our side of every race: the same work as bench/peers, through the project's own rooms. */
import { ints } from "../src/base/array.ts";
import { defaultContext } from "../src/base/context.ts";
import { chatPrompt } from "../src/model/chat.ts";
import { traced } from "../src/model/forward.ts";
import { generate } from "../src/model/generate.ts";
import { load } from "../src/model/load.ts";
import { feedsOf, type Model } from "../src/model/model.ts";
import { program } from "../src/onnx/program.ts";
import { trace } from "../src/tensor/graph.ts";
import type { Took } from "./race.ts";
import type { RomeWork, Words } from "./work.ts";

type Rows = readonly (readonly number[])[];

export interface Ours {
  readonly words: Words;
  /** Greedy tokens for every prompt, exactly `newTokens` each, with the weights in the session or fed to it; answers `ids`. */
  decode(prompts: Rows, newTokens: number, freeze: boolean): Promise<Took>;
  /** Logits at every position; answers `argmax` of each row's last position. */
  forward(ids: Rows): Promise<Took>;
  /** One full-parameter AdamW step that stays done; answers `loss`. */
  train(ids: Rows): Promise<Took>;
  /** The second value-optimisation step of an edit; answers `loss`. */
  romeStep(work: RomeWork): Promise<Took>;
  /** A whole edit; answers `norm` of the weight's change. */
  romeEdit(work: RomeWork, evaluations: number): Promise<Took>;
  close(): Promise<void>;
}

/** Loads the model at `path` on `threads` threads. */
export async function loadOurs(path: string, threads: number): Promise<Ours> {
  const ctx = defaultContext({ threads });
  const model = await load(path, ctx, { purpose: "train" });
  return {
    words: wordsOf(model),
    decode: (prompts, maxTokens, freeze) => timed(async () => ({ ids: (await generate(model, prompts, { maxTokens, freeze, ctx })).map((row) => row.ids) })),
    forward: forwardOf(model),
    train: absent("train"),
    romeStep: absent("rome-step"),
    romeEdit: absent("rome-edit"),
    close: () => model.release(),
  };
}

function wordsOf({ tokenizer, chatTemplate: template }: Model): Words {
  return {
    encode: (text) => tokenizer.encode(text, { special: false }),
    chat: (user) => (template === undefined ? user : chatPrompt(user, { template, tokenizer }).text),
  };
}

/** A side that the library cannot do. */
const absent = (job: string) => (): Promise<Took> => Promise.reject(new Error(`bench: our side of ${job} is not there`));

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
  return (ids) => timed(async () => {
    const [B, T] = [ids.length, ids[0]!.length];
    const { logits } = await pass.run(feedsOf(model, {
      tokens: ints(ids.flat(), [B, T]), positions: ints(ids.flatMap((row) => row.map((_, i) => i)), [B, T]),
    }));
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
