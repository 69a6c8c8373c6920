/** The type of a need. One file defines how its input is read, checked, identified, estimated and provided. Each hook is optional. */
import type { Context } from "../../base/context.ts";
import type { EditRequest, ForgetRequest } from "../../data/request.ts";
import type { Need as Word, Needs } from "../../methods/method.ts";
import type { Model } from "../../model/model.ts";
import type { AskAs, Format } from "../../model/prompt.ts";
import type { Choice, Given } from "../choice.ts";
import type { Values } from "../fields.ts";
import type { forgetSpec } from "../specs/forget.ts";

/** The values that are known before a model is read. */
export interface Asked extends Pick<Choice, "method" | "edited" | "settings"> {
  readonly given: Given;
  readonly ctx: Context;
}

/** The values that are known once the model is loaded. */
export interface Having extends Asked {
  readonly model: Model;
  /** The requests as they were given. */
  readonly requests: readonly ForgetRequest[];
  /** How the model is asked. */
  readonly ask: AskAs & { readonly format: Format };
  readonly seed: number;
}

/** The values of a plan. A plan tries a few requests. It reads the cache but does not write to it. */
export interface Planning extends Having {
  readonly tried: readonly ForgetRequest[];
  /** A context with a separate cache folder for the plan and without a log. */
  readonly aside: Context;
  /** Seconds that the model needs for one token. */
  readonly pace: () => Promise<number>;
}

/** Statistics of layers that the edit needs: in the cache, or the seconds to make them. */
export interface Making {
  readonly layers: readonly number[];
  readonly isKept: boolean;
  readonly seconds: number;
}

/** The values that a plan uses instead of those of a run. */
export interface Planned {
  /** The requests of the timing, completed. */
  readonly tried?: readonly ForgetRequest[];
  /** Placeholders for given values. */
  readonly given?: Given;
  /** The number of tokens that the model must generate first. */
  readonly tokens?: number;
  /** Called after the timing: returns what must be made for the edit. */
  readonly making?: () => Promise<Making>;
}

/** A need as shared code sees it. */
export interface Need {
  readonly name: Word;
  /** One sentence for pages. */
  readonly doc: string;
  /** Reads what an option of `lethe forget` names; undefined where the option was not used. */
  readonly read?: (values: Values<typeof forgetSpec.fields>, ctx: Context) => unknown;
  /** True: the caller gave it. Then a method gets it even if it does not ask for it. */
  readonly isGiven?: (given: Given) => boolean;
  /** Refuses wrong or missing input before a model is read. */
  readonly check?: (asked: Asked) => void;
  /** The value that it adds to the identity of a run, under its name. */
  readonly identity?: (asked: Asked) => unknown;
  /** Source files of shelf entries that it uses, as {@link Resolved.uses} has them. */
  readonly uses?: (asked: Asked) => readonly string[];
  /** The rows that a method trains on because of it, for the estimate of memory. */
  readonly texts?: (asked: Pick<Asked, "method" | "edited" | "settings" | "given">) => readonly string[];
  /** Completes the requests as they were given. */
  readonly known?: (requests: readonly ForgetRequest[], having: Having) => Promise<readonly ForgetRequest[]>;
  /** Completes the requests as they are edited, once all are known. */
  readonly aimed?: (requests: readonly EditRequest[], having: Having) => Promise<readonly EditRequest[]>;
  /** Warns about the requests as they are edited. */
  readonly tell?: (requests: readonly EditRequest[], ctx: Context) => void;
  /** The value that it puts into the method's job, under its name. Called last. */
  readonly bring?: (having: Having) => unknown;
  /** The replacement that a plan uses. */
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

/** Placeholder in an estimate for text that the model has not generated yet; no answer is longer. */
export const anyAnswer = (tokens: number): string => "x".repeat(4 * tokens);
