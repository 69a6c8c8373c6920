/** Generation: left-padded batches over a key-value cache, greedy or sampled, streamed, abortable at any token. */
import { ints, type NdArray, zeros } from "../../base/array.ts";
import { checkAbort, type Context, defaultContext } from "../../base/context.ts";
import { fail } from "../../base/fail.ts";
import { type Rng, rng } from "../../base/rng.ts";
import { type Program, program } from "../../onnx/program.ts";
import { trace } from "../../tensor/graph.ts";
import { carrySize } from "../adapter.ts";
import { Cache, selectRows } from "./cache.ts";
import { refuseUnsound, suspectIn } from "./finite.ts";
import { traced } from "../forward.ts";
import { feedsOf, frozen, type Model, type Precision } from "../model.ts";
import { newLayers, pastInputs } from "./prefix.ts";
import { beginnings, type ReadPrompts } from "./read.ts";
import { padded, type Rows } from "../../text/padding.ts";
import { sample, type Sampling } from "./sample.ts";

export interface GenerateOptions extends Sampling {
  /** New tokens at most (default 256); a row whose context is full ends before. */
  readonly maxTokens?: number;
  readonly seed?: number;
  /** What each row is drawn by, in place of the seed and its place: a row is then drawn alike alone and among others. */
  readonly draws?: readonly Rng[];
  /** Ids that end a row; they are part of its ids, not of its text. */
  readonly stopIds?: ReadonlySet<number>;
  /** Texts that end a row; the text is cut before them. */
  readonly stop?: readonly string[];
  /** Hold the weights in the session: about 1.5 times as fast after some seconds of preparation. Default: where enough tokens are asked for. */
  readonly freeze?: boolean;
  readonly dtype?: Precision;
  /** The prompts as they were read before: their last tokens alone are read. */
  readonly after?: ReadPrompts;
  readonly ctx?: Context;
}

/** One new token of one row; `text` is what it adds, complete characters only. */
export interface Step {
  readonly row: number;
  readonly id: number;
  readonly logprob: number;
  readonly text: string;
  readonly last: boolean;
}

export interface Generated {
  readonly ids: readonly number[];
  /** Natural log-probabilities of `ids` under the model (temperature 1). */
  readonly logprobs: readonly number[];
  readonly text: string;
  readonly stopped: "end" | "stop" | "length";
}

/** Answers prompts given as ids, all in one batch; row by row equal to asking alone. Refuses a model whose numbers are not finite. */
export async function generate(model: Model, prompts: readonly (readonly number[])[], options: GenerateOptions = {}): Promise<Generated[]> {
  const steps = stream(model, prompts, options);
  for (;;) {
    const { value, done } = await steps.next();
    if (done) return value;
  }
}

