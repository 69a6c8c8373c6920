/**
 * Causal tracing of a model's answers: noise hides the subject, and states of the clean run that bring the answer back show where it is
 * stored.
 */
import { saidTo } from "../ask/ask.ts";
import { mean } from "../base/array.ts";
import type { Context } from "../base/context.ts";
import { fail } from "../base/fail.ts";
import { rng } from "../base/rng.ts";
import type { ForgetRequest } from "../data/request.ts";
import { orBroken } from "../model/decode/finite.ts";
import { checkContext, type Model } from "../model/model.ts";
import { type AskAs, promptWithoutEdits, type Format, formatOf } from "../model/prompt.ts";
import { type Answered, subjectSpan, targetTokens, tokensOver } from "../text/spans.ts";
import { lossesUnderNoise } from "./dependence.ts";
import { type Cell, cellsOf, drawNoise, embeddingSpread, type Severed, type Traceable, traceCells, type TraceKind } from "./effects.ts";

export interface TraceOptions {
  readonly kind?: TraceKind;
  /** Blocks put back together, for parts of a block (10). */
  readonly window?: number;
  readonly sever?: Severed;
  /** The noise's standard deviation as a multiple of that of the subjects' embeddings (3). */
  readonly noise?: number;
  /** Noises a place is tried under (10). */
  readonly samples?: number;
  readonly seed?: number;
  readonly format?: Format;
  readonly system?: string;
}

/** How an answer was traced: which states were put back, and how the subject was drowned. */
export interface TraceSetting {
  readonly kind: "hidden" | "mlp" | "attn";
  /** Blocks put back together; 1 for hidden states. */
  readonly window: number;
  readonly severed: "mlp" | "attn" | null;
  readonly noise: {
    /** Of the noise; `times` that of the subjects' embeddings. */
    readonly std: number;
    readonly times: number;
    readonly samples: number;
    readonly seed: number;
  };
}

/** What was asked, and the token whose probability was watched. */
export interface TracedAnswer {
  readonly id: string;
  readonly prompt: string;
  readonly subject: string;
  /** The model's own answer, as it begins. */
  readonly said: string;
  /** The model's own words between the prompt and the token. */
  readonly lead: string;
  readonly token: string;
  /** No words were asked for: of the model's own answer this token loses most when the subject is hidden. */
  readonly isChosen: boolean;
  /** The token's probability in the clean run, and the mean over the corrupted ones. */
  readonly clean: number;
  readonly corrupted: number;
}

/** Where one answer comes from: how much of its probability each state brings back into a corrupted run. */
export interface TraceRecord extends TraceSetting {
  readonly model: string;
  readonly layers: number;
  readonly answer: TracedAnswer;
  /** From the subject's first token to the last before the answer. */
  readonly tokens: readonly { readonly text: string; readonly isSubject: boolean }[];
  /** The mean indirect effect [token][layer]: probability with the state put back, less that of the corrupted run. */
  readonly effects: readonly (readonly number[])[];
}

/** Many answers traced at the last token of the subject, wherever it is named. */
export interface TraceStudy extends TraceSetting {
  readonly model: string;
  readonly layers: number;
  readonly facts: readonly (TracedAnswer & { readonly effects: readonly number[] })[];
  /** Requests whose answer the model does not give, by id. */
  readonly unknown: readonly string[];
  /** The average indirect effect by layer, and its standard error (0 for a single fact). */
  readonly average: readonly { readonly effect: number; readonly error: number }[];
  /** The layer with the largest average. */
  readonly peak: number;
  /** Which layers the methods take here by default. */
  readonly defaults: readonly { readonly method: string; readonly layers: readonly number[] }[];
}

/** A request as tokens, with what the report says of it. */
interface Ready {
  readonly about: Pick<TracedAnswer, "id" | "prompt" | "subject" | "said" | "lead" | "token" | "isChosen">;
  readonly text: Traceable;
  /** The last token of each naming of the subject. */
  readonly lasts: readonly number[];
  /** Every token as the text has it. */
  readonly shown: readonly string[];
}

/** Tokens of the model's own answer that are looked through for the words that are asked for. */
const SAID = 32;

/**
 * A question as the model answers it itself: where its own answer holds the words that are asked for, what it says before them stands
 * behind the prompt. Where no words are asked for, the token is the one that depends most on the subject. Every naming of the subject is
 * drowned, in the answer too. Undefined where the words are a must and it does not say them.
 */
