/** The kit that every method passes, in our runner; a method's own test adds what is peculiar to it. */
import * as vitest from "vitest";
import type { AnyMethod } from "../../src/methods/method.ts";
import type { Model } from "../../src/model/model.ts";
import { FACT, likelihoodOf, SAY } from "../../src/testing/facts.ts";
import { type MethodCase, methodConforms } from "../../src/testing/method.ts";

export { bytesOf, capitalOf, FACT, SAY } from "../../src/testing/facts.ts";
export type { MethodCase } from "../../src/testing/method.ts";

/** Most of ours seek values, and are stopped there. */
export const conforms = (method: AnyMethod, c: MethodCase): void => methodConforms(method, { stage: "values", ...c }, vitest);

/** Log-probability of words as the answer: of the target, if none are named. */
export const targetScore = (model: Model, words = SAY, question = FACT.prompt): Promise<number> => likelihoodOf(model, words, question);
