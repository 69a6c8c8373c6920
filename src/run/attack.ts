/**
 * Runs an attack on a model. The attack gets only what it declares to know and use. Its attempts are scored by the part of the answer that
 * they recover.
 */
import type { AnyAttack, Ask, Asked, Attempt, Knows, Siege } from "../attack/attack.ts";
import { registry } from "../attack/registry.ts";
import type { Context } from "../base/context.ts";
import { asker } from "../ask/in-turns.ts";
import { withAnswers } from "../ask/kept.ts";
import { fail } from "../base/fail.ts";
import { named, onShelf, type Plugged } from "../base/plugin.ts";
import { rng, type Rng } from "../base/rng.ts";
import { resolveParams } from "../base/schema.ts";
import type { ForgetRequest } from "../data/request.ts";
import { leakIn } from "../data/words.ts";
import type { Change } from "../edit/edit.ts";
import { type AttackedRequest, recallOf, scored, sweep, type SweepRow } from "../eval/leak.ts";
import { tokenize } from "../eval/rouge.ts";
import { DEFAULT_STATISTICS, statisticsOf } from "../locate/covariance.ts";
import { chosenEncoder } from "../model/encoders.ts";
import type { Model } from "../model/model.ts";
import type { AskAs } from "../model/prompt.ts";
import type { Heard } from "./heard.ts";
import { defaults } from "./defaults.ts";

export interface AttackOptions extends AskAs {
  /** An attack's id; the default is the one that defaults.json names. */
  readonly attack?: string;
  /** The sources of attempts to use; all by default. */
  readonly from?: readonly string[];
  /** The attack's parameters by name; text is read as the parameter's type. */
  readonly params?: Readonly<Record<string, unknown>>;
  /** The same as the parameter `samples` of attacks that ask: the largest number of questions of each source for a request. */
  readonly samples?: number;
  /** The numbers of attempts for which the recall is reported; by default the powers of two up to the largest possible number. */
  readonly sizes?: readonly number[];
  readonly seed?: number;
  /** Stored answers of an interrupted run, which are not asked again. New answers are added. */
  readonly heard?: Heard;
}

export interface AttackRecord {
  readonly attack: string;
  readonly params: Readonly<Record<string, unknown>>;
  /** The number of attempts of each source. */
  readonly sources: Readonly<Record<string, number>>;
  /** Mean recall of the answers when the requests are asked unchanged. */
  readonly direct: number;
  readonly sweep: readonly SweepRow[];
  readonly requests: readonly AttackedRequest[];
  /** The number of left-out requests and attempts by kind. They are in none of the numbers above. */
  readonly dropped: Readonly<Record<string, number>>;
}

/** Every attack by its id. */
export const attacksOf = (ctx: Plugged): Readonly<Record<string, AnyAttack>> =>
  onShelf("attack", registry as unknown as Readonly<Record<string, AnyAttack>>, ctx);

/** An attack by its id, or the default attack. Refuses an unknown id. */
export const attackOf = (name: string = defaults.attack, ctx: Plugged): AnyAttack => named("attack", attacksOf(ctx), name);

/** The sizes of a sweep: 1, 2, 4 and so on, and the largest number. */
const powersTo = (most: number): number[] =>
  [...Array.from({ length: 1 + Math.floor(Math.log2(most)) }, (_, i) => 2 ** i), most].filter((n, i, all) => all.indexOf(n) === i);

/**
 * Attacks `model` to recover the answers that it should have forgotten. Missing answers are taken from `base`. A request that cannot be asked
 * unchanged, or that has no known answer, is left out and counted.
 */
