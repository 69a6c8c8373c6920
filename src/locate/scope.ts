/** Prompts that an edit should answer, and prompts that it should leave alone. Methods that compare similarities are calibrated on both. */
import type { Context } from "../base/context.ts";
import type { EditRequest, QA } from "../data/request.ts";
import type { Model } from "../model/model.ts";
import { type AskAs, promptWithoutEdits } from "../model/prompt.ts";
import { contextTemplates } from "./contexts.ts";
import { promptsWithOtherSubjects } from "./contrast.ts";
import { tokenizeRequest } from "./tokenized-requests.ts";
import { generatedQuestions } from "./generated-text.ts";

/** Prompts as tokens. */
export interface Scope {
  /** The question after other text, in context templates. */
  readonly inside: readonly (readonly number[])[];
  /** Other questions: the question with other subjects, then those of the retain set, then questions that the model generates. */
  readonly outside: readonly (readonly number[])[];
  /** From here on those outside are the same for every request. */
  readonly common: number;
}

export interface ScopeOn {
  readonly model: Model;
  readonly retain?: readonly QA[];
  readonly seed: number;
  /** Context templates to use instead of generated ones. */
  readonly templates?: readonly string[];
  readonly ask: AskAs;
  readonly ctx: Context;
}

/** The scope of one request. At most `count` other subjects (none if the request has no subject) and as many generated questions. */
export async function scopeOf(on: ScopeOn, { prompt, subject }: EditRequest, count: number): Promise<Scope> {
  const { model, seed, ctx } = on;
  const encoded = (text: string): readonly number[] => promptWithoutEdits(model, text, on.ask).ids;
  const templates = on.templates ?? (await contextTemplates(model, [[5, 5]], seed, ctx));
  const alone =
    subject.trim() === "" || !prompt.includes(subject)
      ? undefined
      : tokenizeRequest(model, { prompt, subject }, ["{}"], { ...on.ask, end: false })[0];
  const others = [...(on.retain ?? []).map((qa) => qa.question), ...(await generatedQuestions(model, count, seed, ctx))];
  const alike = alone ? await promptsWithOtherSubjects(model, alone, count, seed, ctx) : [];
  return {
    inside: templates.filter((t) => t !== "{}").map((t) => encoded(t.replace("{}", prompt))),
    outside: [...alike, ...others.filter((text) => text !== prompt).map(encoded)],
    common: alike.length,
  };
}
