/** Attacks that ask other questions: from a function that writes questions, an attack's attempts, each answered greedily. */
import { checkAbort, type Context } from "../base/context.ts";
import type { Rng } from "../base/rng.ts";
import type { Declared } from "../base/schema.ts";
import type { Asking } from "../ask/ask.ts";
import { inTurns, type Reply } from "../ask/in-turns.ts";
import { squeezed } from "../data/words.ts";
import type { Config } from "../model/arch/arch.ts";
import type { Asked, Attack, Attempt, Siege } from "./attack.ts";

/** How many questions are asked. */
export interface Samples {
  readonly samples: number;
}
const SAMPLES: Declared<Samples> = {
  samples: { default: 8, doc: "questions of each source for a request, at most", source: "docs/attacks.md", min: 1, whole: true },
};

/** What writing questions may use: chance that belongs to this request and source, and a model that knows nothing of the edit. */
export interface Lent<P> {
  readonly params: P & Samples;
  readonly rng: Rng;
  /** Asks the unedited model, for an attack that needs it. What is asked for all requests at a time is answered together. */
  readonly ask?: (asking: Asking) => Promise<Reply>;
  /** Whether a text says something of the answer that the question does not. */
  readonly gives: (text: string) => boolean;
  readonly ctx: Context;
}

export interface Asks<P extends object> {
  /** Where questions come from, each with what it is. */
  readonly sources: Readonly<Record<string, string>>;
  /** Parameters beside `samples`. */
  readonly params?: Declared<P, Config>;
  /** Distinct questions from one source, none of them the request's own; `samples` is how many are wanted where there is no end of them. */
  readonly ask: (request: Asked, source: string, lent: Lent<P>) => readonly string[] | Promise<readonly string[]>;
}

/**
 * The part of an attack that asks: of each source up to `samples` questions for a request, drawn by the seed, each once; the answers are
 * greedy. A question that cannot be asked is dropped and counted.
 * @example defineAttack({ name: "polite", …, ...asking({ sources: { please: "please" }, ask: ({ prompt }) => [`Please: ${prompt}`] }) })
 */
export const asking = <P extends object = object>({
  sources,
  params,
  ask,
}: Asks<P>): Pick<Attack<P & Samples>, "params" | "sources" | "most" | "attempts"> => ({
  sources,
  params: { ...SAMPLES, ...params } as Declared<P & Samples, Config>,
  most: ({ samples }, count) => samples * count,
  async *attempts(job) {
    const together = job.base && inTurns(job.base.ask);
    const questions = (await Promise.all(job.requests.map((request) => questionsFor(request, job, ask, together)))).flat();
    if (questions.length === 0) return;
    const began = job.ctx.now();
    const replies = await job.ask(questions.map(({ asked }) => ({ messages: asked })));
    const seconds = (job.ctx.now() - began) / 1000 / questions.length;
    for (const [i, question] of questions.entries()) {
      const reply = replies[i]!;
      if ("error" in reply) job.drop("question that could not be asked", reply.error.message);
      else yield { ...question, order: "pool", said: reply.answer, guesses: [reply.answer], cost: { queries: 1, steps: 0, seconds } };
    }
  },
});

/** Up to `samples` questions of each source, drawn, each once. */
async function questionsFor<P extends object>(
  request: Asked,
  { from, params, rng, gives, ctx }: Siege<P & Samples>,
  ask: Asks<P>["ask"],
  askBase: Lent<P>["ask"],
): Promise<Pick<Attempt & { readonly asked: string }, "request" | "source" | "asked">[]> {
  const found: { request: string; source: string; asked: string }[] = [];
  const seen = new Set([squeezed(request.prompt)]);
  for (const source of from) {
    checkAbort(ctx, "attack");
    const own = rng.split(request.id).split(source);
    const lent = { params, rng: own, gives: (text: string) => gives(request.id, text), ctx, ...(askBase && { ask: askBase }) };
    const questions = await ask(request, source, lent);
    const fresh = questions.filter((question) => !seen.has(squeezed(question)) && seen.add(squeezed(question)));
    const drawn = own.split("order").shuffled(fresh).slice(0, params.samples);
    found.push(...drawn.map((asked) => ({ request: request.id, source, asked })));
  }
  return found;
}
