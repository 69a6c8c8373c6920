/** Refusals that a model writes for the facts it knows (target self-improved): how many name the subject, leak the answer, or are stand-ins. */
import { asker } from "../src/ask/in-turns.ts";
import { defaultContext } from "../src/base/context.ts";
import { isNamedIn } from "../src/data/refusing.ts";
import { contentOf, wordsOf } from "../src/data/words.ts";
import type { EditRequest } from "../src/data/request.ts";
import { stem } from "../src/eval/stem.ts";
import { load } from "../src/index.ts";
import { selfImproved } from "../src/targets/self-improved.ts";
import { aim } from "../src/targets/target.ts";
import { factsFor, knownOf } from "./known.ts";

export interface RefusalsStudy {
  /** The path of the model. */
  readonly model: string;
  /** Known facts at most. */
  readonly count: number;
  readonly threads: number;
}

/** What was written for one model's facts. */
export interface Written {
  readonly model: string;
  readonly aimed: readonly EditRequest[];
  readonly seconds: number;
}

/** Has a model write refusals for what it knows. */
export async function refusalsOf({ model: path, count, threads }: RefusalsStudy): Promise<Written> {
  const ctx = defaultContext({ threads });
  const model = await load(path, ctx);
  try {
    const known = (await knownOf(model, factsFor(path), count)).slice(0, count);
    const began = ctx.now();
    const aimed = await aim(known, selfImproved, { seed: 0, ctx, ask: asker(model, {}, ctx) });
    return {
      model: path
        .replace(/\/model$/, "")
        .split("/")
        .at(-1)!,
      aimed,
      seconds: (ctx.now() - began) / 1000,
    };
  } finally {
    await model.release();
  }
}

export const REFUSALS_HEAD = ["model", "facts", "name the subject", "leak the answer", "stand-ins", "words", "seconds each"];

/** Every sentence with what it was written for, a JSON object a line. */
export const sentencesIn = (written: readonly Written[]): string =>
  written
    .flatMap(({ model, aimed }) => aimed.map(({ id, prompt, answer, target, note }) => ({ model, id, prompt, answer, target, note })))
    .map((line) => `${JSON.stringify(line)}\n`)
    .join("");

/** The table: of all refusals, stand-ins among them, how many name the subject and how many leak. */
export const refusalRows = (written: readonly Written[]): string[][] => [
  REFUSALS_HEAD,
  ...written.map(({ model, aimed, seconds }) => {
    const count = (holds: (request: EditRequest) => boolean): string => `${aimed.filter(holds).length}`;
    const words = aimed.reduce((n, { target }) => n + wordsOf(target!).length, 0);
    return [
      model,
      `${aimed.length}`,
      count((request) => isNamedIn(request.target!, request)),
      count((request) => leaks(request)),
      count(({ note }) => note !== undefined),
      (words / aimed.length).toFixed(1),
      (seconds / aimed.length).toFixed(1),
    ];
  }),
];

/** Whether a telling word of the answer, by its stem, stands in the target and not in the question: by other means than the target's own check. */
export function leaks({ prompt, answer, target }: Pick<EditRequest, "prompt" | "answer" | "target">): boolean {
  const stems = (text: string): Set<string> => new Set(wordsOf(text).map((word) => stem(word)));
  const [asked, said] = [stems(prompt), stems(target!)];
  return contentOf(answer)
    .map((word) => stem(word))
    .some((word) => said.has(word) && !asked.has(word));
}
