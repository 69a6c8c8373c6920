/** Facts that a model knows: which they are, which of them are near one another, and asking for them again after an edit. */
import { existsSync } from "node:fs";
import { resolve } from "node:path";
import { fileURLToPath } from "node:url";
import type { ForgetRequest } from "../src/data/request.ts";
import { bundled } from "../src/data/sets/bundled.ts";
import { factual } from "../src/data/sets/factual.ts";
import { rougeN, tokenize } from "../src/eval/rouge.ts";
import { answers, defaultContext, type Model } from "../src/index.ts";
import { textOf } from "../src/ask/ask.ts";

const at = (path: string): string => fileURLToPath(new URL(path, import.meta.url));

/** Tokens of an answer, and questions that are asked together. */
const [ANSWER, TOGETHER] = [24, 64];
/** Facts asked at a time where not all are wanted. */
const ASKED = 32;
/** Neighbours of a fact. */
const NEAR = 5;

/** Greedy answers through the chat template, in the order of the questions. */
export async function ask(model: Model, questions: readonly string[]): Promise<string[]> {
  const said: string[] = [];
  const options = { maxTokens: ANSWER, freeze: false, together: TOGETHER, window: Math.max(1, questions.length) };
  for await (const outcome of answers(model, questions, options, defaultContext())) said.push(textOf(outcome, questions[said.length]!));
  return said;
}

/** ROUGE-1 recall of an answer in what was said. */
export const recall = (answer: string, said: string): number => rougeN(tokenize(answer), tokenize(said), 1).recall;

/** The bundled model, which every checkout has. */
export const BUNDLED = at("../bundled/model");

const FACTUAL = at("../../shared/data/pistol/factual_data.json");
const factualSet = (): readonly ForgetRequest[] => factual.read({ path: FACTUAL, subjects: at("facts.jsonl") }).requests;

/** What a model may know: the bundled one its world, any other the factual set's questions with a subject and a rephrase (facts.jsonl). */
export const factsFor = (model: string): readonly ForgetRequest[] =>
  resolve(model) === BUNDLED
    ? bundled.read({ path: at("../bundled") }).requests
    : factualSet().filter((request) => request.paraphrases.length > 0);

/** Questions of an evaluation: the whole factual set where it is, otherwise the bundled world. */
export const evaluated = (): readonly ForgetRequest[] => (existsSync(FACTUAL) ? factualSet() : factsFor(BUNDLED));

/** The factual set's other questions, which SmolLM2 answers wrongly; of the bundled model's world there are none. */
export const unknownTo = (model: string): readonly ForgetRequest[] =>
  resolve(model) === BUNDLED ? [] : factualSet().filter((request) => request.paraphrases.length === 0);

/** Those that the model answers with every word of the answer, in their order; `enough` ends the asking when so many are found. */
export async function knownOf(model: Model, asked: readonly ForgetRequest[], enough = Infinity): Promise<ForgetRequest[]> {
  const known: ForgetRequest[] = [];
  for (let from = 0; from < asked.length && known.length < enough; from += ASKED) {
    const part = asked.slice(from, enough === Infinity ? undefined : from + ASKED);
    const said = await ask(
      model,
      part.map((request) => request.prompt),
    );
    known.push(...part.filter((request, i) => recall(request.answer, said[i]!) === 1));
    if (part.length === asked.length) break;
  }
  return known;
}

/** The facts of `among` whose questions are most like one's own, subjects left out: the same kind of fact about something else. */
export function neighboursOf(fact: ForgetRequest, among: readonly ForgetRequest[], count: number = NEAR): ForgetRequest[] {
  const frame = ({ prompt, subject }: ForgetRequest): string[] => tokenize(prompt.replaceAll(subject, " "));
  const own = frame(fact);
  return among
    .filter((other) => other.id !== fact.id)
    .map((other, place) => ({ other, place, like: rougeN(own, frame(other), 1).f1 }))
    .sort((a, b) => b.like - a.like || a.place - b.place)
    .slice(0, count)
    .map(({ other }) => other);
}
