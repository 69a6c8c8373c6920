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
      needsOf(method).flatMap((need) => need.texts?.({ edited, settings, given }) ?? []),
      shape.config,
    );
    return method.rows === undefined
      ? undefined
      : trainingOf(method.name, shape, params as unknown as DescentParams, { units: edited.length, rows: method.rows, tokens });
  };
