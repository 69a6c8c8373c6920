/** Asks a model once: its answers, and its losses on given answers, as named fields of every sample, window by window. */
import { mean } from "../base/array.ts";
import { checkAbort, type Context, defaultContext } from "../base/context.ts";
import { fail } from "../base/fail.ts";
import type { ChatPrompt } from "../text/chat.ts";
import { generate, type Generated } from "../model/decode/generate.ts";
import { checkContext, type Model, type Precision } from "../model/model.ts";
import { type AskAs, endOf, promptOf, type RowOptions, stopsOf, withTarget } from "../model/prompt.ts";
import { readPrompts, type ReadPrompts } from "../model/decode/read.ts";
import { divergences, told, type Told, type ToScore } from "../model/decode/score.ts";
import type { Field, Fields, SampleRecord } from "./metric.ts";

/** A question, its answers in the data, and its group in the suite. */
export interface Sample {
  readonly id: string;
  readonly group: string;
  readonly question: string;
  readonly answer: string;
  /** Other answers that are as right. */
  readonly aliases?: readonly string[];
  /** The right answer, worded like the false ones; by default the answer. */
  readonly restated?: string;
  readonly wrong?: readonly string[];
  /** The target of an edit. */
  readonly target?: string;
}

export interface MeasureOptions extends AskAs {
  /** Maximal number of new tokens of an answer (default 200). */
  readonly maxTokens?: number;
  /** Samples per window, asked together (default 32). Windows follow the samples' order, so that a resumed run gives the same. */
  readonly batch?: number;
  readonly dtype?: Precision;
  /** The reference model of `divergence`. */
  readonly against?: Model;
  readonly ctx?: Context;
}

/** Defaults: new tokens, samples per window; then the number of generated tokens from which a session with frozen weights is faster. */
export const [MAX_TOKENS, BATCH] = [200, 32];
const REPAYS = 128;

/** The kind of token scores that each field needs. */
const OF_ANSWER: Partial<Record<Field, keyof Told>> = {
  answerLoss: "logprobs",
  answerTokens: "logprobs",
  answerLogprobs: "logprobs",
  answerRanks: "ranks",
  topTokens: "tops",
  logprobMeans: "means",
  logprobVariances: "variances",
};
/** Fields made from losses of other texts instead of the answer. */
const OF_TEXTS = ["paraphraseLoss", "wrongLosses", "targetLoss"] as const;
/** Fields from the data. */
const GIVEN = ["group", "question", "answer", "target"] as const;

/** Fields that can be measured from a model, the last one with a second model; other fields come only from logs. */
const MEASURED: readonly Field[] = [
  ...GIVEN,
  "generation",
  "generationRanks",
  ...(Object.keys(OF_ANSWER) as Field[]),
  ...OF_TEXTS,
  "leadingPeak",
  "divergence",
];
/** Fields that need no answer. */
const UNANSWERED: readonly Field[] = ["group", "question", "target", "generation", "wrongLosses", "targetLoss"];

/** Whether a field can be measured from a model, with or without a second model. */
export const isMeasured = (field: Field, isAgainst: boolean): boolean => MEASURED.includes(field) && (isAgainst || field !== "divergence");

/**
 * Refuses samples if a wanted field cannot be measured: an answer is missing but a field needs it, or only some rows of a group have false
 * answers or a target, so that no metric could compute one number.
 */
export function checkSamples(samples: readonly Sample[], wanted: readonly Field[]): void {
  const field = wanted.find((name) => !UNANSWERED.includes(name));
  const empty = field && samples.find(({ answer }) => answer.trim() === "");
  if (empty)
    fail(
      "measure",
      `"${empty.id}" has no answer`,
      `an answer, for ${field}`,
      "Give each row its answer, or exclude the row with a split or --limit.",
    );
  const first = new Map<string, Sample>();
  for (const sample of samples) {
    const other = first.get(sample.group) ?? sample;
    first.set(sample.group, other);
    for (const [made, of, has] of [
      ["wrongLosses", "false answers", ({ wrong = [] }: Sample) => wrong.length > 0],
      ["targetLoss", "a target", ({ target }: Sample) => target !== undefined],
    ] as const)
      if (wanted.includes(made) && has(sample) !== has(other))
        fail(
          "measure",
          `in the group ${sample.group}, "${(has(sample) ? sample : other).id}" has ${of} and "${(has(sample) ? other : sample).id}" has none`,
          "all rows of a group, or none",
          "Divide them into two runs.",
        );
  }
}

/**
 * The wanted fields of samples from the `from`-th on, one window at a time. If a sample lacks the data for a field, it does not get the field.
 * Refuses a field that cannot be measured, and what {@link checkSamples} refuses.
 */
