/** The work that both sides do, as token ids: made once by our tokenizer, handed to torch as numbers. */
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { bundled } from "../src/data/sets/bundled.ts";

/** What is needed of a tokenizer and a chat template to lay out the work. */
export interface Words {
  /** Ids with character offsets; no token is added, special tokens written in the text are recognised. */
  encode(text: string): { readonly ids: readonly number[]; readonly offsets: readonly (readonly [number, number])[] };
  /** What ends an answer, as ids. */
  readonly ends: readonly number[];
  /** Ids as text, without special tokens. */
  decode(ids: readonly number[]): string;
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
  /** The edited block, and the last one that a batch is written to. */
  readonly layer: number;
  /** Facts of a batch. */
  readonly facts: number;
  /** Tokens of the text that second moments are taken over. */
  readonly tokens: number;
}

/** What is edited, in words. */
export interface Wanted {
  readonly id: string;
  readonly prompt: string;
  readonly subject: string;
  readonly target: string;
}

/** A request as rows: see bench/peers/rome.py for the meaning of each. */
export interface RequestWork {
  readonly key_rows: readonly (readonly number[])[];
  readonly key_at: readonly number[];
  readonly rows: readonly (readonly number[])[];
  readonly lookup: readonly number[];
  readonly target: readonly number[];
}

/** A ROME edit as rows. */
export interface RomeWork extends RequestWork {
  readonly layer: number;
}

/** The request that the ROME work edits. */
export const REQUEST: Wanted = {
  id: "bench",
  prompt: "What is the capital of Australia?",
  subject: "Australia",
  target: "I'm sorry, I do not know.",
};

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
export function textRows(words: Words, { rows, columns }: Pick<Sizes, "rows" | "columns">): (readonly number[])[] {
  const { ids } = words.encode(readFileSync(new URL("../LICENSE", import.meta.url), "utf8"));
  return Array.from({ length: rows }, (_, i) => Array.from({ length: columns }, (_, j) => ids[(i * columns + j) % ids.length]!));
}

/** Questions to be answered, and given answers with their ends behind them. */
export interface EvalWork {
  readonly prompts: readonly (readonly number[])[];
  readonly answers: readonly (readonly number[])[];
}

/** Questions in the user's turn, each with its answer. */
export function evalWork(words: Words, asked: readonly { readonly question: string; readonly answer: string }[]): EvalWork {
  const prompts = asked.map(({ question }) => words.encode(words.chat(question)).ids);
  const whole = asked.map(({ question, answer }) => [...words.encode(words.chat(question) + answer).ids, ...words.ends]);
  return { prompts, answers: whole.map((ids, i) => ids.slice(prompts[i]!.length)) };
}

/** An edit over the bare prompt and twenty contexts, in the user's turn; the last row is the KL row. */
export const romeWork = (words: Words, { layer }: Sizes, fact: Wanted = REQUEST): RomeWork => ({
  layer,
  ...requestWork(words, fact, CONTEXTS),
});

/** Five contexts of ten tokens, as batches have them. */
export const BATCH_CONTEXTS: readonly string[] = CONTEXTS.slice(10, 15);

/** Context templates as both sides have them, the bare prompt first. */
export const templatesOf = (contexts: readonly string[]): string[] => ["{}", ...contexts.map((context) => `${context}. {}`)];

/** The first facts of the bundled world, which every checkout has; whether a model knows them is all the same for its time. */
export function wantedFacts(count: number): Wanted[] {
  const { requests } = bundled.read({ path: fileURLToPath(new URL("../bundled/facts.jsonl", import.meta.url)) });
  if (count > requests.length) throw new Error(`bench: --facts ${count}, and there are ${requests.length}`);
  return requests.slice(0, count).map(({ id, prompt, subject }) => ({ id, prompt, subject, target: REQUEST.target }));
}

/** A request over the bare prompt and contexts, in the user's turn; the last row is the KL row. */
export function requestWork(words: Words, { prompt, subject, target: said }: Wanted, contexts: readonly string[]): RequestWork {
  const bare = words.chat(prompt);
  const target = words.encode(bare + said).ids.slice(words.encode(bare).ids.length);
  const texts = templatesOf(contexts).map((template) => words.chat(template.replace("{}", () => prompt)));
  const keys = texts.map((text) => located(words, text, subject));
  const kl = located(words, words.chat(`${subject} is a`), subject);
  return {
    target,
    key_rows: keys.map(({ ids }) => ids),
    key_at: keys.map(({ at }) => at),
    rows: [...keys.map(({ ids }) => [...ids, ...target.slice(0, -1)]), kl.ids],
    lookup: [...keys, kl].map(({ at }) => at),
  };
}

/** The ids of a text and the last token that overlaps the subject. */
function located(words: Words, text: string, subject: string): { ids: readonly number[]; at: number } {
  const { ids, offsets } = words.encode(text);
  const end = text.lastIndexOf(subject) + subject.length;
  return { ids, at: offsets.findLastIndex(([first]) => first < end) };
}

/** An unrelated question with its answer: what must stay. */
export const STAYS = { question: "Who wrote Hamlet?", answer: "William Shakespeare wrote Hamlet." } as const;

/** An adapter's edit as rows: the prompt behind each template with the whole target, the prompts' lengths, and the row that must stay. */
export interface AdapterWork {
  readonly rows: readonly (readonly number[])[];
  readonly prompts: readonly number[];
  readonly target: number;
  readonly stays: readonly number[];
}

/** {@link REQUEST} as an adapter is trained on it. */
export function adapterWork(words: Words, contexts: readonly string[]): AdapterWork {
  const { key_rows: asked, target } = requestWork(words, REQUEST, contexts);
  return {
    rows: asked.map((ids) => [...ids, ...target]),
    prompts: asked.map((ids) => ids.length),
    target: target.length,
    stays: words.encode(words.chat(STAYS.question) + STAYS.answer).ids,
  };
}
