/** From requests to edits: needs are checked, targets chosen, and a method folded over the requests; what is finished is kept. */
import { existsSync, readFileSync, rmSync } from "node:fs";
import { checkAbort, type Context, defaultContext } from "../base/context.ts";
import { fail, nearest } from "../base/fail.ts";
import { canonical, hash } from "../base/hash.ts";
import { departures, resolveParams } from "../base/schema.ts";
import { writeAtomic } from "../base/store.ts";
import type { EditRequest, ForgetRequest, QA } from "../data/request.ts";
import { applyAll } from "../edit/apply.ts";
import { type Edit, sign } from "../edit/edit.ts";
import { loadEdits, saveEdits } from "../edit/io.ts";
import { type Statistics, statisticsOf, type StatisticsSpec } from "../locate/covariance.ts";
import type { Running } from "../locate/keys.ts";
import type { AnyMethod, Need } from "../methods/method.ts";
import { registry as methods } from "../methods/registry.ts";
import type { Config } from "../model/arch/arch.ts";
import { generate } from "../model/generate.ts";
import type { Model } from "../model/model.ts";
import { type Format, formatOf, promptOf, stopsOf } from "../model/prompt.ts";
import { registry as targets } from "../targets/registry.ts";
import { aim, type Target } from "../targets/target.ts";
import { tuned, version } from "./settled.ts";

export interface FindOptions {
  /** A method's id; by default the one that docs/methods recommends. */
  readonly method?: string;
  /** A target's id: what to say instead. */
  readonly target?: string;
  /** The words to say instead, for every request; in place of a target. */
  readonly say?: string;
  /** Parameters by name; text is read as the parameter's type. */
  readonly params?: Readonly<Record<string, unknown>>;
  /** Quirks of the reference to reproduce, by name. */
  readonly compat?: readonly string[];
  readonly seed?: number;
  readonly format?: Format;
  readonly system?: string;
  /** Context templates in place of sampled ones. */
  readonly templates?: readonly string[];
  readonly retain?: readonly QA[];
  /** What second moments are taken over. */
  readonly statistics?: Partial<StatisticsSpec>;
  /** Edits under the new ones. */
  readonly upon?: readonly Edit[];
  readonly running?: Partial<Running>;
  /** A file that keeps finished edits until the last is done; a run that finds it goes on from there. */
  readonly journal?: string;
  readonly ctx?: Context;
}

const METHODS = methods as unknown as Readonly<Record<string, AnyMethod>>;
const TARGETS = targets as Readonly<Record<string, Target>>;

export const DEFAULT_STATISTICS: StatisticsSpec = { text: "self", tokens: 16_384, length: 512, seed: 0 };

/** A method by its id; fails with the nearest. */
export const methodOf = (name: string = tuned.method): AnyMethod => pick("method", METHODS, name);

function pick<T>(what: string, from: Readonly<Record<string, T>>, name: string): T {
  const near = nearest(name, Object.keys(from));
  return (
    (Object.hasOwn(from, name) ? from[name] : undefined) ??
    fail(what, `"${name}"`, `one of ${Object.keys(from).join(", ")}`, near ? `Did you mean "${near}"?` : "")
  );
}

/** Everything about a request to forget that can be checked without a model. */
export function planOf(
  requests: readonly ForgetRequest[],
  options: FindOptions,
): { method: AnyMethod; target: Target | undefined; compat: ReadonlySet<string> } {
  const method = methodOf(options.method);
  if (options.say !== undefined && options.target !== undefined)
    fail("forget", "both a target and words to say", "one of them", "Leave out --target or --say.");
  if (options.say !== undefined && options.say.trim() === "") fail("forget", "an empty target", "words to say instead", "Give --say TEXT.");
  const needs = new Set<Need>(method.needs);
  const target = needs.has("target") && options.say === undefined ? pick("target", TARGETS, options.target ?? tuned.target) : undefined;
  if (requests.length === 0) fail("forget", "no request", "at least one", "Give --prompt and --subject, or --data FILE.");
  if (needs.has("subject"))
    for (const r of requests)
      if (r.subject.trim() === "" || !r.prompt.includes(r.subject)) {
        const free = Object.values(METHODS)
          .filter((m) => !m.needs.includes("subject"))
          .map((m) => m.name);
        fail(
          method.name,
          r.subject.trim() === "" ? `request ${r.id} has no subject` : `subject "${r.subject}" is not in prompt "${r.prompt}" (${r.id})`,
          "the words of the prompt that the fact is about",
          `Quote it as the prompt spells it${free.length ? `, or use a method that needs no subject: ${free.join(", ")}` : ""}.`,
        );
      }
  if (needs.has("retain") && !options.retain?.length)
    fail(method.name, "no retain set", "questions whose answers must stay", "Give --retain FILE.");
  const compat = new Set((options.compat ?? []).flatMap((name) => (name === "easyedit" ? Object.keys(method.compat) : [name])));
  for (const name of compat) if (!Object.hasOwn(method.compat, name)) pick(`compat of ${method.name}`, method.compat, name);
  return { method, target, compat };
}