export async function attackOn(
  model: Model,
  base: Model,
  known: readonly ForgetRequest[],
  options: AttackOptions,
  ctx: Context,
): Promise<AttackRecord> {
  const { seed = 0, samples, format, system, heard } = options;
  const attack = attackOf(options.attack, ctx);
  const from = sourcesOf(attack, options.from);
  const given = { ...(samples !== undefined && { samples }), ...options.params };
  const params = resolveParams<Record<string, unknown>, unknown>(attack.name, attack.params as never, given, base.config);
  const sizes = sizesFor(attack, attack.most(params as never, from.length), options.sizes);
  refuseOthers(attack, model);
  const ask: AskAs = { ...(format && { format }), ...(system !== undefined && { system }) };
  const left = leftOut();
  const askable = await askedAsTheyAre(asker(model, ask, ctx, heard?.of("model")), known, left.drop);
  const requests = withWords(await withAnswers(base, askable.requests, ask, ctx), left.drop);
  left.tell(ctx);
  if (requests.length === 0)
    fail("attack", "no request that can be asked and has an answer", "at least one", "Shorten the prompts, or give --answer.");
  const chance = rng(seed).split("attack").split(attack.name);
  const job = await siegeOf(attack, {
    model,
    base,
    requests,
    from,
    params,
    rng: chance,
    ask,
    drop: left.drop,
    ctx,
    ...(heard && { heard }),
  });
  const attempts = await attemptsOf(attack, job);
  const attacked = requests.map(({ id, prompt, answer }): AttackedRequest => {
    const said = askable.said.get(id)!;
    return { id, prompt, answer, said, recall: recallOf(answer, said), variants: attempts.get(id)!.map((one) => scored(answer, one)) };
  });
  left.tell(ctx);
  const all = [...attempts.values()].flat();
  return {
    attack: attack.name,
    params,
    sources: Object.fromEntries(from.map((source) => [source, all.filter((one) => one.source === source).length])),
    direct: sweep(attacked, [0], seed)[0]!.mean,
    sweep: sweep(attacked, sizes, seed),
    requests: attacked,
    dropped: left.counts,
  };
}

function sizesFor(attack: AnyAttack, most: number, wanted: readonly number[] | undefined): readonly number[] {
  if (!(Number.isInteger(most) && most > 0)) fail(attack.name, `${most} attempts at a request`, "a whole number, at least one", "");
  const wrong = wanted?.find((size) => !(Number.isInteger(size) && size >= 0 && size <= most));
  if (wrong !== undefined) fail("attack", `a size of ${wrong}`, `whole numbers up to ${most}`, "Let it make more attempts: --samples.");
  return wanted ?? powersTo(most);
}

/** The chosen sources; all by default. Refuses a source that the attack does not have. */
export function sourcesOf(attack: AnyAttack, wanted: readonly string[] | undefined): readonly string[] {
  const there = Object.keys(attack.sources);
  const stranger = wanted?.find((source) => !there.includes(source));
  if (stranger !== undefined) fail(attack.name, `the source "${stranger}"`, `some of ${there.join(", ")}`, "");
  return wanted === undefined ? there : there.filter((source) => wanted.includes(source));
}

/** Refuses a model with an edit of a kind that the attack cannot test. */
function refuseOthers({ name, changes }: AnyAttack, { changed, adapters, rewrites = [] }: Model): void {
  const kinds: readonly (readonly [Change["kind"], number])[] = [
    ["delta", changed.size],
    ["adapter", adapters.length],
    ["prompt", rewrites.length],
  ];
  const other = kinds.find(([kind, count]) => count > 0 && !changes.includes(kind));
  if (other) fail(name, `an edit that is of the kind ${other[0]}`, `edits of the kind ${changes.join(" or ")}`, "It would find nothing.");
}

/** Why a request is left out of an attack's numbers. */
export const [NOT_ASKED, WORDLESS] = ["request that could not be asked", "request whose answer has no word to count"];

/** The requests that can be asked unchanged, and the answer to each by its id. */
async function askedAsTheyAre(
  ask: Ask,
  known: readonly ForgetRequest[],
  drop: Drop,
): Promise<{ readonly requests: readonly ForgetRequest[]; readonly said: ReadonlyMap<string, string> }> {
  const replies = await ask(known.map(({ prompt }) => ({ messages: prompt })));
  const said = new Map<string, string>();
  known.forEach(({ id }, i) => {
    const reply = replies[i]!;
    if ("error" in reply) drop(NOT_ASKED, reply.error.message);
    else said.set(id, reply.answer);
  });
  return { requests: known.filter(({ id }) => said.has(id)), said };
}

/** The requests whose answer contains a word to recover. */
function withWords(requests: readonly ForgetRequest[], drop: Drop): readonly ForgetRequest[] {
  const good = requests.filter(({ answer }) => tokenize(answer).length > 0);
  for (let i = good.length; i < requests.length; i++) drop(WORDLESS);
  return good;
}

type Drop = Siege<never>["drop"];