/** The same, token by token; returns what `generate` returns. */
export async function* stream(
  model: Model,
  prompts: readonly (readonly number[])[],
  options: GenerateOptions = {},
): AsyncGenerator<Step, Generated[]> {
  const { maxTokens = MAX_TOKENS, dtype = "float32", after, ctx = defaultContext() } = options;
  const rows = prompts.map((ids, row) => new Row(model, row, ids, options));
  for (const row of rows)
    if (maxTokens > 0 && row.prompt.length >= model.config.context)
      fail(
        "generate",
        `a prompt of ${row.prompt.length} tokens`,
        `fewer than the model's context of ${model.config.context}`,
        "Shorten the prompt.",
      );
  const isGreedy = !((options.temperature ?? 0) > 0);
  const step = stepProgram(model, dtype, isGreedy, options.freeze ?? maxTokens >= REPAYS);
  let live = rows.filter(() => maxTokens > 0);
  let { cache, tokens, positions, real } = after
    ? goingOn(after, model)
    : await begun(
        model,
        live.map((r) => r.prompt),
        step,
        dtype,
      );
  let prompt = real;
  let carries = model.adapters.map((adapter) => zeros(dtype, [live.length, carrySize(adapter)]));
  let isChecked = false;
  while (live.length > 0) {
    checkAbort(ctx, "generate");
    const own = carries.map((carry, i) => [`carry.${i}`, carry] as const);
    const fed = new Map([...cache.feeds(), ...own, ["tokens", tokens], ["positions", positions], ["real", real], ["prompt", prompt]]);
    const out = await step.run(feedsOf(model, fed));
    carries = carries.map((carry, i) => out[`carry.${i}`] ?? carry);
    cache.append(layersOf(out, model), positions, real);
    const chosen = live.map((row, i) => (row.isOpen ? (isGreedy ? greedy(out, i) : drawn(out, i, options, row.random)) : undefined));
    const logprobs = chosen.map((choice) => choice?.logprob);
    const suspect = suspectIn(logprobs, model.config.vocab);
    if (suspect >= 0 && !(isChecked && Number.isFinite(logprobs[suspect]))) {
      await refuseUnsound(model, live[suspect]!.read, logprobs[suspect]!, dtype);
      isChecked = true; // every token is as likely as another, and the model is sound: that is told once
    }
    yield* live.flatMap((row, i) => (chosen[i] ? [row.take(chosen[i])] : []));
    const kept = live.flatMap((row, i) => (row.isOpen ? [i] : []));
    // dropping finished rows copies the cache: worth it once they are half of the batch
    if (kept.length <= live.length / 2) {
      if (kept.length > 0) cache = cache.select(kept, model.config);
      carries = carries.map((carry) => selectRows(carry, kept));
      live = kept.map((i) => live[i]!);
    }
    tokens = ints(
      live.map((row) => row.next),
      [live.length, 1],
    );
    positions = ints(
      live.map((row) => row.prompt.length + row.ids.length - 1),
      [live.length, 1],
    );
    real = { dtype: "bool", shape: [live.length, 1], data: new Uint8Array(live.length).fill(1) };
    prompt = zeros("bool", real.shape);
    await new Promise(setImmediate); // a run holds the thread: let signals and readers in
  }
  return rows.map((row) => row.result());
}

/** What is left to read of prompts, and a cache of what they have in common, which is read once. */
async function begun(
  model: Model,
  prompts: readonly (readonly number[])[],
  step: Program,
  dtype: Precision,
): Promise<Rows & { readonly cache: Cache }> {
  const { pad } = model.tokenizer;
  // an adapter decides on a whole question
  if (model.adapters.length > 0) return { cache: new Cache(model.config, prompts.length, dtype), ...padded(prompts, pad, "left") };
  const { cache, starts } = await beginnings(model, prompts, dtype, async (own, read) => {
    const out = await step.run(feedsOf(model, new Map([...own.feeds(), ...Object.entries(read)])));
    own.append(layersOf(out, model), read.positions, read.real);
    return own;
  });
  const rest = prompts.map((ids, b) => ids.slice(starts[b]));
  return { cache, ...padded(rest, pad, "left", { starts }) };
}

/** A cache of prompts that were read before, and their last tokens. */
function goingOn({ prompts, cache, starts }: ReadPrompts, { tokenizer, config }: Model): Rows & { readonly cache: Cache } {
  const last = padded(
    prompts.map((ids) => ids.slice(-1)),
    tokenizer.pad,
    "left",
    { starts },
  );
  return { cache: cache.select([...prompts.keys()], config), ...last };
}

const layersOf = (out: Readonly<Record<string, NdArray>>, model: Model): NdArray[] =>
  Array.from({ length: 2 * model.config.layers }, (_, i) => out[`new.${i}`]!);

const MAX_TOKENS = 256;
/** New tokens from which holding the weights in the session repays its creation. */
const REPAYS = 512;