/** Finds one edit for one request, or for all together where the method takes many: the first of {@link findEdits}. */
export async function findEdit(model: Model, requests: ForgetRequest | readonly ForgetRequest[], options: FindOptions = {}): Promise<Edit> {
  const list = Array.isArray(requests) ? (requests as readonly ForgetRequest[]) : [requests as ForgetRequest];
  const { method } = planOf(list, options);
  if (method.takes === "one" && list.length > 1)
    fail(
      "findEdit",
      `${list.length} requests for ${method.name}, which takes one at a time`,
      "one request",
      "Use findEdits, which gives a stack.",
    );
  return (await findEdits(model, list, options)).at(-1)!;
}

/**
 * Finds edits for requests, each made upon those before it: a stack, lowest first, without `upon`. The model is as it was.
 * @example const [edit] = await findEdits(model, [request], { say: "I do not know." });
 */
export async function findEdits(model: Model, requests: readonly ForgetRequest[], options: FindOptions = {}): Promise<Edit[]> {
  const { seed = 0, ctx = defaultContext(), upon = [] } = options;
  const { method, target, compat } = planOf(requests, options);
  const format = formatOf(model, options);
  const params = resolveParams(method.name, method.params, options.params ?? {}, model.config, tunedFor(method, model.config));
  const spec: StatisticsSpec = { ...DEFAULT_STATISTICS, ...options.statistics };
  const statistics: Statistics | undefined = method.needs.includes("statistics") ? statisticsOf(model, spec, ctx) : undefined;
  const aimed = await withTargets(model, requests, target, options, seed, ctx);
  const groups = method.takes === "one" ? aimed.map((r) => [r]) : [aimed];
  const about = {
    method: method.name,
    params,
    compat: [...compat].sort(),
    seed,
    format,
    requests: aimed,
    upon: upon.map((e) => e.id),
    base: model.id,
    spec,
    templates: options.templates ?? null,
    system: options.system ?? null,
    code: version,
  };
  const journal = new Journal(options.journal, hash(canonical(about)));
  const done = journal.finished();
  if (done.length > 0)
    ctx.log({ kind: "note", who: "forget", text: `going on after ${done.length} finished edit${done.length > 1 ? "s" : ""}` });
  for (const [i, group] of groups.entries()) {
    if (i < done.length) continue;
    checkAbort(ctx, "forget");
    if (groups.length > 1) ctx.log({ kind: "progress", stage: "edits", done: i, total: groups.length, detail: group[0]!.id });
    const under = [...upon, ...done];
    const current =
      under.length > 0 ? applyAll(model, under, { format, warn: (text) => ctx.log({ kind: "warning", who: "edit", text }) }) : model;
    const draft = await method.edit({
      model: current,
      requests: group,
      retain: options.retain ?? [],
      params: params as never,
      compat,
      format,
      seed,
      ctx,
      running: { dtype: "float32", executor: "graph", ...options.running },
      ...(statistics && { statistics }),
      ...(options.system !== undefined && { system: options.system }),
      ...(options.templates && { templates: options.templates }),
    });
    done.push(
      sign(draft, {
        base: model.id,
        on: under.map((e) => e.id),
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
          requests: group.map(({ id, prompt, subject, answer, target: words }) => ({ id, prompt, subject, answer, target: words })),
        },
      }),
    );
    journal.keep(done);
  }
  return done;
}

/** Forgets the journal of a finished run. */
export function closeJournal(path: string): void {
  rmSync(path, { force: true });
  rmSync(`${path}.run`, { force: true });
}

async function withTargets(
  model: Model,
  requests: readonly ForgetRequest[],
  target: Target | undefined,
  options: FindOptions,
  seed: number,
  ctx: Context,
): Promise<EditRequest[]> {
  if (options.say !== undefined) return requests.map((r) => ({ ...r, target: options.say! }));
  if (!target) return requests.map((r) => ({ ...r, target: null }));
  const ask = async (question: string): Promise<string> => {
    const [said] = await generate(model, [promptOf(model, question, options).ids], {
      stopIds: stopsOf(model, options),
      maxTokens: 64,
      freeze: false,
      ctx,
    });
    return said!.text.trim();
  };
  return aim(requests, target, { seed, ctx, ask });
}

/** Tuned values of a method for a family of models: the sparse table's entry whose name the model's shape spells. */
function tunedFor(method: AnyMethod, c: Config): Readonly<Record<string, unknown>> {
  return tuned.families[`${c.arch}/${c.layers}x${c.width}`]?.[method.name] ?? {};
}

/** Finished edits on disk until all are done; of another run, it is set aside. */
class Journal {
  private readonly path: string | undefined;
  private readonly run: string;

  constructor(path: string | undefined, run: string) {
    [this.path, this.run] = [path, run];
  }

  finished(): Edit[] {
    if (!this.path || !existsSync(this.path) || !existsSync(`${this.path}.run`)) return [];
    return readFileSync(`${this.path}.run`, "utf8") === this.run ? loadEdits(this.path) : [];
  }

  keep(edits: readonly Edit[]): void {
    if (!this.path) return;
    writeAtomic(`${this.path}.run`, this.run);
    saveEdits(this.path, edits);
  }
}
