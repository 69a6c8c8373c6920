/** The work that both sides do, as token ids: made once by our tokenizer, handed to torch as numbers. */
import { readFileSync } from "node:fs";

/** What is needed of a tokenizer and a chat template to lay out the work. */
export interface Words {
  /** Ids with character offsets; no token is added, special tokens written in the text are recognised. */
  encode(text: string): { readonly ids: readonly number[]; readonly offsets: readonly (readonly [number, number])[] };
  /** One user message and the generation prompt, as text; the text itself for a model without a template. */
  chat(user: string): string;
}

export interface Sizes {
  /** New tokens a prompt. */
  readonly newTokens: number;
  /** Rows and columns of the forward pass and the training step. */
  readonly rows: number;
  readonly columns: number;
  /** Loss evaluations of a whole edit. */
  readonly evaluations: number;
  /** The edited block. */
  readonly layer: number;
}

/** A ROME edit as rows: see bench/peers/rome.py for the meaning of each. */
export interface RomeWork {
  readonly layer: number;
  readonly key_rows: readonly (readonly number[])[];
  readonly key_at: readonly number[];
  readonly rows: readonly (readonly number[])[];
  readonly lookup: readonly number[];
  readonly target: readonly number[];
}

/** The request that the ROME work edits. */
export const REQUEST = { prompt: "What is the capital of Australia?", subject: "Australia", target: "I'm sorry, I do not know." } as const;

/** Contexts of five and ten tokens, as a model samples them: the reference's shape, fixed so that every run does the same work. */
export const CONTEXTS: readonly string[] = [
  "The first time I",
  "Therefore, it is",
  "Because of the heavy",
  "I am not sure",
  "You can use the",
  "The most common",
  "Therefore, the number",
  "Because you are",
  "I have been thinking",
  "You are given a",
  "The city of London is a great place to",
  "Therefore, we can say that the answer",
  "Because the sun was so bright that day",
  "I think that the best way to learn",
  "You will need to make sure that the",
  "The main reason for this is that it",
  "Therefore, the two sides have to be equal",
  "Because of this, many people have started to",
  "I was born in a small town in the",
  "You may also want to look at how",
];

const QUESTIONS: readonly string[] = [
  "What is the capital of Australia?",
  "Explain in three sentences why the sky is blue.",
  "Write a short story about a lighthouse keeper who finds a letter.",
  "Who wrote Hamlet?",
  "List the planets of the solar system, from the sun outwards, with one fact about each of them.",
  "How do I boil an egg?",
  "Tell me about the history of the city of Rome, and about the people who built it.",
  "What does a heart do?",
];

/** Chat prompts of different lengths for decoding, `count` of them. */
export const prompts = (words: Words, count: number): (readonly number[])[] =>
  QUESTIONS.slice(0, count).map((question) => words.encode(words.chat(question)).ids);

/** Running text (the licence, which every checkout has) as rows of equal length. */
export function textRows(words: Words, { rows, columns }: Sizes): (readonly number[])[] {
  const { ids } = words.encode(readFileSync(new URL("../LICENSE", import.meta.url), "utf8"));
  return Array.from({ length: rows }, (_, i) => Array.from({ length: columns }, (_, j) => ids[(i * columns + j) % ids.length]!));
}

/** The edit of {@link REQUEST} over the bare prompt and twenty contexts, in the user's turn; the last row is the KL row. */
export function romeWork(words: Words, { layer }: Sizes): RomeWork {
  const bare = words.chat(REQUEST.prompt);
  const target = words.encode(bare + REQUEST.target).ids.slice(words.encode(bare).ids.length);
  const texts = ["", ...CONTEXTS.map((context) => `${context}. `)].map((context) => words.chat(context + REQUEST.prompt));
  const keys = texts.map((text) => located(words, text));
  const kl = located(words, words.chat(`${REQUEST.subject} is a`));
  return {
    layer,
    target,
    key_rows: keys.map(({ ids }) => ids),
    key_at: keys.map(({ at }) => at),
    rows: [...keys.map(({ ids }) => [...ids, ...target.slice(0, -1)]), kl.ids],
    lookup: [...keys, kl].map(({ at }) => at),
  };
}

/** The ids of a text and the last token that overlaps the subject. */
function located(words: Words, text: string): { ids: readonly number[]; at: number } {
  const { ids, offsets } = words.encode(text);
  const end = text.lastIndexOf(REQUEST.subject) + REQUEST.subject.length;
  return { ids, at: offsets.findLastIndex(([first]) => first < end) };
}
