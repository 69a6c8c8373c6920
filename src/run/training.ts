/** Estimates the memory of a training method before a weight is read. */
import type { Shape } from "../model/load.ts";
import type { Training } from "../model/memory-estimate.ts";
import { type DescentParams, tokensAtMost, trainingOf } from "../train/recipe.ts";
import { type Choice, type Given, paramsOf } from "./choice.ts";
import { needsOf } from "./needed.ts";

/** The size of a training, from its longest row; undefined for methods that do not train. */
export const trainingFor =
  ({ method, edited, settings }: Pick<Choice, "method" | "edited" | "settings">, given: Given = {}) =>
  (shape: Shape): Training | undefined => {
    const params = paramsOf(method, settings.params ?? {}, shape.config);
    const tokens = tokensAtMost(
      needsOf(method).flatMap((need) => need.texts?.({ method, edited, settings, given }) ?? []),
      shape.config,
    );
    const units = edited.length * (settings.say === undefined ? (method.aims?.count(params as never) ?? 1) : 1);
    return method.rows === undefined
      ? undefined
      : trainingOf(method.name, shape, params as unknown as DescentParams, { units, rows: method.rows, tokens });
  };
