/** What an edit should answer and what it should leave alone, as prompts: by these a method that decides by nearness is calibrated. */
import type { Context } from "../base/context.ts";
import type { EditRequest, QA } from "../data/request.ts";
import type { Model } from "../model/model.ts";
import { type AskAs, promptWithoutEdits } from "../model/prompt.ts";
import { contextTemplates } from "./contexts.ts";
import { promptsWithOtherSubjects } from "./contrast.ts";
import { tokenizeRequest } from "./tokenized-requests.ts";
import { selfQuestions } from "./samples.ts";

/** Prompts as tokens. */
export interface Scope {
  /** The question in company: behind context templates. */
  readonly inside: readonly (readonly number[])[];
  /** Other questions: the retain set's, the question with stand-ins for its subject, and the model's own. */
  readonly outside: readonly (readonly number[])[];
}

export interface ScopeOn {
  readonly model: Model;
  readonly retain?: readonly QA[];
  readonly seed: number;
  /** Context templates in place of sampled ones. */
  readonly templates?: readonly string[];
  readonly ask: AskAs;
  readonly ctx: Context;
}

/** The scope of one request; `count` stand-ins at most (none without a subject), and as many questions of the model's own. */
export async function scopeOf(on: ScopeOn, { prompt, subject }: EditRequest, count: number): Promise<Scope> {
  const { model, seed, ctx } = on;
  const encoded = (text: string): readonly number[] => promptWithoutEdits(model, text, on.ask).ids;
  const templates = on.templates ?? (await contextTemplates(model, [[5, 5]], seed, ctx));
  const alone =
    subject.trim() === "" || !prompt.includes(subject)
      ? undefined
      : tokenizeRequest(model, { prompt, subject }, ["{}"], { ...on.ask, end: false })[0];
  const others = [...(on.retain ?? []).map((qa) => qa.question), ...(await selfQuestions(model, count, seed, ctx))];
  return {
    inside: templates.filter((t) => t !== "{}").map((t) => encoded(t.replace("{}", prompt))),
    outside: [
      ...(alone ? await promptsWithOtherSubjects(model, alone, count, seed, ctx) : []),
      ...others.filter((text) => text !== prompt).map(encoded),
    ],
  };
}