export async function* measure(
  model: Model,
  samples: readonly Sample[],
  wanted: readonly Field[],
  options: MeasureOptions & { readonly from?: number } = {},
): AsyncGenerator<SampleRecord[], void> {
  const { from = 0, batch = BATCH, maxTokens = MAX_TOKENS, against, ctx = defaultContext() } = options;
  const strange = wanted.find((field) => !isMeasured(field, against !== undefined));
  if (strange)
    fail(
      "measure",
      `the field "${strange}"`,
      `one of ${MEASURED.join(", ")}`,
      strange === "divergence" ? "It needs a second model: against." : "It comes only from logs of other tools.",
    );
  checkSamples(samples, wanted);
  const freeze = Math.ceil(samples.length / batch) * maxTokens >= REPAYS;
  for (let at = from; at < samples.length; at += batch) {
    checkAbort(ctx, "measure");
    const window = samples.slice(at, at + batch);
    yield await new Window(model, window, wanted, { ...options, maxTokens, ctx, freeze }).records();
    ctx.log({ kind: "progress", stage: "asking", done: at + window.length, total: samples.length, unit: "questions" });
  }
}

/** One window of samples, asked together. */
class Window {
  private readonly model: Model;
  private readonly samples: readonly Sample[];
  private readonly wanted: ReadonlySet<Field>;
  private readonly options: MeasureOptions & { readonly maxTokens: number; readonly freeze: boolean; readonly ctx: Context };
  private prompts: readonly ChatPrompt[] = [];
  /** The prompts, computed once for everything that follows them. */
  private read: ReadPrompts | undefined;

  constructor(model: Model, samples: readonly Sample[], wanted: readonly Field[], options: Window["options"]) {
    [this.model, this.samples, this.wanted, this.options] = [model, samples, new Set(wanted), options];
  }

  async records(): Promise<SampleRecord[]> {
    this.prompts = await Promise.all(this.samples.map(({ question }) => promptOf(this.model, question, this.options)));
    // an adapter decides on a whole question, so each pass must read it
    const ids = this.prompts.map((prompt) => prompt.ids);
    ids.forEach((own, i) =>
      checkContext(this.model, "measure", `the question of "${this.samples[i]!.id}" with a token of an answer`, own.length + 1),
    );
    this.read = this.model.adapters.length > 0 ? undefined : await readPrompts(this.model, ids, this.running);
    const said = await this.generations();
    const parts = [
      said.map(({ text }) => ({ generation: text })),
      await this.generationRanks(said),
      await this.answers(),
      await this.texts(),
      await this.divergences(),
    ];
    return this.samples.map((sample, i) => {
      const found: Partial<Fields> = Object.assign({}, ...parts.map((part) => part[i]));
      const own = (Object.entries(found) as [Field, unknown][]).filter(([name]) => this.wanted.has(name));
      return { id: sample.id, ...given(sample), ...Object.fromEntries(own) };
    });
  }

  private get running(): Pick<MeasureOptions, "dtype" | "ctx"> {
    const { dtype, ctx } = this.options;
    return { ctx, ...(dtype && { dtype }) };
  }

  /** Not through ask/: what is generated goes on from prompts that were read once, and so does everything that is scored behind them. */
  private async generations(): Promise<Generated[]> {
    if (!this.wanted.has("generation") && !this.wanted.has("generationRanks")) return [];
    const { maxTokens, freeze } = this.options;
    const prompts = this.prompts.map(({ ids }) => ids);
    const after = this.read && { after: this.read };
    return generate(this.model, prompts, { maxTokens, freeze, stopIds: stopsOf(this.model, this.options), ...after, ...this.running });
  }

  /** A text instead of the answer, as tokens with its end. */
  private row(i: number, text: string): ToScore {
    const row = rowOf(this.model, this.prompts[i]!, text, { ...this.options, end: true });
    checkContext(this.model, "measure", `"${this.samples[i]!.id}" with an answer`, row.ids.length);
    return row;
  }

  /** Mean divergence over the answer's tokens; each model has its own prompt, because an edit may add text before a question. */
  private async divergences(): Promise<Partial<Fields>[]> {
    const { against } = this.options;
    if (!against || !this.wanted.has("divergence")) return [];
    const end = { ...this.options, end: false };
    const theirs = await Promise.all(this.samples.map(({ question }) => promptOf(against, question, this.options)));
    const found = await divergences(
      this.model,
      this.samples.map(({ answer }, i) => rowOf(this.model, this.prompts[i]!, answer, end)),
      against,
      this.samples.map(({ answer }, i) => rowOf(against, theirs[i]!, answer, end)),
      this.running,
    );
    return found.map((own) => ({ divergence: mean(own) }));
  }

