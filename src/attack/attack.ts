/** What an attack is: attempts to bring back what was forgotten, with the access that it has and from what it knows. */
import type { Context } from "../base/context.ts";
import { define, type Forms } from "../base/define.ts";
import type { Rng } from "../base/rng.ts";
import type { Declared } from "../base/schema.ts";
import type { AskAll } from "../ask/in-turns.ts";
import type { ForgetRequest, Question } from "../data/request.ts";
import type { Change } from "../edit/edit.ts";
import type { Attempted } from "../eval/leak.ts";
import type { Statistics } from "../locate/covariance.ts";
import type { Config } from "../model/arch/arch.ts";
import type { Model } from "../model/model.ts";
import type { Encoder } from "../text/encoder.ts";

/** What an attacker can get at, the least first: text is one greedy answer a question; from logits on it is the model itself. */
const ACCESS = ["text", "sampling", "logits", "embeddings", "activations", "weights", "diff", "training"] as const;
export type Access = (typeof ACCESS)[number];

/**
 * What an attacker knows of a request beside its question and subject: the same question in other words, a list that holds the right answer
 * unmarked among false ones, or the answer itself (then it is a measurement).
 */
export const KNOWS = ["question", "subject", "paraphrases", "candidates", "answer"] as const;
export type Knows = (typeof KNOWS)[number];

/** What an attack must be given beside the attacked model. */
const NEEDS = ["base", "encoder", "statistics"] as const;
export type Need = (typeof NEEDS)[number];

/** What a request says only to an attack that knows it; absent otherwise. */
type Hidden = Pick<ForgetRequest, "answer" | "aliases" | "restated" | "wrong" | "paraphrases">;

/** A request as an attack sees it. */
export interface Asked extends Omit<ForgetRequest, keyof Hidden | "merged">, Partial<Hidden> {
  /** The questions that were put into this one, where it is several. */
  readonly merged?: readonly Omit<Question, "answer">[];
  /** The right answer and false ones, in an order that tells nothing; only for an attack that knows candidates. */
  readonly candidates?: readonly string[];
}

/**
 * One attempt to bring a request's answer back: what was asked and said, where something was, and its guesses, which are what somebody
 * who does not know the answer would have to check, one by one.
 */
export interface Attempt extends Attempted {
  /** The request's id. */
  readonly request: string;
  readonly cost: { readonly queries: number; readonly steps: number; readonly seconds: number };
}

/** Replies in the order of what is asked; each is the same alone and together with others. */
export type Ask = AskAll;

/** What an attack is given. */
export interface Siege<P> {
  readonly requests: readonly Asked[];
  /** The sources that are wanted, of those that it declares. */
  readonly from: readonly string[];
  readonly params: P;
  /** Chance that belongs to this attack. */
  readonly rng: Rng;
  /** Asks the attacked model; at text access greedily only. */
  readonly ask: Ask;
  /** The attacked model, from access to logits on. */
  readonly model?: Model;
  /** The unedited model, for an attack that needs it. */
  readonly base?: { readonly model: Model; readonly ask: Ask };
  readonly encoder?: Encoder;
  /** Second moments of the unedited model. */
  readonly statistics?: Statistics;
  /** Whether a text says something of a request's answer that its question does not: such a text must not be asked. */
  readonly gives: (request: string, text: string) => boolean;
  /** Counts what could not be tried, by what it is, such as "question that could not be asked"; `why` says more of this one. */
  readonly drop: (what: string, why?: string) => void;
  readonly ctx: Context;
}

export interface Attack<P extends object = Record<string, never>> {
  readonly name: string;
  readonly title: string;
  readonly doc: string;
  readonly paper: string;
  readonly access: Access;
  readonly knows: readonly Knows[];
  /** The kinds of edits against which it means something. */
  readonly changes: readonly Change["kind"][];
  readonly needs: readonly Need[];
  readonly params: Declared<P, Config>;
  /** Where its attempts come from, each with what it is. */
  readonly sources: Readonly<Record<string, string>>;
  /** How many attempts it makes for a request at most, from so many sources. */
  readonly most: (params: P, sources: number) => number;
  /** The attempts as they are made; none before its request is asked as it is. */
  readonly attempts: (job: Siege<P>) => AsyncIterable<Attempt>;
}

/** An attack whose parameters are checked elsewhere. */
export type AnyAttack = Omit<Attack, "params" | "most" | "attempts"> & {
  readonly params: Declared<Record<string, never>, Config>;
  readonly most: (params: never, sources: number) => number;
  readonly attempts: (job: Siege<never>) => AsyncIterable<Attempt>;
};

const FIELDS: Forms<AnyAttack> = {
  name: "text",
  title: "text",
  doc: "text",
  paper: "text",
  access: ACCESS,
  knows: { listOf: KNOWS },
  changes: { listOf: ["delta", "adapter", "prompt"] },
  needs: { listOf: NEEDS },
  params: "params",
  sources: "table",
  most: "function",
  attempts: "function",
};

/** An attack, checked and marked; refuses what lacks a field, by its name. */
export const defineAttack = <P extends object>(attack: Attack<P>): Attack<P> => define("attack", FIELDS, attack);
