/** Prepares the input of a method once the model is loaded: parameters, completed requests, and the values of needs. */
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

/** The complete input of a method. */
export interface Equipped extends Choice {
  readonly model: Model;
  readonly params: Readonly<Record<string, unknown>>;
  readonly format: Format;
  readonly seed: number;
  readonly upon: readonly Edit[];
  /** The requests with their targets. */
  readonly aimed: readonly EditRequest[];
  /** The values that the method gets from its needs, and these needs. */
  readonly brought: Brought;
  readonly needs: readonly Need[];
  readonly given: Given;
  readonly ctx: Context;
}

/** The input of needs once the model is loaded. */
export function havingOf(model: Model, choice: Choice, given: Given): Having {
  const { method, edited, requests, settings } = choice;
  const { seed = 0, system } = settings;
  const ask = { format: formatOf(model, settings), ...(system !== undefined && { system }) };
  return { method, edited, requests, settings, given, model, ask, seed, ctx: given.ctx ?? defaultContext() };
}

/**
 * Completes a choice with the loaded model: the parameters for its shape, and the method's needs. First the missing fields of the requests are
 * filled in, then their targets, then the other needs.
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

/** Refuses a request that with its target does not fit into the model's context; without a target, with its answer. */
function checkRequest(model: Model, { id, prompt, target, others = [], answer }: EditRequest, ask: AskAs): void {
  for (const words of [(target ?? answer) || "x", ...others]) {
    const { ids } = withTarget(model, promptWithoutEdits(model, prompt, ask), words, { ...ask, end: false });
    checkContext(model, "forget", `request "${id}"`, ids.length);
  }
}

/** Refuses requests with different targets for one question. Warns about requests that are given twice. */
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