  /** Token scores of rows that begin with the prompts of the samples `of`. */
  private told<T extends keyof Told>(rows: readonly ToScore[], of: readonly number[], asked: readonly T[]): Promise<Record<T, number[]>[]> {
    const after = this.read && { after: { read: this.read, of } };
    return told(this.model, rows, asked, { ...this.running, ...after });
  }

  private async answers(): Promise<Partial<Fields>[]> {
    const asked = [...new Set([...this.wanted].flatMap((field) => OF_ANSWER[field] ?? []))];
    const isLed = this.wanted.has("leadingPeak");
    if (asked.length === 0 && !isLed) return [];
    const rows = this.samples.map(({ answer }, i) => this.row(i, answer));
    const ends = endOf(this.model, this.options).length;
    const own = asked.length > 0 ? await this.told(rows, [...rows.keys()], asked) : [];
    // over the first positions of the sequence, as many as the answer has tokens
    const led = isLed
      ? await told(
          this.model,
          rows.map(({ ids, from }) => ({ ids: ids.slice(0, ids.length - from + 1), from: 1 })),
          ["peaks"],
          this.running,
        )
      : [];
    return rows.map((_, i) => ({ ...(own[i] && ofAnswer(own[i], ends)), ...(led[i] && { leadingPeak: mean(led[i].peaks) }) }));
  }

  /** Ranks of the answer's tokens, tokenised alone, at the steps of the model's generation; after its end, the last token repeats. */
  private async generationRanks(said: readonly Generated[]): Promise<Partial<Fields>[]> {
    if (!this.wanted.has("generationRanks")) return [];
    const rows = this.samples.map(({ answer }, i): ToScore => {
      const labels = this.model.tokenizer.encode(answer, { special: false }).ids;
      const { ids } = this.prompts[i]!;
      const own = said[i]!.ids;
      const fed = labels.map((_, j) => own[j] ?? own.at(-1)!);
      checkContext(this.model, "measure", `"${this.samples[i]!.id}" with an answer`, ids.length + fed.length);
      return { ids: [...ids, ...fed], from: ids.length, labels };
    });
    return (await this.told(rows, [...rows.keys()], ["ranks"])).map(({ ranks }) => ({ generationRanks: ranks }));
  }

  /** Mean losses per token of texts instead of the answer; all texts of the window are scored together, because they share questions. */
  private async texts(): Promise<Partial<Fields>[]> {
    const texts = this.samples.map(({ answer, restated = answer, wrong = [], target }) => ({
      paraphraseLoss: this.wanted.has("paraphraseLoss") && wrong.length > 0 ? [restated] : [],
      wrongLosses: this.wanted.has("wrongLosses") ? wrong : [],
      targetLoss: this.wanted.has("targetLoss") && target !== undefined ? [target] : [],
    }));
    const of = texts.flatMap((own, i) => OF_TEXTS.flatMap((field) => own[field].map(() => i)));
    const rows = texts.flatMap((own, i) => OF_TEXTS.flatMap((field) => own[field].map((text) => this.row(i, text))));
    if (rows.length === 0) return [];
    const losses = (await this.told(rows, of, ["logprobs"])).map(({ logprobs }) => -mean(logprobs));
    let at = 0;
    const next = (count: number): number[] => losses.slice(at, (at += count));
    return texts.map((own) => {
      const [[paraphraseLoss], wrongLosses, [targetLoss]] = OF_TEXTS.map((field) => next(own[field].length)) as [
        number[],
        number[],
        number[],
      ];
      return {
        ...(paraphraseLoss !== undefined && { paraphraseLoss }),
        ...(wrongLosses.length > 0 && { wrongLosses }),
        ...(targetLoss !== undefined && { targetLoss }),
      };
    });
  }
}

/** A prompt and a text to score. */
function rowOf(model: Model, prompt: ChatPrompt, text: string, options: RowOptions): ToScore {
  const { ids, first } = withTarget(model, prompt, text, options);
  return { ids, from: first };
}

/** The fields of every record. */
const given = ({ group, question, answer, aliases, target }: Sample): Partial<Fields> => ({
  group,
  question,
  answer,
  ...(aliases !== undefined && { aliases }),
  ...(target !== undefined && { target }),
});

/** The fields from an answer's tokens. Ranks and most likely tokens are of the answer only; the other fields include its end. */
function ofAnswer({ logprobs, ranks, tops, means, variances }: Partial<Record<keyof Told, number[]>>, ends: number): Partial<Fields> {
  return {
    ...(logprobs && { answerLogprobs: logprobs, answerLoss: -mean(logprobs), answerTokens: logprobs.length }),
    ...(ranks && { answerRanks: ranks.slice(0, ranks.length - ends) }),
    ...(tops && { topTokens: tops.slice(0, tops.length - ends) }),
    ...(means && { logprobMeans: means }),
    ...(variances && { logprobVariances: variances }),
  };
}
