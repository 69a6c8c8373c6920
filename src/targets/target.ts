/** What a target is: the text to say instead of an answer. */
import { type Breathe, breather, checkAbort, type Context } from "../base/context.ts";
import { define, type Forms } from "../base/define.ts";
import { rng, type Rng } from "../base/rng.ts";
import type { EditRequest, ForgetRequest } from "../data/request.ts";
import type { Asking } from "../ask/ask.ts";
import { type AskAll, inTurns, type Reply } from "../ask/in-turns.ts";

/** What a target may use: a random stream of this request, the context, and the model if there is one. */
export interface Lent {
  readonly rng: Rng;
  readonly ctx: Context;
  /** To be called before much is computed: signals are heard in between. */
  readonly breathe: Breathe;
  /** Asks the unedited model and gives what it says, or why it could not be asked. What the requests of a run ask at a time is answered together. */
  readonly ask?: (asking: Asking) => Promise<Reply>;
}

/** The text; `note` gives the reason if it is a stand-in. */
export interface Said {
  readonly words: string;
  readonly note?: string;
}

export interface Target {
  readonly name: string;
  readonly doc: string;
  /** Tokens of the longest text that the model may write for it, if more than of an answer. */
  readonly longest?: number;
  /** The text for `request`; `pool` contains all requests of the run, including this one. */
  readonly say: (request: ForgetRequest, pool: readonly ForgetRequest[], lent: Lent) => Promise<string | Said>;
}

/** Requests between two notes of progress. */
const MANY = 100;

const FIELDS: Forms<Target> = { name: "text", doc: "text", longest: { optional: "number" }, say: "function" };

/** A target, checked and marked; refuses what lacks a field, by its name. */
export const defineTarget = (target: Target): Target => define("target", FIELDS, target);

/**
 * Every request with its target, and with others if `count` is more than one. A text depends on seed, target, id and its number, never on the
 * order of the other requests. Reports how many are stand-ins.
 */
export async function aim(
  requests: readonly ForgetRequest[],
  target: Target,
  { seed, ctx, ask, count = 1 }: { seed: string | number; ctx: Context; ask?: AskAll; count?: number },
): Promise<EditRequest[]> {
  const chance = rng(seed).split("target").split(target.name);
  const together = ask && inTurns(ask);
  const breathe = breather(ctx, target.name);
  let done = 0;
  const aimed = await Promise.all(
    requests.map(async (request): Promise<EditRequest> => {
      await breathe();
      checkAbort(ctx, target.name);
      const own = chance.split(request.id);
      const streams = Array.from({ length: count }, (_, i) => (i === 0 ? own : own.split("others").split(i)));
      const all = await Promise.all(
        streams.map((random) => target.say(request, requests, { rng: random, ctx, breathe, ...(together && { ask: together }) })),
      );
      if (++done % MANY === 0) ctx.log({ kind: "progress", stage: "choosing targets", done, total: requests.length, unit: "requests" });
      const [first, ...others] = all.map((said): Said => (typeof said === "string" ? { words: said } : said));
      const notes = [first!, ...others].flatMap(({ note }) => note ?? []);
      return {
        ...request,
        target: first!.words,
        ...(others.length > 0 && { others: others.map(({ words }) => words) }),
        ...(notes.length > 0 && { note: count === 1 ? notes[0]! : `${notes.length} of ${count} are stand-ins, the first as ${notes[0]!}` }),
      };
    }),
  );
  tellNotes(aimed, target, ctx);
  return aimed;
}

function tellNotes(aimed: readonly EditRequest[], target: Target, ctx: Context): void {
  const noted = aimed.filter(({ note }) => note !== undefined);
  const rest = noted.length > 3 ? `; and ${noted.length - 3} more` : "";
  if (noted.length > 0)
    ctx.log({
      kind: "warning",
      who: target.name,
      text: `${noted.length} of ${aimed.length} targets are stand-ins: ${noted
        .slice(0, 3)
        .map(({ id, note }) => `${id}: ${note}`)
        .join("; ")}${rest}`,
    });
}
