/** From requests to edits: a method folded over the requests as they were chosen; what is finished is kept. */
import { checkAbort } from "../base/context.ts";
import { fail } from "../base/fail.ts";
import { canonical, hash } from "../base/hash.ts";
import { departures } from "../base/schema.ts";
import { type EditRequest, type ForgetRequest, type KnownOfRequest, requestsOf } from "../data/request.ts";
import { applyAll } from "../edit/apply.ts";
import { type Draft, type Edit, sign } from "../edit/edit.ts";
import { draftAlone, inSequence, stepAlone, type Upon } from "../edit/sequence.ts";
import type { Model } from "../model/model.ts";
import { Journal, recordOf } from "./journal.ts";
import { version } from "./tuned.ts";
import { type FindOptions, mergedFor, planOf, type Chosen, choose } from "./choose.ts";

/**
 * Finds one edit for everything that is asked: in a batch, all at once, or in sequence, each request found upon what those before it
 * changed and folded into one edit.
 */
export async function findEdit(
  model: Model,
  requests: KnownOfRequest | readonly KnownOfRequest[],
  options: FindOptions = {},
): Promise<Edit> {
  const list = requestsOf(Array.isArray(requests) ? (requests as readonly KnownOfRequest[]) : [requests as KnownOfRequest]);
  const { method } = planOf(list, options);
  const mode = options.mode ?? (method.takes === "many" ? "batch" : "sequential");
  const edited = mergedFor(list, options);
  if (mode === "single" && edited.length > 1)
    fail("findEdit", `${edited.length} requests, each alone`, "one edit", "Use findEdits, which gives one for each.");
  const finder = await finderOf(model, list, { ...options, mode });
  return mode === "batch" ? finder.batch() : finder.sequence();
}

/** Finds an edit for each request alone, each upon the same model; they are not made to be stacked. */
export async function findEdits(model: Model, requests: readonly KnownOfRequest[], options: FindOptions = {}): Promise<Edit[]> {
  const finder = await finderOf(model, requestsOf(requests), { ...options, mode: "single" });
  return finder.singly();
}

/** Everything chosen, and the three ways of carrying it out. */
interface Finder {
  batch(): Promise<Edit>;
  sequence(): Promise<Edit>;
  singly(): Promise<Edit[]>;
}

/** What edits depend on beside their requests. */
const aboutOf = ({ model, method, params, compat, format, seed, spec, upon, retain, encoder, demonstrations, options }: Chosen): string =>
  hash(
    canonical({
      method: method.name,
      params,
      compat: [...compat].sort(),
      seed,
      format,
      mode: options.mode,
      spec,
      code: version,
      upon: upon.map((e) => e.id),
      base: model.id,
      templates: options.templates ?? null,
      system: options.system ?? null,
      retain: hash(retain),
      reference: options.reference?.id ?? null,
      ...(encoder && { encoder: encoder.id, demonstrations: hash(demonstrations) }),
    }),
  );

/** A draft for some requests, upon what lies under it. */
function draftOf(chosen: Chosen, group: readonly EditRequest[], upon: Upon): Promise<Draft> {
  const { method, params, compat, format, seed, retain, demonstrations, encoder, statistics, options, ctx } = chosen;
  checkAbort(ctx, "forget");
  return method.edit({
    ...upon,
    requests: group,
    retain,
    demonstrations,
    params: params as never,
    compat,
    format,
    seed,
    ctx,
    running: { dtype: "float32", executor: "graph", ...options.running },
    ...(statistics && { statistics }),
    ...(encoder && { encoder }),
    ...(options.reference && { reference: options.reference }),
    ...(options.training !== undefined && { training: options.training }),
    ...(options.system !== undefined && { system: options.system }),
    ...(options.templates && { templates: options.templates }),
  });
}

/** The model with the edits that lie under all of a run's own. */
function underOf({ model, upon, format, ctx }: Chosen): Model {
  const warn = (text: string): void => ctx.log({ kind: "warning", who: "edit", text });
  return upon.length > 0 ? applyAll(model, upon, { format, warn, ctx }) : model;
}

const signedOf = ({ model, method, params, compat, format, seed, upon }: Chosen, made: Draft, group: readonly EditRequest[]): Edit =>
  sign(made, {
    base: model.id,
    on: upon.map((e) => e.id),
    format,
    by: {
      method: method.name,
      params,
      compat: [...compat].sort(),
      seed,
      code: version,
      departures: departures(method.params, params, model.config).map(
        (d) => `${d.name} = ${JSON.stringify(d.value)} (${d.source}: ${JSON.stringify(d.default)})`,
      ),
      requests: group.map(recordOf),
    },
  });

async function finderOf(model: Model, requests: readonly ForgetRequest[], options: FindOptions): Promise<Finder> {
  const chosen = await choose(model, requests, options);
  const { aimed, ctx } = chosen;
  const journal = new Journal(options.journal, aboutOf(chosen), aimed, ctx);
  const under = underOf(chosen);
  /** One of several requests. */
  const draftAt = (i: number, upon: Upon): Promise<Draft> => {
    const request = aimed[i]!;
    if (aimed.length > 1) ctx.log({ kind: "progress", stage: "edits", done: i, total: aimed.length, detail: request.id });
    return journal.at(i, () => draftOf(chosen, [request], upon));
  };
  return {
    batch: async () => signedOf(chosen, await draftOf(chosen, aimed, { model: under }), aimed),
    sequence: async () => signedOf(chosen, await inSequence(under, aimed, (_, upon, i) => draftAt(i, upon), journal), aimed),
    singly: async () => {
      const drafts = journal.kept().map(draftAlone);
      while (drafts.length < aimed.length) {
        const draft = await draftAt(drafts.length, { model: under });
        journal.keep(stepAlone(draft));
        drafts.push(draft);
      }
      return drafts.map((draft, i) => signedOf(chosen, draft, [aimed[i]!]));
    },
  };
}
