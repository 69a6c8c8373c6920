/** An attack as one command does it: a model asked in other words for what it was to forget, and what comes back. */
import { type AttackedRequest, type Attack, type Lent, recallOf, sweep, type SweepRow, type Variant } from "../attack/attack.ts";
import { registry } from "../attack/registry.ts";
import { checkAbort, type Context } from "../base/context.ts";
import { fail, nearest } from "../base/fail.ts";
import { rng } from "../base/rng.ts";
import type { ForgetRequest } from "../data/request.ts";
import { squeezed } from "../data/words.ts";
import type { Model } from "../model/model.ts";
import type { AskAs, Format } from "../model/prompt.ts";
import { readRequests, type Wanted, withSubjects } from "./requests.ts";
import { asker, inTurns } from "../ask/in-turns.ts";
import { withAnswers } from "../ask/kept.ts";
import { open } from "./open.ts";

const ATTACKS: Readonly<Record<string, Attack>> = registry;
/** The attack that is made unless another is named. */
const FIRST = Object.keys(ATTACKS)[0]!;
/** Questions of each source for a request at most. */
const SAMPLES = 8;

export interface AttackOptions extends AskAs {
  /** An attack's id. */
  readonly attack?: string;
  /** Sources of its questions; by default all. */
  readonly from?: readonly string[];
  /** Questions a request at most, from every source (8). */
  readonly samples?: number;
  /** Numbers of questions for which it is told what comes back; by default powers of two up to all there may be. */
  readonly sizes?: readonly number[];
  readonly seed?: number;
}

export interface AttackRecord {
  readonly attack: string;
  /** How many questions each source gave. */
  readonly sources: Readonly<Record<string, number>>;
  /** Questions that could not be asked, which no number counts. */
  readonly unasked: number;
  /** Mean recall of the answers to the requests as they are. */
  readonly direct: number;
  readonly sweep: readonly SweepRow[];
  readonly requests: readonly AttackedRequest[];
}

/** The sizes of a sweep: 1, 2, 4 and so on, and the most. */
const powersTo = (most: number): number[] =>
  [...Array.from({ length: 1 + Math.floor(Math.log2(most)) }, (_, i) => 2 ** i), most].filter((n, i, all) => all.indexOf(n) === i);

/** Asks `model` for what it was to forget in as many other ways as `base`, data and templates give; answers that nobody gave are `base`'s. */
export async function attackOn(
  model: Model,
  base: Model,
  known: readonly ForgetRequest[],
  options: AttackOptions,
  ctx: Context,
): Promise<AttackRecord> {
  const { attack: name = FIRST, samples = SAMPLES, seed = 0, format, system } = options;
  const attack = attackOf(name);
  const from = sourcesOf(attack, options.from);
  if (!(Number.isInteger(samples) && samples > 0)) fail("attack", `${samples} questions a request`, "at least one", "");
  const most = samples * from.length;
  const sizes = options.sizes ?? powersTo(most);
  const wrong = sizes.find((size) => !(Number.isInteger(size) && size >= 0 && size <= most));
  if (wrong !== undefined) fail("attack", `a size of ${wrong}`, `whole numbers up to ${most}`, "Ask for more with --samples.");
  const ask: AskAs = { ...(format && { format }), ...(system !== undefined && { system }) };
  const requests = await withAnswers(base, known, ask, ctx);
  const askBase = inTurns(asker(base, ask, ctx));
  const chance = rng(seed).split("attack").split(name);
  const variants = await Promise.all(
    requests.map((request) => variantsOf(attack, request, from, samples, { rng: chance.split(request.id), ctx, ask: askBase })),
  );
  const messages = requests.flatMap(({ prompt }, i) => [prompt, ...variants[i]!.map(({ question }) => question)]);
  const replies = await asker(model, ask, ctx)(messages.map((text) => ({ messages: text })));
  const unasked = replies.flatMap((reply) => ("error" in reply ? [reply.error] : []));
  let at = 0;
  const attacked = requests.flatMap(({ id, prompt, answer }, i): AttackedRequest[] => {
    const answered = (): { said: string; recall: number }[] => {
      const reply = replies[at++]!;
      return "error" in reply ? [] : [{ said: reply.answer, recall: recallOf(answer, reply.answer) }];
    };
    const direct = answered();
    const tried = variants[i]!.flatMap((variant) => answered().map((own) => ({ ...variant, ...own })));
    return direct.map((own) => ({ id, prompt, answer, ...own, variants: tried }));
  });
  if (unasked.length > 0)
    ctx.log({
      kind: "warning",
      who: "attack",
      text: `${unasked.length} of ${replies.length} questions could not be asked and are left out, with them ${requests.length - attacked.length} requests (the first: ${unasked[0]!.message})`,
    });
  if (attacked.length === 0) throw unasked[0]!;
  const [direct] = sweep(attacked, [0], seed);
  return {
    attack: name,
    sources: Object.fromEntries(from.map((source) => [source, variants.flat().filter((variant) => variant.source === source).length])),
    unasked: unasked.length,
    direct: direct!.mean,
    sweep: sweep(attacked, sizes, seed),
    requests: attacked,
  };
}

/** Up to `count` questions of each source, drawn, each once. */
async function variantsOf(attack: Attack, request: ForgetRequest, from: readonly string[], count: number, lent: Lent): Promise<Variant[]> {
  const found: Variant[] = [];
  const seen = new Set<string>();
  for (const source of from) {
    checkAbort(lent.ctx, "attack");
    const own = lent.rng.split(source);
    const questions = await attack.ask(request, source, count, { ...lent, rng: own });
    const fresh = questions.filter((question) => !seen.has(squeezed(question)) && seen.add(squeezed(question)));
    found.push(
      ...own
        .split("order")
        .shuffled(fresh)
        .slice(0, count)
        .map((question) => ({ source, question })),
    );
  }
  return found;
}

function attackOf(name: string): Attack {
  const near = nearest(name, Object.keys(ATTACKS));
  return (
    (Object.hasOwn(ATTACKS, name) ? ATTACKS[name] : undefined) ??
    fail("attack", `"${name}"`, `one of ${Object.keys(ATTACKS).join(", ")}`, near ? `Did you mean "${near}"?` : "")
  );
}

function sourcesOf(attack: Attack, wanted: readonly string[] | undefined): readonly string[] {
  const there = Object.keys(attack.sources);
  const stranger = wanted?.find((source) => !there.includes(source));
  if (stranger !== undefined) fail(attack.name, `the source "${stranger}"`, `some of ${there.join(", ")}`, "");
  return wanted === undefined ? there : there.filter((source) => wanted.includes(source));
}

/** Opens a model with its edits and attacks it. */
export async function attackSpec(
  spec: string,
  wanted: Pick<Wanted, "prompt" | "subject" | "answer" | "data" | "limit">,
  { edits = [], ...options }: AttackOptions & { readonly edits?: readonly string[]; readonly format?: Format },
  ctx: Context,
): Promise<AttackRecord> {
  const requests = withSubjects(await readRequests("attack", wanted, ctx), ctx);
  attackOf(options.attack ?? FIRST);
  const opened = await open(spec, { edits, ...(options.format && { format: options.format }) }, ctx);
  try {
    return await attackOn(opened.model, opened.base, requests, options, ctx);
  } finally {
    await opened.close();
  }
}

/** Every attack, with its sources, for help. */
export const attackCards = (): readonly Pick<Attack, "name" | "doc" | "sources">[] => Object.values(ATTACKS);
