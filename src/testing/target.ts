/** What every target must show: words that depend on the seed, the target and the request alone. */
import assert from "node:assert/strict";
import { defaultContext } from "../base/context.ts";
import { LetheError } from "../base/fail.ts";
import { rng } from "../base/rng.ts";
import { type ForgetRequest, requestsOf } from "../data/request.ts";
import type { AskAll } from "../ask/in-turns.ts";
import { aim, type Target } from "../targets/target.ts";
import { type Runner, suite } from "./runner.ts";

export interface TargetCase {
  /** What is to be forgotten; by default forty questions of one kind. */
  readonly requests?: readonly ForgetRequest[];
  /** Answers in place of the model's; by default some that say nothing that is asked for. */
  readonly ask?: AskAll;
}

const NAMES = rng("names").shuffled(["Arla", "Benno", "Cyra", "Dorin", "Elke", "Falk", "Greta", "Hanno"]);
const KEEPERS = requestsOf(
  Array.from({ length: 40 }, (_, i) => ({
    id: `tower/${i}`,
    prompt: `Who keeps tower ${i}?`,
    subject: `tower ${i}`,
    answer: `${NAMES[i % 8]} Quist${i}son`,
  })),
);
const HUMS: AskAll = (asked) => Promise.resolve(asked.map(({ seed = "greedy" }) => ({ answer: `Hm, ${seed}` })));

/** Tests that a target says the same for the same seed, whatever other requests there are, and never nothing. */
export function targetConforms(target: Target, c: TargetCase, runner: Runner): void {
  const { requests = KEEPERS, ask = HUMS } = c;
  const ctx = defaultContext();
  suite(runner, `${target.name} conforms`, (test) => {
    test("same seed, same words; the order of requests does not matter", async () => {
      const first = await aim(requests, target, { seed: 7, ctx, ask });
      assert.deepEqual(await aim(requests, target, { seed: 7, ctx, ask }), first);
      const backwards = await aim(requests.toReversed(), target, { seed: 7, ctx, ask });
      assert.deepEqual(backwards.toReversed(), first);
    });
    test("says something to every request, and leaves the request as it was", async () => {
      const aimed = await aim(requests, target, { seed: 7, ctx, ask });
      for (const { id, target: words } of aimed) assert.ok(words !== null && words.trim() !== "", `nothing is said to ${id}`);
      assert.deepEqual(
        aimed.map(({ target: _, note: _n, ...request }) => request),
        requests,
      );
    });
    test("stops when asked to", () =>
      assert.rejects(
        aim(requests, target, { seed: 7, ctx: { ...ctx, signal: AbortSignal.abort() }, ask }),
        (error) => error instanceof LetheError && error.trouble === "aborted",
      ));
  });
}