async function ready(
  model: Model,
  request: ForgetRequest,
  options: TraceOptions,
  isMust: boolean,
  ctx: Context,
): Promise<Ready | undefined> {
  const { id, prompt, subject } = request;
  const ask: AskAs = options;
  const words = request.answer.trim();
  const asked = promptWithoutEdits(model, prompt, ask);
  const [from, to] = asked.content;
  const offsets = asked.offsets.map(([a, b]): [number, number] => [a - from, b - from]);
  subjectSpan({ ids: asked.ids, offsets }, asked.text.slice(from, to), subject);
  checkContext(model, "trace", `the question of "${id}" with a token of an answer`, asked.ids.length + 1);
  const own = await saidTo(model, prompt, { ...ask, withoutPromptEdits: true, maxTokens: SAID, freeze: false }, ctx);
  const said = own.text;
  const found = words ? said.toLowerCase().indexOf(words.toLowerCase()) : -1;
  if (words && found < 0 && isMust) return undefined;
  const isChat = formatOf(model, ask) === "chat";
  const encode = (text: string) => model.tokenizer.encode(text, { special: !isChat });
  const whole = !words
    ? await dependent(model, withAnswer(model, asked, own.ids), { ...options, id, subject, from })
    : found < 0
      ? targetTokens(encode, asked.text, words, isChat ? asked.lead : undefined)
      : targetTokens(encode, asked.text + said.slice(0, found), said.slice(found, found + words.length), "");
  const before = namings(whole, subject, from).filter(({ last }) => last < whole.first); // not in what is watched itself
  const label = whole.ids[whole.first]!;
  return {
    about: {
      id,
      prompt,
      subject,
      said: said.trim(),
      lead: words ? said.slice(0, Math.max(0, found)) : whole.text.slice(asked.text.length, whole.offsets[whole.first]![0]),
      token: model.tokenizer.decode([label]),
      isChosen: !words,
    },
    text: { ids: whole.ids.slice(0, whole.first), subject: tokensOf(before), label },
    lasts: [...new Set(before.map(({ last }) => last))],
    shown: whole.offsets.slice(0, whole.first).map(([a, b]) => whole.text.slice(a, b)),
  };
}

/** The first and the last token of a naming of the subject. */
interface Naming {
  readonly first: number;
  readonly last: number;
}

/** Where a text names the subject, from a character on. */
function namings(whole: Answered, subject: string, from: number): readonly Naming[] {
  const spans: Naming[] = [];
  for (let at = whole.text.indexOf(subject, from); at >= 0; at = whole.text.indexOf(subject, at + 1)) {
    const span = tokensOver(whole, at, at + subject.length);
    if (span) spans.push(span);
  }
  return spans;
}

const tokensOf = (spans: readonly Naming[]): number[] =>
  [...new Set(spans.flatMap(({ first, last }) => Array.from({ length: last - first + 1 }, (_, i) => first + i)))].sort((a, b) => a - b);

/** A prompt with the tokens of the model's own answer behind it. */
function withAnswer(model: Model, asked: Pick<Answered, "ids" | "offsets" | "text">, ids: readonly number[]): Answered {
  const ends = ids.map((_, i) => asked.text.length + model.tokenizer.decode(ids.slice(0, i + 1)).length);
  const offsets = ends.map((end, i): [number, number] => [ends[i - 1] ?? asked.text.length, end]);
  return {
    ids: [...asked.ids, ...ids],
    offsets: [...asked.offsets, ...offsets],
    text: asked.text + model.tokenizer.decode(ids),
    first: asked.ids.length,
  };
}

/** Whether a token belongs to a word that is none of the subject's, and not the beginning of one where the answer was cut off. */
function saysMore({ text, offsets }: Answered, at: number, subject: string): boolean {
  const [from, to] = offsets[at]!;
  const before = /[\p{L}\p{N}]*$/u.exec(text.slice(0, from))![0];
  const own = /[\p{L}\p{N}]+/u.exec(text.slice(from, to));
  if (!own) return false;
  const rest = /^[\p{L}\p{N}]*/u.exec(text.slice(from + own.index + own[0].length))![0];
  const word = `${own.index === 0 ? before : ""}${own[0]}${rest}`.toLowerCase();
  const isCut = from + own.index + own[0].length + rest.length === text.length;
  const named = subject.toLowerCase().match(/[\p{L}\p{N}]+/gu) ?? [];
  return !named.some((name) => name === word || (isCut && name.startsWith(word)));
}

/**
 * The same from the token on that loses most probability when the subject is hidden. Words of the subject, and what is no word, are passed
 * over while there is another.
 */
async function dependent(
  model: Model,
  whole: Answered,
  { id, subject, from, ...options }: TraceOptions & { readonly id: string; readonly subject: string; readonly from: number },
): Promise<Answered> {
  const { noise, samples, seed } = { ...DEFAULTS, ...options };
  const { ids, first } = whole;
  const drowned = tokensOf(namings(whole, subject, from));
  const spread = await embeddingSpread(model, [{ ids, subject: drowned, label: 0 }], RUNNING);
  const drawn = drawNoise(rng(seed).split("trace").split(id).split("choice"), samples, drowned.length * model.config.width, noise * spread);
  const losses = await lossesUnderNoise(model, { ids, first, subject: drowned }, drawn, RUNNING);
  const all = [...losses.keys()];
  const words = all.filter((i) => !drowned.includes(first + i) && saysMore(whole, first + i, subject));
  const best = (words.length > 0 ? words : all).reduce((most, i) => (losses[i]! > losses[most]! ? i : most));
  return { ...whole, first: first + best };
}

