/** From requests to edits: a method folded over the requests as they were chosen; what is finished is kept. */
import { checkAbort } from "../base/context.ts";
import { fail } from "../base/fail.ts";
import { canonical, hash } from "../base/hash.ts";
import { departures } from "../base/schema.ts";
import { type EditRequest, type KnownOfRequest, requestsOf } from "../data/request.ts";
import { applyAll } from "../edit/apply.ts";
import { type Draft, type Edit, sign } from "../edit/edit.ts";
import { merged } from "../edit/combine.ts";
import type { Model } from "../model/model.ts";
import { Journal, recordOf } from "./journal.ts";
import { version } from "./tuned.ts";
import { type Choice, choose, type FindOptions, type Given } from "./choice.ts";
import { equip, type Equipped } from "./equip.ts";

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
  const choice = choose(list, options, options);
  if (choice.mode === "single" && choice.edited.length > 1)
    fail("findEdit", `${choice.edited.length} requests, each alone`, "one edit", "Use findEdits, which gives one for each.");
  return (await carryOut(model, choice, options))[0]!;
}

/** Finds an edit for each request alone, each upon the same model; they are not made to be stacked. */
export const findEdits = (model: Model, requests: readonly KnownOfRequest[], options: FindOptions = {}): Promise<Edit[]> =>
  carryOut(model, choose(requestsOf(requests), { ...options, mode: "single" }, options), options);

/** Finds what was chosen: one edit, or in mode single one for each request. */
export async function carryOut(model: Model, choice: Choice, given: Given): Promise<Edit[]> {
  const finder = finderOf(await equip(model, choice, given));
  if (choice.mode === "single") return finder.singly();
  return [choice.mode === "batch" ? await finder.batch() : await finder.sequence()];
}

/** Everything equipped, and the three ways of carrying it out. */
interface Finder {
  batch(): Promise<Edit>;
  sequence(): Promise<Edit>;
  singly(): Promise<Edit[]>;
}

/** What edits depend on beside their requests. */
const aboutOf = (equipped: Equipped): string => {
  const { model, method, params, compat, format, seed, mode, spec, upon, retain, encoder, demonstrations, settings, given } = equipped;
  return hash(
    canonical({
      method: method.name,
      params,
      compat: [...compat].sort(),
      seed,
      format,
      mode,
      spec,
      code: version,
      upon: upon.map((e) => e.id),
      base: model.id,
      templates: settings.templates ?? null,
      system: settings.system ?? null,
      running: settings.running ?? null,
      retain: hash(retain),
      reference: given.reference?.id ?? null,
      ...(encoder && { encoder: encoder.id, demonstrations: hash(demonstrations) }),
    }),
  );
};

/** A draft for some requests, upon what lies under it and a previous edit of the same method. */
function draftOf(equipped: Equipped, group: readonly EditRequest[], previous?: Edit): Promise<Draft> {
  const { model, method, params, compat, format, seed, upon, retain, demonstrations, encoder, statistics, settings, given, ctx } = equipped;
  checkAbort(ctx, "forget");
  const warn = (text: string): void => ctx.log({ kind: "warning", who: "edit", text });
  const under = previous?.change.kind === "delta" ? [...upon, previous] : upon; // an adapter's method goes on from its state
  return method.edit({
    model: under.length > 0 ? applyAll(model, under, { format, warn, ctx }) : model,
    requests: group,
    retain,
    demonstrations,
    params: params as never,
    compat,
    format,
    seed,
    ctx,
    running: { dtype: "float32", executor: "graph", ...settings.running },
    ...(previous && { previous }),
    ...(statistics && { statistics }),
    ...(encoder && { encoder }),
    ...(given.reference && { reference: given.reference }),
    ...(given.training !== undefined && { training: given.training }),
    ...(settings.system !== undefined && { system: settings.system }),
    ...(settings.templates && { templates: settings.templates }),
  });
}

const signedOf = ({ model, method, params, compat, format, seed, upon }: Equipped, made: Draft, group: readonly EditRequest[]): Edit =>
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

function finderOf(equipped: Equipped): Finder {
  const { aimed, ctx, given } = equipped;
  const journal = new Journal(given.journal, aboutOf(equipped), aimed);
  const tell = (done: number): void => {
    if (aimed.length > 1) ctx.log({ kind: "progress", stage: "edits", done, total: aimed.length, detail: aimed[done]!.id });
  };
  return {
    batch: async () => signedOf(equipped, await draftOf(equipped, aimed), aimed),
    sequence: async () => {
      let [previous] = journal.finished(ctx);
      for (let i = previous?.by.requests.length ?? 0; i < aimed.length; i++) {
        tell(i);
        const next = await journal.at(i, () => draftOf(equipped, [aimed[i]!], previous));
        previous = signedOf(equipped, previous ? inSequence(previous, next) : next, aimed.slice(0, i + 1));
        journal.keep([previous]);
      }
      return previous!;
    },
    singly: async () => {
      const done = journal.finished(ctx);
      for (const [i, request] of aimed.entries()) {
        if (i < done.length) continue;
        tell(i);
        done.push(signedOf(equipped, await journal.at(i, () => draftOf(equipped, [request])), [request]));
        journal.keep(done);
      }
      return done;
    },
  };
}

/** Two drafts as one, with what each wrote down. */
function inSequence(previous: Draft, next: Draft): Draft {
  const before = previous.evidence ?? {};
  const sequence = "sequence" in before ? (before["sequence"] as readonly unknown[]) : [before];
  return { ...merged(previous, next), evidence: { sequence: [...sequence, next.evidence ?? {}] } };
}
