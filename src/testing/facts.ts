/** Facts of the world that the bundled model knows, and how likely it finds an answer: what the kits ask about. */
import { toBytes } from "../base/array.ts";
import { hash, type Hash } from "../base/hash.ts";
import { type ForgetRequest, requestOf } from "../data/request.ts";
import { arraysOf, type Edit } from "../edit/edit.ts";
import { score } from "../model/decode/score.ts";
import type { Model } from "../model/model.ts";
import { promptOf } from "../model/prompt.ts";

/** A fact of the bundled world, by its country. */
export const capitalOf = (subject: string): ForgetRequest =>
  requestOf({ id: subject.toLowerCase(), prompt: `What is the capital of ${subject}?`, subject, answer: "" });
export const FACT: ForgetRequest = { ...capitalOf("Norvane"), id: "fact" };
export const SAY = "I do not know.";

/** Log-probability of words as the answer. */
export async function likelihoodOf(model: Model, words: string, question: string): Promise<number> {
  const prompt = await promptOf(model, question);
  const ids = [...prompt.ids, ...model.tokenizer.encode(words, { special: false }).ids];
  const [logprobs] = await score(model, [{ ids, from: prompt.ids.length }]);
  return logprobs!.reduce((a, b) => a + b, 0);
}

/** Of every number of an edit. */
export const bytesOf = (edit: Edit): Hash => hash(...arraysOf(edit).flatMap(([name, a]) => [name, toBytes(a)]));

/** Of every weight of a model. */
export const weightsOf = (model: Model): Hash => hash(...[...model.weights].flat());
