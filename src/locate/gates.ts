/**
 * Gates: how similar a question must be to an edit's own question for the edit to be used. Calibrated on questions whose answers must not
 * change.
 */
import { floats } from "../base/array.ts";
import type { Context } from "../base/context.ts";
import type { EditRequest, QA } from "../data/request.ts";
import { findSubject } from "../data/subject.ts";
import type { PromptEntry } from "../edit/edit.ts";
import { BY_WORDS, names, nearness, type WordGate, wordsIn } from "../edit/word-gate.ts";
import { isOwn } from "../model/encoders.ts";
import type { Model } from "../model/model.ts";
import { cosine, type Encoder } from "../text/encoder.ts";
import { generatedQuestions } from "./generated-text.ts";

/**
 * The input of the calibration. Gates use the first of these that is given: a retain set, the demonstrations' questions, questions that the
 * model generates.
 */
export interface Calibration {
  readonly model: Model;
  readonly requests: readonly EditRequest[];
  readonly retain?: readonly QA[];
  readonly demonstrations?: readonly EditRequest[];
  readonly encoder: Encoder;
  readonly seed: number;
  readonly ctx: Context;
}

export interface Gates {
  /**
   * The gate of each request: its own question, as a key [1, width] or as words, and the least similarity at which another question passes.
   */
  readonly entries: readonly Pick<PromptEntry, "key" | "words" | "above">[];
  /** The encoder of the keys, or the rule of the words. */
  readonly by: string;
  /** For each request, the similarity of the most similar question whose answer must not change. */
  readonly nearest: readonly number[];
  readonly on: { readonly questions: number; readonly from: "retain" | "demonstrations" | "self" | "given" | "none" };
}

/** The number of questions that the model generates if none are given. */
const OWN = 64;
/** The highest gate, so that a request's own question passes in spite of rounding. */
const MOST = 1 - 1e-4;
/** The least share for a request without a subject: only a question in almost the same words passes. */
const WITHOUT_SUBJECT = 0.75;
/** The least weight of a word, which a word in every question has. */
const LEAST = 0.05;

interface Where {
  readonly share: number;
  readonly above: number;
}

/**
 * A gate for each request. It lies `share` of the way from the similarity of the most similar question to be kept up to 1. If `above` is
 * not 0, it is used for all requests instead. A sentence encoder compares the meaning of questions; without one, subjects and words are
 * compared. Warns if a question to be kept is the same as a request's own, or nearly the same.
 */
export const gatesOf = (job: Calibration, where: Where): Promise<Gates> =>
  isOwn(job.encoder) ? wordGates(job, where) : keyGates(job, where);

async function keyGates(job: Calibration, { share, above }: Where): Promise<Gates> {
  const { requests, encoder, ctx } = job;
  const all = await encoder.embed(
    requests.map((r) => r.prompt),
    ctx,
  );
  const width = all.shape[1]!;
  const keys = requests.map((_, i) => floats((all.data as Float32Array).slice(i * width, (i + 1) * width), [1, width]));
  if (above > 0)
    return given(
      keys.map((key) => ({ key, above })),
      encoder.id,
    );
  const { from, questions } = await questionsThatStay(job);
  const known = await encoder.embed(questions, ctx);
  const nearest = keys.map((key) => questions.reduce((best, _, j) => Math.max(best, cosine(key, 0, known, j)), 0));
  warnOfTwins(job, nearest);
  return {
    entries: keys.map((key, i) => ({ key, above: between(nearest[i]!, share) })),
    by: encoder.id,
    nearest,
    on: { questions: questions.length, from },
  };
}

async function wordGates(job: Calibration, { share, above }: Where): Promise<Gates> {
  const plain = job.requests.map((request): WordGate => ({ question: request.prompt, subject: subjectOf(request) }));
  if (above > 0)
    return given(
      plain.map((words) => ({ words, above })),
      BY_WORDS,
    );
  // generated questions show how common a word is; a request with a subject does not need this
  const { from, questions } = await questionsThatStay(job, plain.some(({ subject }) => subject === "") ? OWN : 0);
  const gates = plain.map((gate) => (gate.subject === "" ? { ...gate, telling: tellingOf(gate.question, questions) } : gate));
  const nearest = gates.map((gate) => questions.reduce((best, question) => Math.max(best, nearness(gate, question)), 0));
  warnOfTwins(job, nearest);
  return {
    entries: gates.map((words, i) => ({
      words,
      above: between(nearest[i]!, words.subject === "" ? Math.max(share, WITHOUT_SUBJECT) : share),
    })),
    by: BY_WORDS,
    nearest,
    on: { questions: questions.length, from },
  };
}

const between = (near: number, share: number): number => Math.min(near + share * (1 - near), MOST);

const given = (entries: Gates["entries"], by: string): Gates => ({
  entries,
  by,
  nearest: entries.map(() => 0),
  on: { questions: 0, from: "given" },
});

/** The given subject, if the question contains it; otherwise a subject found by its spelling; "" if there is none. */
function subjectOf({ prompt, subject }: EditRequest): string {
  return [subject, findSubject(prompt) ?? ""].find((text) => names(prompt, text)) ?? "";
}

/**
 * The weight of each word of a question: the rarer among the other questions, the higher. A word that none of them has weighs 1 and is left
 * out.
 */
function tellingOf(question: string, others: readonly string[]): Record<string, number> {
  const having = others.map((other) => new Set(wordsIn(other)));
  return Object.fromEntries(
    wordsIn(question).flatMap((word) => {
      const times = having.filter((words) => words.has(word)).length;
      const rarity = Math.log((others.length + 1) / (times + 1)) / Math.log(others.length + 1);
      return times === 0 ? [] : [[word, Math.max(LEAST, Math.round(1000 * rarity) / 1000)]];
    }),
  );
}

function warnOfTwins({ requests, ctx }: Calibration, nearest: readonly number[]): void {
  nearest.forEach((near, i) => {
    if (near > MOST)
      ctx.log({
        kind: "warning",
        who: "gate",
        text: `${requests[i]!.id}: a question whose answer must not change is almost the same, so its answer will change`,
      });
  });
}

/** The questions whose answers must not change; `own` generated ones if none are given. */
async function questionsThatStay(
  job: Calibration,
  own = OWN,
): Promise<{ from: Exclude<Gates["on"]["from"], "given">; questions: string[] }> {
  const { model, requests, retain = [], demonstrations = [], seed, ctx } = job;
  const edited = new Set(requests.map((r) => r.prompt.trim()));
  const apart = (questions: readonly string[]): string[] => questions.filter((question) => !edited.has(question.trim()));
  if (retain.length > 0) return { from: "retain", questions: apart(retain.map((qa) => qa.question)) };
  if (demonstrations.length > 0) return { from: "demonstrations", questions: apart(demonstrations.map((r) => r.prompt)) };
  if (own === 0) return { from: "none", questions: [] };
  return { from: "self", questions: apart(await generatedQuestions(model, own, seed, ctx)) };
}
