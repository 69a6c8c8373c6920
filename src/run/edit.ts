/** Makes edits from requests: calls the method for the chosen requests and stores each finished one. */
import { checkAbort } from "../base/context.ts";
import { fail } from "../base/fail.ts";
import { canonical, hash } from "../base/hash.ts";
import { departures } from "../base/schema.ts";
import { type EditRequest, type KnownOfRequest, requestsOf } from "../data/request.ts";
import { applyAll } from "../edit/apply.ts";
import { type Draft, type Edit, sign } from "../edit/edit.ts";
import { draftAlone, inSequence, stepAlone, type Upon } from "../edit/sequence.ts";
import { orBroken } from "../model/decode/finite.ts";
import type { Model } from "../model/model.ts";
import { Journal, recordOf } from "./journal.ts";
import { version } from "./version.ts";
import type { Choice, FindOptions, Given } from "./choice.ts";
import { choose } from "./choose.ts";
import { equip, type Equipped } from "./equip.ts";
import { provenDraft } from "./proof.ts";
import { identitiesOf } from "./needed.ts";

/**
 * Makes one edit for all requests: in a batch (all at once), or in sequence (each request on the model that the earlier ones changed, combined
 * into one edit).
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

/** Makes one edit for each request on the same model. These edits are not meant to be stacked. */
export const findEdits = (model: Model, requests: readonly KnownOfRequest[], options: FindOptions = {}): Promise<Edit[]> =>
  carryOut(model, choose(requestsOf(requests), { ...options, mode: "single" }, options), options);

/** Makes the chosen edits: one edit, or in the mode single one for each request. */
export async function carryOut(model: Model, choice: Choice, given: Given): Promise<Edit[]> {
  const finder = await finderOf(await equip(model, choice, given));
  if (choice.mode === "single") return finder.singly();
  return [choice.mode === "batch" ? await finder.batch() : await finder.sequence()];
}

/** The complete input of an editing run, and its three modes. */
interface Finder {
  batch(): Promise<Edit>;
  sequence(): Promise<Edit>;
  singly(): Promise<Edit[]>;
}

/** Everything that edits depend on besides their requests. */
async function aboutOf(equipped: Equipped): Promise<string> {
  const { model, params, compat, format, seed, mode, upon, needs, settings, given } = equipped;
  return hash(
    canonical({
      method: equipped.method.name,
      params,
      compat: [...compat].sort(),
      seed,
      format,
      mode,
      prove: settings.prove ?? null,
      code: version,
      upon: upon.map((e) => e.id),
      base: model.id,
      templates: settings.templates ?? null,
      system: settings.system ?? null,
      running: settings.running ?? null,
      reference: given.reference?.id ?? null,
      needs: await identitiesOf(needs, equipped),
    }),
  );
}

/** The proven draft of some requests, on the given state. */
const draftOf = (equipped: Equipped, group: readonly EditRequest[], upon: Upon): Promise<Draft> =>
  provenDraft(equipped, group, upon, (params) => draftWith({ ...equipped, params }, group, upon));

function draftWith(equipped: Equipped, group: readonly EditRequest[], upon: Upon): Promise<Draft> {
  const { method, params, compat, format, seed, brought, settings, given, ctx } = equipped;
  checkAbort(ctx, "forget");
  return orBroken(upon.model, () =>
    method.edit({
      ...upon,
      ...brought,
      requests: group,
      params: params as never,
      compat,
      format,
      seed,
      ctx,
      running: { dtype: "float32", executor: "graph", ...settings.running },
      ...(given.reference && { reference: given.reference }),
      ...(settings.system !== undefined && { system: settings.system }),
      ...(settings.templates && { templates: settings.templates }),
    }),
  );
}

/** The model with the edits that are applied before the run's own. */
function underOf({ model, upon, format, ctx }: Equipped): Model {
  const warn = (text: string): void => ctx.log({ kind: "warning", who: "edit", text });
  return upon.length > 0 ? applyAll(model, upon, { format, warn, ctx }) : model;
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

async function finderOf(equipped: Equipped): Promise<Finder> {
  const { aimed, ctx, given } = equipped;
  const about = given.journal === undefined ? "" : await aboutOf(equipped);
  const journal = new Journal({ path: given.journal, continued: given.continued, about }, aimed, ctx);
  const under = underOf(equipped);
  /** One of several requests. */
  const draftAt = (i: number, upon: Upon): Promise<Draft> => {
    const request = aimed[i]!;
    if (aimed.length > 1) ctx.log({ kind: "progress", stage: "edits", done: i, total: aimed.length, detail: request.id });
    return journal.at(i, () => draftOf(equipped, [request], upon));
  };
  return {
    batch: async () => signedOf(equipped, await draftOf(equipped, aimed, { model: under }), aimed),
    sequence: async () => signedOf(equipped, await inSequence(under, aimed, (_, upon, i) => draftAt(i, upon), journal), aimed),
    singly: async () => {
      const drafts = journal.kept().map(draftAlone);
      while (drafts.length < aimed.length) {
        const draft = await draftAt(drafts.length, { model: under });
        journal.keep(stepAlone(draft));
        drafts.push(draft);
      }
      return drafts.map((draft, i) => signedOf(equipped, draft, [aimed[i]!]));
    },
  };
}
