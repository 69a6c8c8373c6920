/** Asks the questions of an edit before and after it. */
import type { Context } from "../base/context.ts";
import type { Edit } from "../edit/edit.ts";
import type { Model } from "../model/model.ts";
import { questionsOf } from "../targets/merge.ts";
import { answers } from "../ask/ask.ts";
import type { Settings } from "./choice.ts";

/** A request's answers; null if it could not be asked. `isGiven`: the edited model says exactly the target. */
export interface Shown {
  readonly id: string;
  readonly prompt: string;
  readonly target: string | null;
  readonly before: string | null;
  readonly after: string | null;
  readonly isGiven: boolean;
}

/**
 * Asks every question of an edit after it, and before it if `before` is given, in batches. The questions of a merged request are asked one by
 * one.
 */
export async function beforeAndAfter(
  before: Model | undefined,
  after: Model,
  edit: Edit,
  options: Pick<Settings, "format" | "system"> & { readonly tokens: number },
  ctx: Context,
): Promise<Shown[]> {
  const { format, system, tokens: maxTokens } = options;
  const ask = { maxTokens, freeze: false, ...(format && { format }), ...(system !== undefined && { system }) };
  const asked = questionsOf(edit.by.requests);
  const said = new Map<Model, (string | null)[]>();
  const unasked: string[] = [];
  const models = [...(before ? [before] : []), after];
  for (const model of models) {
    const texts: (string | null)[] = [];
    for await (const outcome of answers(
      model,
      asked.map(({ question }) => question.prompt),
      ask,
      ctx,
    )) {
      texts.push("error" in outcome ? null : outcome.answer);
      if ("error" in outcome) unasked.push(`${asked[texts.length - 1]!.question.id}: ${outcome.error.message}`);
      if (asked.length > 8)
        ctx.log({
          kind: "progress",
          stage: model === before ? "asking before" : "asking after",
          done: texts.length,
          total: asked.length,
          unit: "prompts",
        });
    }
    said.set(model, texts);
  }
  if (unasked.length > 0)
    ctx.log({
      kind: "warning",
      who: "forget",
      text: `${unasked.length} of ${models.length * asked.length} questions about the edit could not be asked (the first: ${unasked[0]})`,
    });
  return asked.map(({ question: { id, prompt }, of: { target } }, i) => {
    const is = said.get(after)![i]!;
    return {
      id,
      prompt,
      target,
      before: before ? said.get(before)![i]! : null,
      after: is,
      isGiven: target !== null && is === target.trim(),
    };
  });
}