/** tokens [B, T] after a past of P positions → the next token's choice and the new keys and values. */
function stepProgram(model: Model, dtype: Precision, isGreedy: boolean, freeze: boolean): Program {
  const graph = trace((t) => {
    const lm = traced(model, t, dtype);
    const pass = lm.forward(t.input("tokens", "int64", ["B", "T"]), {
      positions: t.input("positions", "int64", ["B", "T"]),
      real: t.input("real", "bool", ["B", "T"]),
      prompt: t.input("prompt", "bool", ["B", "T"]),
      carries: model.adapters.map((adapter, i) => t.input(`carry.${i}`, dtype, ["B", carrySize(adapter)])),
      past: pastInputs(t, model, dtype),
    });
    const last = pass.hidden.slice(1, "T-1", "T"); // left padding: every row ends in its last token
    const logprobs = lm.logits(lm.normed(last)).logSoftmax(); // [B, V]
    const id = logprobs.argmax();
    const choice = isGreedy ? { id, logprob: logprobs.pick(id) } : { logprobs };
    const carries = Object.entries(pass.carries).map(([i, carry]) => [`carry.${i}`, carry] as const);
    return { ...choice, ...Object.fromEntries(carries), ...newLayers(pass) };
  });
  return program(model.sessions, graph, freeze && dtype === "float32" ? { ...frozen(model), spin: true } : { spin: true });
}

type Choice = { id: number; logprob: number };

const greedy = (out: Record<string, NdArray>, i: number): Choice => ({
  id: Number(out["id"]!.data[i]),
  logprob: Number(out["logprob"]!.data[i]),
});

function drawn(out: Record<string, NdArray>, i: number, sampling: Sampling, random: Rng): Choice {
  const all = out["logprobs"]!;
  const V = all.shape[1]!;
  const row = (all.data as Float32Array).subarray(i * V, (i + 1) * V);
  if (Number.isNaN(row[0])) return { id: 0, logprob: NaN }; // where one is no number none is, and nothing can be drawn
  const id = sample(row, sampling, random);
  return { id, logprob: row[id]! };
}

/** One row's progress. */
class Row {
  readonly prompt: readonly number[];
  readonly random: Rng;
  readonly ids: number[] = [];
  private readonly row: number;
  private readonly options: GenerateOptions;
  /** New tokens at most: as asked, and as the context has room for. */
  private readonly most: number;
  private readonly logprobs: number[] = [];
  private readonly decoder: { push(id: number): string; end(): string };
  private text = "";
  private given = 0;
  private stopped: Generated["stopped"] | undefined;

  constructor(model: Model, row: number, prompt: readonly number[], options: GenerateOptions) {
    if (prompt.length === 0) fail("generate", "an empty prompt", "at least one token", "Give a question.");
    [this.row, this.prompt, this.options] = [row, prompt, options];
    this.most = Math.min(options.maxTokens ?? MAX_TOKENS, model.config.context - prompt.length);
    this.random = options.draws?.[row] ?? rng(options.seed ?? 0).split(row);
    this.decoder = model.tokenizer.decoder();
  }

  get isOpen(): boolean {
    return this.stopped === undefined;
  }
  /** The token to feed next. */
  get next(): number {
    return this.ids.at(-1)!;
  }
  /** Everything that was read before the next choice. */
  get read(): readonly number[] {
    return [...this.prompt, ...this.ids];
  }

  /** Takes the next token of an open row. */
  take({ id, logprob }: Choice): Step {
    this.ids.push(id);
    this.logprobs.push(logprob);
    if (this.options.stopIds?.has(id)) this.stopped = "end";
    else {
      this.text += this.decoder.push(id);
      if (this.ids.length >= this.most) this.stopped = "length";
    }
    if (this.stopped) this.text += this.decoder.end();
    const cuts = (this.options.stop ?? []).map((s) => this.text.indexOf(s)).filter((at) => at >= 0);
    if (cuts.length > 0) {
      this.text = this.text.slice(0, Math.min(...cuts));
      this.stopped = "stop";
    }
    // what may still become a stop text is held back
    const held = this.stopped ? 0 : Math.max(0, ...(this.options.stop ?? []).map((s) => overlap(this.text, s)));
    const upTo = Math.max(this.given, this.text.length - held);
    const text = this.text.slice(this.given, upTo);
    this.given = upTo;
    return { row: this.row, id, logprob, text, last: !this.isOpen };
  }

  result(): Generated {
    return { ids: this.ids, logprobs: this.logprobs, text: this.text, stopped: this.stopped ?? "length" };
  }
}

/** The length of the longest end of `text` that begins `stop`. */
function overlap(text: string, stop: string): number {
  for (let n = Math.min(text.length, stop.length - 1); n > 0; n--) if (text.endsWith(stop.slice(0, n))) return n;
  return 0;
}
