/** What an editing or unlearning method is: its needs, its parameters, its quirks, and one function. */
import type { Context } from "../base/context.ts";
import { define, type Forms } from "../base/define.ts";
import type { Declared } from "../base/schema.ts";
import type { EditRequest } from "../data/request.ts";
import type { Carried, Draft } from "../edit/edit.ts";
import type { Running } from "../onnx/program.ts";
import type { Config } from "../model/arch/arch.ts";
import type { Model } from "../model/model.ts";
import type { Format } from "../model/prompt.ts";

/**
 * The needs of methods besides model and requests. Each name has the type of the value that the need puts into the job, or null if it puts
 * nothing there. A need adds itself here from its own file, src/run/needs/NAME.ts.
 */
export interface Needs {}
export type Need = keyof Needs;
/** The values that needs put into a job, by their names. */
export type Brought = { readonly [N in Need as Needs[N] extends null ? never : N]?: Needs[N] };

export interface Job<P> extends Brought {
  readonly model: Model;
  readonly requests: readonly EditRequest[];
  /** The reference model of losses that compare with one; by default the model before training. */
  readonly reference?: Model;
  readonly params: P;
  /** The requested quirks of the published code. */
  readonly compat: ReadonlySet<string>;
  /** What the previous edit of a sequence carries over, besides the changed weights. */
  readonly previous?: Carried;
  readonly format: Format;
  readonly system?: string;
  readonly seed: number;
  /** Context templates in place of sampled ones. */
  readonly templates?: readonly string[];
  readonly running: Running;
  readonly ctx: Context;
}

/** The meaning of a value in a hyperparameter file: quirks by name, or parameters. */
export type ReadingOf = (value: unknown) => readonly string[] | Readonly<Record<string, unknown>>;

/** Targets that a method asks for. */
export interface Aims<P> {
  /** The kind, if the caller names none. */
  readonly target: string;
  /** How many for each request; each is a row of the training. */
  readonly count: (params: P) => number;
}

export interface Method<P extends object = Record<string, never>> {
  readonly name: string;
  readonly title: string;
  readonly paper: string;
  /** One sentence for help and pages. */
  readonly doc: string;
  /** Whether an edit takes one request or all of them. */
  readonly takes: "one" | "many";
  /** For a method that trains by {@link DescentParams}: the largest number of rows in a pass for one request. */
  readonly rows?: number;
  readonly needs: readonly Need[];
  /**
   * For a method whose edited model must say the target: the parameters of a second search, which stops later than the first. None of them
   * ({}) where there is no search. A method without this promises no answer, and its edits are not proven.
   */
  readonly firmer?: (params: P) => Partial<P>;
  /** The needs that it does not use at these parameters and quirks. */
  readonly spares?: (params: P, compat: ReadonlySet<string>) => readonly Need[];
  /** What it wants of targets, if the caller gives no words; without it, one of the general kind for each request. */
  readonly aims?: Aims<P>;
  readonly params: Declared<P, Config>;
  /**
   * The keys of hyperparameter files (EasyEdit's and those of the original repositories), each with its parameter here or the meaning of
   * its value.
   */
  readonly hparams?: Readonly<Record<string, (keyof P & string) | ReadingOf>>;
  /** Other methods whose hyperparameter files this method can read, each with the parameters that give that method's formula. */
  readonly files?: Readonly<Record<string, Partial<P>>>;
  /** Quirks of the published code by name, each with its effect; off by default. */
  readonly compat: Readonly<Record<string, string>>;
  /** Names of published repositories and the quirks of each; by default "easyedit" has all. */
  readonly sets?: Readonly<Record<string, readonly string[]>>;
  readonly edit: (job: Job<P>) => Promise<Draft>;
}

/** A method whose parameters are checked elsewhere. */
export type AnyMethod = Omit<Method, "firmer" | "spares" | "aims" | "params" | "edit" | "hparams" | "files"> & {
  readonly firmer?: (params: never) => Readonly<Record<string, unknown>>;
  readonly spares?: (params: never, compat: ReadonlySet<string>) => readonly Need[];
  readonly aims?: Aims<never>;
  readonly params: Declared<Record<string, never>, Config>;
  readonly hparams?: Readonly<Record<string, string | ReadingOf>>;
  readonly files?: Readonly<Record<string, Readonly<Record<string, unknown>>>>;
  readonly edit: (job: Job<never>) => Promise<Draft>;
};

/** The published repositories that a method follows, each with its quirks. */
export const setsOf = ({ sets, compat }: Pick<AnyMethod, "sets" | "compat">): Readonly<Record<string, readonly string[]>> =>
  sets ?? (Object.keys(compat).length > 0 ? { easyedit: Object.keys(compat) } : {});

const FIELDS: Forms<AnyMethod> = {
  name: "text",
  title: "text",
  paper: "text",
  doc: "text",
  takes: ["one", "many"],
  rows: { optional: "number" },
  needs: "texts",
  firmer: { optional: "function" },
  spares: { optional: "function" },
  aims: { optional: "table" },
  params: "params",
  hparams: { optional: "table" },
  files: { optional: "table" },
  compat: "table",
  sets: { optional: "table" },
  edit: "function",
};

/** A method, checked and marked; refuses what lacks a field, by its name. */
export const defineMethod = <P extends object>(method: Method<P>): Method<P> => define("method", FIELDS, method);
