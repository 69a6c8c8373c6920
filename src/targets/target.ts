/** What a target is: the words that shall be said instead of an answer. */
import { checkAbort, type Context } from "../base/context.ts";
import { rng, type Rng } from "../base/rng.ts";
import type { EditRequest, ForgetRequest } from "../data/request.ts";

/** What a target may use: chance that belongs to this request alone, a way to log and stop, and the model where there is one. */
export interface Lent {
  readonly rng: Rng;
  readonly ctx: Context;
  /** Asks the unedited model and gives what it says. */
  readonly ask?: (prompt: string) => Promise<string>;
}

export interface Target {
  readonly name: string;
  readonly doc: string;
  /** The words for `request`; `pool` holds all requests of the run, this one among them. */
  readonly say: (request: ForgetRequest, pool: readonly ForgetRequest[], lent: Lent) => Promise<string>;
}

/** A target as it is written down: nothing is added, the type is checked. */
export const defineTarget = (target: Target): Target => target;

/** Every request with its target; a request's words depend on seed, target and id, never on the other requests' order. */
export async function aim(
  requests: readonly ForgetRequest[],
  target: Target,
  { seed, ctx, ask }: { seed: string | number; ctx: Context; ask?: Lent["ask"] },
): Promise<EditRequest[]> {
  const chance = rng(seed).split("target").split(target.name);
  const aimed: EditRequest[] = [];
  for (const request of requests) {
    checkAbort(ctx, target.name);
    const words = await target.say(request, requests, { rng: chance.split(request.id), ctx, ...(ask === undefined ? {} : { ask }) });
    aimed.push({ ...request, target: words });
  }
  return aimed;
}
