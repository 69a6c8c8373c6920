/** What a method that trains will take, worked out before a weight is read. */
import type { Need } from "../methods/method.ts";
import type { Shape } from "../model/load.ts";
import type { Training } from "../model/memory-estimate.ts";
import { type DescentParams, tokensAtMost, trainingOf } from "../train/recipe.ts";
import { LONGEST } from "../ask/kept.ts";
import { type Choice, type Given, paramsOf } from "./choice.ts";

/** Stands for an answer that the model is still to give. */
const ANY = "x".repeat(4 * LONGEST);

/** What a method that trains will train, by the longest of its rows; nothing for another method. */
export const trainingFor =
  ({ method, edited, settings }: Pick<Choice, "method" | "edited" | "settings">, { retain }: Pick<Given, "retain"> = {}) =>
  (shape: Shape): Training | undefined => {
    const params = paramsOf(method, settings.params ?? {}, shape.config);
    const texts: Readonly<Partial<Record<Need, readonly string[]>>> = {
      answer: edited.map(({ prompt, answer }) => prompt + (answer || ANY)),
      target: edited.map(({ prompt }) => prompt + (settings.say ?? ANY)),
      retain: retain?.map(({ question, answer }) => question + answer) ?? [ANY + ANY],
    };
    const tokens = tokensAtMost(
      method.needs.flatMap((need) => texts[need] ?? []),
      shape.config,
    );
    return method.rows === undefined
      ? undefined
      : trainingOf(method.name, shape, params as unknown as DescentParams, { units: edited.length, rows: method.rows, tokens });
  };