const DEFAULTS = { kind: "hidden", window: 10, noise: 3, samples: 10, seed: 0 } as const;
const RUNNING = { dtype: "float32", executor: "graph" } as const;

function settingOf(options: TraceOptions, spread: number): TraceSetting {
  const { kind, window, noise, samples, seed } = { ...DEFAULTS, ...options };
  return {
    kind,
    window: kind === "hidden" ? 1 : window,
    severed: options.sever ?? null,
    noise: { std: noise * spread, times: noise, samples, seed },
  };
}

/** What a text's places bring back, the mean over noise draws. */
async function effectsAt({ about, text }: Ready, model: Model, setting: TraceSetting, cells: readonly Cell[], ctx: Context) {
  const { kind, window, severed, noise } = setting;
  const random = rng(noise.seed).split("trace").split(about.id);
  const drawn = drawNoise(random, noise.samples, text.subject.length * model.config.width, noise.std);
  const { clean, corrupted, restored } = await orBroken(model, () =>
    traceCells(model, text, cells, {
      ...RUNNING,
      kind,
      window,
      noise: drawn,
      ctx,
      ...(severed && { severed }),
    }),
  );
  const low = mean(corrupted);
  const answer: TracedAnswer = { ...about, clean, corrupted: low };
  return { answer, effects: restored.map((own) => mean(own) - low) };
}

/** Traces one answer over every token and layer. */
export async function traceOne(model: Model, request: ForgetRequest, options: TraceOptions, ctx: Context): Promise<TraceRecord> {
  const made = (await ready(model, request, options, false, ctx))!;
  const { text, shown } = made;
  const setting = settingOf(options, await embeddingSpread(model, [text], RUNNING));
  const layers = model.config.layers;
  const { answer, effects } = await effectsAt(made, model, setting, cellsOf(text, layers), ctx);
  const first = text.subject[0]!;
  if (answer.corrupted > answer.clean / 2)
    ctx.log({
      kind: "warning",
      who: "trace",
      text: `under noise the token keeps ${Math.round((100 * answer.corrupted) / answer.clean)} % of its probability: it hardly hangs on the subject, or --noise is too little`,
    });
  return {
    model: model.id,
    layers,
    ...setting,
    answer,
    tokens: shown.slice(first).map((piece, i) => ({ text: piece, isSubject: text.subject.includes(first + i) })),
    effects: Array.from({ length: text.ids.length - first }, (_, i) => effects.slice(i * layers, (i + 1) * layers)),
  };
}

/** Facts that an earlier attempt has traced, by id, and where a new one is kept. */
export interface KeptFacts {
  readonly get: (id: string) => TraceStudy["facts"][number] | undefined;
  readonly keep: (fact: TraceStudy["facts"][number]) => void;
}

/** Traces the answers that the model gives, at the last tokens of their subjects. Fails where it gives none of them. */
export async function traceMany(
  model: Model,
  requests: readonly ForgetRequest[],
  options: TraceOptions,
  defaults: TraceStudy["defaults"],
  kept: KeptFacts,
  ctx: Context,
): Promise<TraceStudy> {
  const known: Ready[] = [];
  const unknown: string[] = [];
  for (const request of requests) {
    const made = await ready(model, request, options, true, ctx);
    if (made) known.push(made);
    else unknown.push(request.id);
    ctx.log({ kind: "progress", stage: "asking", done: known.length + unknown.length, total: requests.length, unit: "questions" });
  }
  if (known.length === 0)
    fail(
      "trace",
      `the model gives none of the ${requests.length} answers`,
      "answers that it knows",
      "Trace questions that it answers right.",
      "execution",
    );
  const setting = settingOf(
    options,
    await embeddingSpread(
      model,
      known.map((made) => made.text),
      RUNNING,
    ),
  );
  const layers = model.config.layers;
  const facts: TraceStudy["facts"][number][] = [];
  for (const made of known) {
    ctx.log({ kind: "progress", stage: "facts", done: facts.length, total: known.length, detail: made.about.id });
    const cells = Array.from({ length: layers }, (_, layer) => ({ tokens: made.lasts, layer }));
    const before = kept.get(made.about.id);
    if (before === undefined) {
      const { answer, effects } = await effectsAt(made, model, setting, cells, { ...ctx, log: () => {} });
      kept.keep({ ...answer, effects });
    }
    facts.push(before ?? kept.get(made.about.id)!);
  }
  ctx.log({ kind: "progress", stage: "facts", done: facts.length, total: known.length });
  const average = Array.from({ length: layers }, (_, layer) => {
    const own = facts.map((f) => f.effects[layer]!);
    const middle = mean(own);
    const spread = own.length > 1 ? Math.sqrt(own.reduce((s, x) => s + (x - middle) ** 2, 0) / (own.length - 1)) : 0;
    return { effect: middle, error: spread / Math.sqrt(own.length) };
  });
  const peak = average.reduce((best, { effect }, layer) => (effect > average[best]!.effect ? layer : best), 0);
  return { model: model.id, layers, ...setting, facts, unknown, average, peak, defaults };
}
