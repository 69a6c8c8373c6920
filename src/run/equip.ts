/** What edits are found with once the model is there: its parameters, the requests with what they need, and what needs bring. */
import { type Context, defaultContext } from "../base/context.ts";
import { fail } from "../base/fail.ts";
import type { EditRequest, ForgetRequest } from "../data/request.ts";
import type { Edit } from "../edit/edit.ts";
import type { Brought } from "../methods/method.ts";
import { checkContext, type Model } from "../model/model.ts";
import { type AskAs, promptWithoutEdits, type Format, formatOf, withTarget } from "../model/prompt.ts";
import { type Choice, type Given, mergedFor, paramsOf } from "./choice.ts";
import { broughtTo } from "./needed.ts";
import type { Having, Need } from "./needs/need.ts";

/** Everything that edits are found with. */
export interface Equipped extends Choice {
  readonly model: Model;
  readonly params: Readonly<Record<string, unknown>>;
  readonly format: Format;
  readonly seed: number;
  readonly upon: readonly Edit[];
  /** The requests with their targets. */
  readonly aimed: readonly EditRequest[];
  /** What the method is brought, and the needs that say so. */
  readonly brought: Brought;
  readonly needs: readonly Need[];
  readonly given: Given;
  readonly ctx: Context;
}

/** What needs are asked with once the model is there. */
export function havingOf(model: Model, choice: Choice, given: Given): Having {
  const { method, edited, requests, settings } = choice;
  const { seed = 0, system } = settings;
  const ask = { format: formatOf(model, settings), ...(system !== undefined && { system }) };
  return { method, edited, requests, settings, given, model, ask, seed, ctx: given.ctx ?? defaultContext() };
}

/**
 * Works out what a choice leaves to the model: parameters of its shape, and what the method needs. First the requests are completed, then
 * they are aimed, and what is brought beside them comes last.
 */
export async function equip(model: Model, choice: Choice, given: Given): Promise<Equipped> {
  const { settings, requests } = choice;
  const having = havingOf(model, choice, given);
  const { seed, ctx, ask } = having;
  const params = paramsOf(choice.method, settings.params ?? {}, model.config);
  const needs = broughtTo(choice, params, given);
  let known: readonly ForgetRequest[] = requests;
  for (const need of needs) known = (await need.known?.(known, having)) ?? known;
  const edited = known === requests ? choice.edited : mergedFor(known, settings);
  let aimed: readonly EditRequest[] = edited.map((request) => ({ ...request, target: settings.say ?? null }));
  for (const need of needs) aimed = (await need.aimed?.(aimed, having)) ?? aimed;
  for (const request of aimed) checkRequest(model, request, ask);
  consistent(aimed, ctx);
  for (const need of needs) need.tell?.(aimed, ctx);
  const brought: Record<string, unknown> = {};
  for (const { name, bring } of needs) {
    const own = await bring?.(having);
    if (own !== undefined) brought[name] = own;
  }
  return { ...choice, model, params, format: ask.format, seed, upon: given.upon ?? [], aimed, brought, needs, given, ctx };
}

/** Refuses a request that is longer than the model's context with what it is to say; without that, with the answer. */
function checkRequest(model: Model, { id, prompt, target, answer }: EditRequest, ask: AskAs): void {
  const { ids } = withTarget(model, promptWithoutEdits(model, prompt, ask), (target ?? answer) || "x", { ...ask, end: false });
  checkContext(model, "forget", `request "${id}"`, ids.length);
}

/** Refuses requests that want different answers to one question; says which are there twice. */
function consistent(requests: readonly EditRequest[], ctx: Context): void {
  const seen = new Map<string, EditRequest>();
  for (const request of requests) {
    const other = seen.get(request.prompt);
    if (!other) seen.set(request.prompt, request);
    else if (request.merged && other.target === request.target && other.subject !== request.subject) continue;
    else if (other.target !== request.target)
      fail(
        "forget",
        `requests ${other.id} and ${request.id} ask "${request.prompt}" and want "${other.target}" and "${request.target}"`,
        "one answer to a question",
        "Take one of them out.",
      );
    else ctx.log({ kind: "warning", who: "forget", text: `requests ${other.id} and ${request.id} are the same` });
  }
}
