/** What a need of a method is: one file says how it is read, refused, known again, foretold and had. Each hook may be left out. */
import type { Context } from "../../base/context.ts";
import type { EditRequest, ForgetRequest } from "../../data/request.ts";
import type { Need as Word, Needs } from "../../methods/method.ts";
import type { Model } from "../../model/model.ts";
import type { AskAs, Format } from "../../model/prompt.ts";
import type { Choice, Given } from "../choice.ts";
import type { Values } from "../fields.ts";
import type { forgetSpec } from "../specs/forget.ts";

/** What is known before a model is read. */
export interface Asked extends Pick<Choice, "method" | "edited" | "settings"> {
  readonly given: Given;
  readonly ctx: Context;
}

/** What is known once the model is there. */
export interface Having extends Asked {
  readonly model: Model;
  /** The requests as they were given. */
  readonly requests: readonly ForgetRequest[];
  /** How the model is asked. */
  readonly ask: AskAs & { readonly format: Format };
  readonly seed: number;
}

/** What a plan knows; it tries few requests, and finds what is kept but keeps nothing itself. */
export interface Planning extends Having {
  readonly tried: readonly ForgetRequest[];
  /** A context that keeps things in a folder of the plan's own, and logs nothing. */
  readonly aside: Context;
  /** Seconds that the model takes to say a token. */
  readonly pace: () => Promise<number>;
}

/** What is to be made of layers before the edit: it is kept already, or takes seconds. */
export interface Making {
  readonly layers: readonly number[];
  readonly isKept: boolean;
  readonly seconds: number;
}

/** What a plan goes on with in place of what a run would have. */
export interface Planned {
  /** The requests that are tried, with what they need. */
  readonly tried?: readonly ForgetRequest[];
  /** Stand-ins. */
  readonly given?: Given;
  /** Tokens that the model must say first. */
  readonly tokens?: number;
  /** Tells, once the edit was tried, what must be made for it. */
  readonly making?: () => Promise<Making>;
}

/** A need as shared code sees it. */
export interface Need {
  readonly name: Word;
  /** One sentence for pages. */
  readonly doc: string;
  /** Reads what an option of `lethe forget` names; undefined where the option was not used. */
  readonly read?: (values: Values<typeof forgetSpec.fields>, ctx: Context) => unknown;
  /** True: a caller gave it. Then a method that does not ask for it gets it all the same. */
  readonly isGiven?: (given: Given) => boolean;
  /** Refuses what is wrong or missing, before a model is read. */
  readonly check?: (asked: Asked) => void;
  /** What it adds to the identity of a run, under its name. */
  readonly identity?: (asked: Asked) => unknown;
  /** Source files of shelf entries that it uses, as {@link Resolved.uses} has them. */
  readonly uses?: (asked: Asked) => readonly string[];
  /** The rows that a method trains on because of it, for the estimate of memory. */
  readonly texts?: (asked: Pick<Asked, "edited" | "settings" | "given">) => readonly string[];
  /** Completes the requests as they were given. */
  readonly known?: (requests: readonly ForgetRequest[], having: Having) => Promise<readonly ForgetRequest[]>;
  /** Completes the requests as they are edited, once all are known. */
  readonly aimed?: (requests: readonly EditRequest[], having: Having) => Promise<readonly EditRequest[]>;
  /** Warns about the requests as they are edited. */
  readonly tell?: (requests: readonly EditRequest[], ctx: Context) => void;
  /** What it brings into the method's job, under its name; called last. */
  readonly bring?: (having: Having) => unknown;
  /** What a plan has in its place. */
  readonly plan?: (planning: Planning) => Planned | Promise<Planned>;
}

type Soon<T> = T | Promise<T>;

/** A need whose hooks give what it declares. */
export interface NeedOf<N extends Word> extends Need {
  readonly name: N;
  readonly read?: (...told: Parameters<NonNullable<Need["read"]>>) => Soon<Given[N & keyof Given]>;
  readonly bring?: (having: Having) => Soon<Needs[N] | undefined>;
}

/** A need, with its types checked. */
export const defineNeed = <N extends Word>(need: NeedOf<N>): NeedOf<N> => need;

/** Stands in an estimate for words that the model is still to say: no answer is longer. */
export const anyAnswer = (tokens: number): string => "x".repeat(4 * tokens);
