/** The proof of an edit: the edited model is asked, and where it does not say the target, the method searches once more. */
import { someOf } from "../base/fail.ts";
import type { EditRequest } from "../data/request.ts";
import { withChange } from "../edit/apply.ts";
import type { Draft, Edit } from "../edit/edit.ts";
import type { Upon } from "../edit/sequence.ts";
import { answers } from "../ask/ask.ts";
import type { Model } from "../model/model.ts";
import type { Choice } from "./choice.ts";
import type { Equipped } from "./equip.ts";
import type { Shown } from "./shown.ts";

/** What the edited model says to the questions of its edits. */
export interface Proof {
  /** Questions that were asked. */
  readonly asked: number;
  /** Ids of the requests that a second search was made for. */
  readonly again: readonly string[];
  /** Ids of the questions that are not answered with the target, word for word, and of those that could not be asked. */
  readonly unsaid: readonly string[];
}

/** How the edits of a choice are proven. Quirks of published code reproduce it, and it has no second search. */
function proofOf({ method, settings, compat }: Pick<Choice, "method" | "settings" | "compat">): "again" | "once" | "none" {
  if (method.firmer === undefined) return "none";
  return (settings.prove as "again" | "once" | "none" | undefined) ?? (compat.size > 0 ? "once" : "again");
}

/** Tokens behind a target that show whether the answer ends with it. */
const BEHIND = 4;

/** Tokens of an answer that is compared with these targets. */
function tokensFor(model: Model, requests: readonly { readonly target: string | null }[]): number {
  const lengths = requests.map(({ target }) => model.tokenizer.encode(target ?? "", { special: false }).ids.length);
  return Math.max(0, ...lengths) + BEHIND;
}

/**
 * The draft of some requests. If the model with it does not answer each of them with its target, a second draft is made with firmer
 * parameters, and the better one is taken; its evidence names these requests under `again`.
 */
export async function provenDraft(
  equipped: Equipped,
  group: readonly EditRequest[],
  upon: Upon,
  make: (params: Readonly<Record<string, unknown>>) => Promise<Draft>,
): Promise<Draft> {
  const { method, params, ctx } = equipped;
  const first = await make(params);
  const firmer = Object.entries(method.firmer?.(params as never) ?? {});
  if (proofOf(equipped) !== "again" || firmer.length === 0) return first;
  const modelOf = ({ replaces }: Draft): Model => (replaces && upon.previous?.under) || upon.model;
  const unsaidBy = (draft: Draft): Promise<string[]> => unsaid(withChange(modelOf(draft), draft.change, ctx), group, equipped);
  const missed = await unsaidBy(first);
  if (missed.length === 0) return first;
  ctx.log({ kind: "note", who: "forget", text: `the model does not say the target to ${someOf(missed, 3)}: searching once more` });
  const second = await make({ ...params, ...Object.fromEntries(firmer) });
  const better = (await unsaidBy(second)).length <= missed.length ? second : first;
  return { ...better, evidence: { ...better.evidence, again: missed } };
}

/** The ids of the requests that a model does not answer with their targets, or cannot be asked. */
async function unsaid(model: Model, requests: readonly EditRequest[], { format, settings: { system }, ctx }: Equipped): Promise<string[]> {
  const maxTokens = tokensFor(model, requests);
  const ask = { maxTokens, freeze: false, format, ...(system !== undefined && { system }) };
  const found: string[] = [];
  let i = 0;
  for await (const outcome of answers(
    model,
    requests.map(({ prompt }) => prompt),
    ask,
    ctx,
  )) {
    const { id, target } = requests[i++]!;
    if ("error" in outcome || outcome.answer !== target?.trim()) found.push(id);
  }
  return found;
}

/** The number of tokens that the answers before and after must have, so that the edits can be proven by them; 0 where nothing is proven. */
export const tokensToProve = (model: Model, edits: readonly Edit[], choice: Choice): number =>
  proofOf(choice) === "none"
    ? 0
    : tokensFor(
        model,
        edits.flatMap(({ by }) => by.requests),
      );

/** The proof by the answers of the edited model; null where nothing is proven. */
export function proofBy(shown: readonly Shown[], edits: readonly Edit[], choice: Choice): Proof | null {
  if (proofOf(choice) === "none") return null;
  const again = edits.flatMap(({ evidence = {} }) => againIn(evidence));
  return { asked: shown.length, again, unsaid: shown.filter(({ isGiven }) => !isGiven).map(({ id }) => id) };
}

/** The requests of a second search, by the evidence of an edit or of a sequence. */
function againIn({ again = [], sequence = [] }: Readonly<Record<string, unknown>>): string[] {
  return [...(again as string[]), ...(sequence as Readonly<Record<string, unknown>>[]).flatMap(againIn)];
}
