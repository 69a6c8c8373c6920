/** What every attack must show on the bundled model. */
import assert from "node:assert/strict";
import { rmSync } from "node:fs";
import { join } from "node:path";
import { type AnyAttack, type Ask, type Asked, type Attack, type Attempt, KNOWS, type Siege } from "../attack/attack.ts";
import { type Context, defaultContext } from "../base/context.ts";
import { LetheError } from "../base/fail.ts";
import { rng } from "../base/rng.ts";
import { resolveParams } from "../base/schema.ts";
import { scratch } from "../base/store.ts";
import { type ForgetRequest, requestsOf } from "../data/request.ts";
import { load } from "../model/load.ts";
import type { Model } from "../model/model.ts";
import { siegeOf } from "../run/attack.ts";
import { weightsOf } from "./facts.ts";
import { watched } from "./method.ts";
import { once, type Runner, suite, type Test } from "./runner.ts";

export interface AttackCase {
  /** Parameters that keep the suite short. */
  readonly params?: Readonly<Record<string, unknown>>;
  /** Parameters that only some settings read, with the settings under which each is. */
  readonly readWhen?: Readonly<Record<string, Readonly<Record<string, unknown>>>>;
  /** What is attacked, with answers; by default three capitals of the bundled world. */
  readonly requests?: readonly ForgetRequest[];
}

const CAPITALS = requestsOf(
  Object.entries({ Norvane: "Sellamere", Ostrel: "Brackwater", Veyra: "Almquist" }).map(([subject, answer], _, all) => ({
    id: subject.toLowerCase(),
    prompt: `What is the capital of ${subject}?`,
    subject,
    answer,
    paraphrases: [`Which city is the capital of ${subject}?`, `Name the capital of ${subject}.`],
    wrong: all.flatMap(([, other]) => (other === answer ? [] : [other])),
    restated: `The capital of ${subject} is ${answer}.`,
  })),
);
/** What of a request only some attacks know. */
const HIDDEN = {
  answer: "answer",
  aliases: "answer",
  restated: "answer",
  wrong: "answer",
  paraphrases: "paraphrases",
  candidates: "candidates",
} as const;

interface Bench {
  readonly attack: AnyAttack;
  readonly c: AttackCase;
  readonly ctx: Context;
  readonly loaded: () => Promise<Model>;
  /** Attempts of one run; what is given replaces what the job has. */
  readonly run: (over?: Over) => Promise<Attempt[]>;
}

interface Over {
  readonly params?: Readonly<Record<string, unknown>>;
  readonly seed?: number;
  readonly ctx?: Context;
  readonly job?: (job: Siege<object>) => Partial<Siege<object>>;
  /** Called with each attempt as it is made. */
  readonly attempt?: () => void;
}

/** Tests that an attack tries the same each time, reads what it declares and nothing more, and leaves the model alone. */
export function attackConforms<P extends object>(given: Attack<P> | AnyAttack, c: AttackCase, runner: Runner): void {
  const attack = given as unknown as AnyAttack;
  const requests = c.requests ?? CAPITALS;
  suite(runner, `${attack.name} conforms`, (test, after) => {
    const folder = scratch("lethe-attack");
    const ctx = defaultContext({ cache: join(folder, "cache") });
    const loaded = once(() => load("bundled", ctx));
    after(async () => {
      await (await loaded()).release();
      rmSync(folder, { recursive: true, force: true });
    });
    const run: Bench["run"] = async (over = {}) => {
      const model = await loaded();
      const { seed = 3, ctx: own = ctx, params = resolved(attack, c, model) } = over;
      const from = Object.keys(attack.sources);
      const about = { model, base: model, requests, from, params, rng: rng(seed), ask: {}, drop: () => {}, ctx: own };
      const job = await siegeOf(attack, about);
      const attempts: Attempt[] = [];
      for await (const attempt of attack.attempts({ ...job, ...over.job?.(job) } as never)) {
        attempts.push(attempt);
        over.attempt?.();
      }
      return attempts;
    };
    const bench: Bench = { attack, c, ctx, loaded, run };
    repeats(test, bench, requests);
    readsWhatItSays(test, bench);
    stops(test, bench);
  });
}

const resolved = (attack: AnyAttack, c: AttackCase, model: Model, more: Readonly<Record<string, unknown>> = {}) =>
  resolveParams<Record<string, unknown>, unknown>(attack.name, attack.params as never, { ...c.params, ...more }, model.config);

