/** Asking a model once: what it says, and what it makes of given answers, as named fields of every sample, window by window. */
import { mean } from "../base/array.ts";
import { checkAbort, type Context, defaultContext } from "../base/context.ts";
import { fail } from "../base/fail.ts";
import type { ChatPrompt } from "../text/chat.ts";
import { generate, type Generated } from "../model/decode/generate.ts";
import type { Model, Precision } from "../model/model.ts";
import { type AskAs, endOf, promptOf, type RowOptions, stopsOf, withTarget } from "../model/prompt.ts";
import { readPrompts, type ReadPrompts } from "../model/decode/read.ts";
import { divergences, told, type Told, type ToScore } from "../model/decode/score.ts";
import type { Field, Fields, SampleRecord } from "./metric.ts";

/** A question, what the data knows of its answer, and the part of a suite that it belongs to. */
export interface Sample {
  readonly id: string;
  readonly group: string;
  readonly question: string;
  readonly answer: string;
  /** The answer in other words, beside which the false ones are held; without one, the answer. */
  readonly restated?: string;
  readonly wrong?: readonly string[];
  /** What an edit wants said instead. */
  readonly target?: string;
}

export interface MeasureOptions extends AskAs {
  /** New tokens at most of what the model says (default 200). */
  readonly maxTokens?: number;
  /** Samples that are asked together (default 32). Windows are cut in the samples' order, so that a run that goes on later says the same. */
  readonly batch?: number;
  readonly dtype?: Precision;
  /** The model that `divergence` is from. */
  readonly against?: Model;
  readonly ctx?: Context;
}

/** New tokens, and samples a window, by default; then tokens generated one after the other from which it repays to hold the weights in the session. */
export const [MAX_TOKENS, BATCH] = [200, 32];
const REPAYS = 128;

/** What is told of an answer's tokens for each field that is made of them. */
const OF_ANSWER: Partial<Record<Field, keyof Told>> = {
  answerLoss: "logprobs",
  answerTokens: "logprobs",
  answerLogprobs: "logprobs",
  answerRanks: "ranks",
  topTokens: "tops",
  logprobMeans: "means",
  logprobVariances: "variances",
};
/** Fields made of the losses of texts in the answer's place. */
const OF_TEXTS = ["paraphraseLoss", "wrongLosses", "targetLoss"] as const;
/** What the data brings along. */
const GIVEN = ["group", "question", "answer", "target"] as const;

/** Fields that a model can be asked for, the last beside another model; others come with logs made elsewhere. */
const MEASURED: readonly Field[] = [
  ...GIVEN,
  "generation",
  "generationRanks",
  ...(Object.keys(OF_ANSWER) as Field[]),
  ...OF_TEXTS,
  "leadingPeak",
  "divergence",
];
/** Fields for which an answer need not be known. */
const UNANSWERED: readonly Field[] = ["group", "question", "target", "generation", "wrongLosses", "targetLoss"];

/** Whether a model can be asked for a field, where there is another to compare it with or not. */
export const isMeasured = (field: Field, isAgainst: boolean): boolean => MEASURED.includes(field) && (isAgainst || field !== "divergence");

/**
 * Refuses samples of which the wanted fields cannot all be had: an answer that nobody gave, where anything is made of it; false answers or
 * a target that some rows of a group have and others lack, of which no metric could make one number.
 */
export function checkSamples(samples: readonly Sample[], wanted: readonly Field[]): void {
  const field = wanted.find((name) => !UNANSWERED.includes(name));
  const empty = field && samples.find(({ answer }) => answer.trim() === "");
  if (empty)
    fail(
      "measure",
      `"${empty.id}" has no answer`,
      `one, for ${field}`,
      "Give each row its answer, or leave the row out with a split or --limit.",
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
          `of the group ${sample.group}, "${(has(sample) ? sample : other).id}" has ${of} and "${(has(sample) ? other : sample).id}" has none`,
          "all of a group, or none",
          "Divide them into two runs.",
        );
  }
}

/**
 * The wanted fields of samples from the `from`-th on, a window at a time. A sample whose data lacks what a field is made of goes without it.
 * Refuses a field that no model can be asked for, and what {@link checkSamples} refuses.
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
      strange === "divergence" ? "It needs another model: against." : "It comes with logs made elsewhere.",
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

/** Samples that are asked together. */
class Window {
  private readonly model: Model;
  private readonly samples: readonly Sample[];
  private readonly wanted: ReadonlySet<Field>;
  private readonly options: MeasureOptions & { readonly maxTokens: number; readonly freeze: boolean; readonly ctx: Context };
  private prompts: readonly ChatPrompt[] = [];
  /** The prompts, read once for all that is asked behind them. */
  private read: ReadPrompts | undefined;

  constructor(model: Model, samples: readonly Sample[], wanted: readonly Field[], options: Window["options"]) {
    [this.model, this.samples, this.wanted, this.options] = [model, samples, new Set(wanted), options];
  }

  async records(): Promise<SampleRecord[]> {
    this.prompts = await Promise.all(this.samples.map(({ question }) => promptOf(this.model, question, this.options)));
    // an adapter decides on a whole question: each pass reads it
    const ids = this.prompts.map((prompt) => prompt.ids);
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

  /** What stands in the answer's place, as tokens with its end. */
  private row(i: number, text: string): ToScore {
    return rowOf(this.model, this.prompts[i]!, text, { ...this.options, end: true });
  }

  /** Mean divergence over the answer's tokens; the other model is asked in its own way, for an edit may put more before a question. */
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

  /** What is told of rows that begin with the prompts of the samples `of`. */
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
    // over as many positions as the answer has tokens, from the sequence's first on
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

  /** Ranks of the answer's tokens, tokenised alone, at the steps of what the model said; a row that has ended goes on with its last token. */
  private async generationRanks(said: readonly Generated[]): Promise<Partial<Fields>[]> {
    if (!this.wanted.has("generationRanks")) return [];
    const rows = this.samples.map(({ answer }, i): ToScore => {
      const labels = this.model.tokenizer.encode(answer, { special: false }).ids;
      const { ids } = this.prompts[i]!;
      const own = said[i]!.ids;
      const fed = labels.map((_, j) => own[j] ?? own.at(-1)!);
      return { ids: [...ids, ...fed], from: ids.length, labels };
    });
    return (await this.told(rows, [...rows.keys()], ["ranks"])).map(({ ranks }) => ({ generationRanks: ranks }));
  }

  /** Mean losses of a token of what stands in the answer's place, all texts of the window scored together: they share their questions. */
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

/** A text behind a prompt, to be scored. */
function rowOf(model: Model, prompt: ChatPrompt, text: string, options: RowOptions): ToScore {
  const { ids, first } = withTarget(model, prompt, text, options);
  return { ids, from: first };
}

/** What every record says of its sample. */
const given = ({ group, question, answer, target }: Sample): Partial<Fields> => ({
  group,
  question,
  answer,
  ...(target !== undefined && { target }),
});

/** The fields that an answer's tokens make. Ranks and likeliest tokens are told of the answer alone, the rest of its end too. */
function ofAnswer({ logprobs, ranks, tops, means, variances }: Partial<Record<keyof Told, number[]>>, ends: number): Partial<Fields> {
  return {
    ...(logprobs && { answerLogprobs: logprobs, answerLoss: -mean(logprobs), answerTokens: logprobs.length }),
    ...(ranks && { answerRanks: ranks.slice(0, ranks.length - ends) }),
    ...(tops && { topTokens: tops.slice(0, tops.length - ends) }),
    ...(means && { logprobMeans: means }),
    ...(variances && { logprobVariances: variances }),
  };
}
