/** What a method that trains will take, told before a weight is read. */
import type { ForgetRequest } from "../data/request.ts";
import type { Need } from "../methods/method.ts";
import type { Shape } from "../model/load.ts";
import type { Training } from "../model/memory-estimate.ts";
import { type DescentParams, tokensAtMost, trainingOf } from "../train/recipe.ts";
import { LONGEST } from "./answers.ts";
import { type FindOptions, methodOf, paramsOf } from "./choose.ts";

/** Stands for an answer that the model is still to give. */
const ANY = "x".repeat(4 * LONGEST);

/** What a method that trains will train, told by the longest of its rows; of another, nothing. */
export const trainingFor =
  (requests: readonly ForgetRequest[], options: FindOptions) =>
  (shape: Shape): Training | undefined => {
    const method = methodOf(options.method, options.ctx);
    const params = paramsOf(method, options.params ?? {}, shape.config);
    const texts: Readonly<Partial<Record<Need, readonly string[]>>> = {
      answer: requests.map(({ prompt, answer }) => prompt + (answer || ANY)),
      target: requests.map(({ prompt }) => prompt + (options.say ?? ANY)),
      retain: options.retain?.map(({ question, answer }) => question + answer) ?? [ANY + ANY],
    };
    const tokens = tokensAtMost(
      method.needs.flatMap((need) => texts[need] ?? []),
      shape.config,
    );
    return method.rows === undefined
      ? undefined
      : trainingOf(method.name, shape, params as unknown as DescentParams, { units: requests.length, rows: method.rows, tokens });
  };