/** Without the time that it took. */
const timeless = (attempts: readonly Attempt[]): object[] =>
  attempts.map(({ cost: { seconds: _, ...cost }, ...attempt }) => ({ ...attempt, cost }));

function repeats(test: Test, { attack, c, loaded, run }: Bench, requests: readonly ForgetRequest[]): void {
  test("makes the same attempts for the same seed, and leaves the model as it was, to the bit", async () => {
    const before = weightsOf(await loaded());
    const first = await run();
    assert.ok(first.length > 0, "it makes no attempt");
    assert.deepEqual(timeless(await run()), timeless(first));
    assert.equal(weightsOf(await loaded()), before);
  });
  test("attempts what it was asked for, from sources that it declares, no more often than it says", async () => {
    const attempts = await run();
    const most = attack.most(resolved(attack, c, await loaded()) as never, Object.keys(attack.sources).length);
    for (const { request, source, said, guesses, cost } of attempts) {
      assert.ok(
        requests.some(({ id }) => id === request),
        `an attempt at "${request}"`,
      );
      assert.ok(Object.hasOwn(attack.sources, source), `an attempt from "${source}"`);
      assert.ok(said !== undefined || guesses.length > 0, "an attempt that puts nothing forward");
      assert.ok(cost.queries >= 0 && cost.steps >= 0 && cost.seconds >= 0, "a cost below nothing");
    }
    for (const { id } of requests) {
      const own = attempts.filter(({ request }) => request === id).length;
      assert.ok(own <= most, `${own} attempts at "${id}", of ${most} at most`);
    }
  });
}

function readsWhatItSays(test: Test, { attack, c, loaded, run }: Bench): void {
  test("reads of a request what it says that it knows, and nothing else", async () => {
    const read = new Set<string>();
    await run({ job: ({ requests }) => ({ requests: requests.map((request): Asked => watched(request, read)) }) });
    const strange = Object.entries(HIDDEN).filter(([field, knows]) => read.has(field) && !attack.knows.includes(knows));
    assert.deepEqual(
      strange.map(([field]) => field),
      [],
      "fields that are read and not declared in knows",
    );
    const idle = KNOWS.filter(
      (knows) =>
        attack.knows.includes(knows) &&
        Object.values(HIDDEN).some((other) => other === knows) &&
        !Object.entries(HIDDEN).some(([field, other]) => other === knows && read.has(field)),
    );
    assert.deepEqual(idle, [], "declared in knows and never read");
  });
  test("reads every parameter it declares", async () => {
    const model = await loaded();
    const read = new Set<string>();
    for (const extra of [{}, ...Object.values(c.readWhen ?? {})]) await run({ params: watched(resolved(attack, c, model, extra), read) });
    assert.deepEqual(
      Object.keys(attack.params).filter((name) => !read.has(name)),
      [],
    );
  });
  test("makes no attempt of a question that could not be asked", async () => {
    const error = new LetheError("ask", "a prompt that fills the context", "a shorter one", "", "usage");
    const ask: Ask = (asked) => Promise.resolve(asked.map(() => ({ error })));
    let dropped = 0;
    let wasAsked = 0;
    const counting: Ask = (asked) => {
      wasAsked += asked.length;
      return ask(asked);
    };
    const attempts = await run({ job: () => ({ ask: counting, drop: () => void dropped++ }) });
    assert.equal(attempts.filter(({ said }) => said !== undefined).length, 0);
    assert.ok(dropped >= Math.min(1, wasAsked), "questions are dropped and not counted");
  });
}

function stops(test: Test, { ctx, run }: Bench): void {
  const isAborted = (error: unknown): boolean => error instanceof LetheError && error.trouble === "aborted";
  test("stops within a step when asked to", async () => {
    const stop = new AbortController();
    const stopping = { ...ctx, signal: stop.signal };
    const last =
      (ask: Ask): Ask =>
      (asked) => {
        stop.abort();
        return ask(asked);
      };
    let later = 0;
    const attempt = (): void => {
      if (stop.signal.aborted) later++;
      stop.abort();
    };
    const job = ({ ask, base }: Siege<object>) => ({ ask: last(ask), ...(base && { base: { ...base, ask: last(base.ask) } }) });
    await run({ ctx: stopping, job, attempt }).catch((error: unknown) => assert.ok(isAborted(error), String(error)));
    assert.equal(later, 0, "it goes on after it was stopped");
    await assert.rejects(run({ ctx: stopping }), isAborted);
  });
}
