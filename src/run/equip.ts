/** What edits are found with once the model is there: its parameters, answers, targets and statistics. */
import { type Context, defaultContext } from "../base/context.ts";
import { fail } from "../base/fail.ts";
import type { EditRequest, ForgetRequest, QA } from "../data/request.ts";
import type { Edit } from "../edit/edit.ts";
import { type Statistics, statisticsOf, type StatisticsSpec } from "../locate/covariance.ts";
import type { AnyMethod, Need } from "../methods/method.ts";
import { chosenEncoder } from "../model/encoders.ts";
import { checkContext, type Model } from "../model/model.ts";
import { type AskAs, barePrompt, type Format, formatOf, withTarget } from "../model/prompt.ts";
import { leadsOf } from "../targets/merge.ts";
import { aim } from "../targets/target.ts";
import type { Encoder } from "../text/encoder.ts";
import { occurrencesOf } from "../text/spans.ts";
import { asker } from "../ask/in-turns.ts";
import { withAnswers } from "../ask/kept.ts";
import { ownRetain } from "./own-retain.ts";
import { type Choice, type Given, mergedFor, paramsOf } from "./choice.ts";
import { namedByContent } from "./inputs.ts";

export const DEFAULT_STATISTICS: StatisticsSpec = { text: "self", tokens: 16_384, length: 512, seed: 0 };

/** Everything that edits are found with. */
export interface Equipped extends Choice {
  readonly model: Model;
  readonly params: Readonly<Record<string, unknown>>;
  readonly format: Format;
  readonly seed: number;
  readonly spec: StatisticsSpec;
  readonly upon: readonly Edit[];
  /** The requests with their targets. */
  readonly aimed: readonly EditRequest[];
  readonly retain: readonly QA[];
  readonly demonstrations: readonly EditRequest[];
  readonly encoder?: Encoder;
  readonly statistics?: Statistics;
  readonly given: Given;
  readonly ctx: Context;
}

/** What a method needs at these parameters and quirks. */
export function needsOf(method: AnyMethod, params: Readonly<Record<string, unknown>>, compat: ReadonlySet<string>): ReadonlySet<Need> {
  const spared = method.spares?.(params as never, compat) ?? [];
  return new Set(method.needs.filter((need) => !spared.includes(need)));
}

/** Works out what a choice leaves to the model: parameters of its shape, answers and targets that it is asked for, and what the method reads. */
export async function equip(model: Model, choice: Choice, given: Given): Promise<Equipped> {
  const { method, compat, settings, requests } = choice;
  const { seed = 0 } = settings;
  const { ctx = defaultContext(), upon = [] } = given;
  const format = formatOf(model, settings);
  const params = paramsOf(method, settings.params ?? {}, model.config);
  const needs = needsOf(method, params, compat);
  const spec: StatisticsSpec = { ...DEFAULT_STATISTICS, ...settings.statistics };
  const statistics = needs.has("statistics") ? (given.moments ?? byContent(statisticsOf(model, spec, ctx))) : undefined;
  const encoder = needs.has("encoder") ? await chosenEncoder(model, settings.encoder ?? ctx.encoder, ctx) : undefined;
  const demonstrations = (given.demonstrations ?? []).map((r): EditRequest => ({ ...r, target: null }));
  const ask = { format, ...(settings.system !== undefined && { system: settings.system }) };
  const known = needs.has("answer") ? await withAnswers(model, requests, ask, ctx) : requests;
  const edited = known === requests ? choice.edited : mergedFor(known, settings);
  const aimed = await withTargets(model, edited, choice, ask, ctx);
  for (const request of aimed) checkRequest(model, request, ask);
  const retain = given.retain ?? (needs.has("retain") ? await ownRetain(model, requests, ask, seed, ctx) : []);
  consistent(aimed, ctx);
  if (needs.has("subject")) tellRepeated(aimed, ctx);
  return {
    ...choice,
    model,
    params,
    format,
    seed,
    spec: statistics?.spec ?? spec,
    upon,
    aimed,
    retain,
    demonstrations,
    given,
    ctx,
    ...(statistics && { statistics }),
    ...(encoder && { encoder }),
  };
}

/** Statistics whose spec names their text by its content, so that an edit does not depend on where the text is. */
const byContent = (statistics: Statistics): Statistics => ({ ...statistics, spec: namedByContent(statistics.spec, "forget") });

/** Refuses a request that is longer than the model's context with what it is to say; without that, with the answer. */
function checkRequest(model: Model, { id, prompt, target, answer }: EditRequest, ask: AskAs): void {
  const { ids } = withTarget(model, barePrompt(model, prompt, ask), (target ?? answer) || "x", { ...ask, end: false });
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

/** Says which occurrence is taken where a subject stands in its prompt more than once. */
function tellRepeated(requests: readonly EditRequest[], ctx: Context): void {
  for (const { id, prompt, subject } of requests) {
    const times = occurrencesOf(prompt, subject).length;
    if (times > 1)
      ctx.log({
        kind: "warning",
        who: "forget",
        text: `${id}: "${subject}" stands ${times} times in "${prompt}"; the last one is taken as the subject`,
      });
  }
}

async function withTargets(
  model: Model,
  requests: readonly ForgetRequest[],
  { target, settings: { say, seed = 0 } }: Choice,
  ask: AskAs,
  ctx: Context,
): Promise<EditRequest[]> {
  if (say !== undefined) return requests.map((r) => ({ ...r, target: say }));
  if (!target) return requests.map((r) => ({ ...r, target: null }));
  const aimed = await aim(leadsOf(requests), target, { seed, ctx, ask: asker(model, ask, ctx) });
  const of = new Map(aimed.map((request) => [request.merged ? request.prompt : request.id, request]));
  return requests.map((request) => {
    const { target: words, note } = of.get(request.merged ? request.prompt : request.id)!;
    return { ...request, target: words, ...(note !== undefined && { note }) };
  });
}