/** Counts what is left out, and logs each reason once. */
function leftOut(): { readonly counts: Readonly<Record<string, number>>; readonly drop: Drop; readonly tell: (ctx: Context) => void } {
  const counts: Record<string, number> = {};
  const reasons = new Map<string, string>();
  const told = new Set<string>();
  return {
    counts,
    drop(what, why) {
      counts[what] = (counts[what] ?? 0) + 1;
      if (why !== undefined && !reasons.has(what)) reasons.set(what, why);
    },
    tell(ctx) {
      for (const [what, count] of Object.entries(counts)) {
        const why = reasons.has(what) ? ` (the first: ${reasons.get(what)})` : "";
        const text = `left out, and in no number: ${count} × ${what}${why}`;
        if (!told.has(text)) ctx.log({ kind: "warning", who: "attack", text });
        told.add(text);
      }
    },
  };
}

/** The input of an attack: the known part of each request, and the access to the model that it declares. */
export async function siegeOf(
  attack: AnyAttack,
  given: {
    readonly model: Model;
    readonly base: Model;
    /** With their answers. */
    readonly requests: readonly ForgetRequest[];
    readonly from: readonly string[];
    readonly params: Readonly<Record<string, unknown>>;
    readonly rng: Rng;
    readonly ask: AskAs;
    readonly drop: Drop;
    readonly ctx: Context;
    readonly heard?: Heard;
  },
): Promise<Siege<Readonly<Record<string, unknown>>>> {
  const { model, base, requests, from, params, drop, ctx, heard } = given;
  const byId = new Map(requests.map((request) => [request.id, request]));
  const needs = new Set(attack.needs);
  const askModel = asker(model, given.ask, ctx, heard?.of("model"));
  return {
    requests: requests.map((request) => seenBy(attack.knows, request, given.rng)),
    from,
    params,
    rng: given.rng,
    ask(asked) {
      if (attack.access === "text" && asked.some(({ seed }) => seed !== undefined))
        fail(attack.name, "a drawn answer", "greedy ones", 'Declare access: "sampling".');
      return askModel(asked);
    },
    ...(attack.access !== "text" && attack.access !== "sampling" && { model }),
    ...(needs.has("base") && { base: { model: base, ask: asker(base, given.ask, ctx, heard?.of("base")) } }),
    ...(needs.has("encoder") && { encoder: await chosenEncoder(base, ctx.encoder, ctx) }),
    ...(needs.has("statistics") && { statistics: statisticsOf(base, DEFAULT_STATISTICS, ctx) }),
    gives(id, text) {
      const { prompt, answer } = byId.get(id)!;
      return leakIn(text, { question: prompt, answer }) !== undefined;
    },
    drop,
    ctx,
  };
}

/** A request without the fields that the attack must not know. */
function seenBy(knows: readonly Knows[], request: ForgetRequest, chance: Rng): Asked {
  const { answer, aliases, restated, wrong, paraphrases, merged, ...open } = request;
  return {
    ...open,
    ...(merged && { merged: merged.map(({ answer: _, ...question }) => question) }),
    ...(knows.includes("paraphrases") && { paraphrases }),
    ...(knows.includes("candidates") && {
      candidates: chance
        .split("candidates")
        .split(request.id)
        .shuffled([answer, ...wrong]),
    }),
    ...(knows.includes("answer") && {
      answer,
      wrong,
      ...(aliases !== undefined && { aliases }),
      ...(restated !== undefined && { restated }),
    }),
  };
}

/** Every attempt by its request. Refuses an attempt for a request that was not given. */
async function attemptsOf(attack: AnyAttack, job: Siege<Readonly<Record<string, unknown>>>): Promise<ReadonlyMap<string, Attempt[]>> {
  const attempts = new Map(job.requests.map(({ id }): [string, Attempt[]] => [id, []]));
  for await (const attempt of attack.attempts(job as never)) {
    const { request, source, guesses, said } = attempt;
    const own = attempts.get(request) ?? fail(attack.name, `an attempt at "${request}"`, "one at a request of the job", "");
    if (!job.from.includes(source)) fail(attack.name, `an attempt from "${source}"`, `one from ${job.from.join(", ")}`, "");
    if (guesses.length === 0 && said === undefined) fail(attack.name, `an attempt at "${request}" that says nothing`, "a guess", "");
    own.push(attempt);
  }
  return attempts;
}
