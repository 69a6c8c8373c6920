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
 * What a method may need beyond model and requests: each need with the type of what it brings into the job, or null where it brings
 * nothing. A need adds itself here, in its own file: src/run/needs/NAME.ts.
 */
export interface Needs {}
export type Need = keyof Needs;
/** What needs bring into a job, by their names. */
export type Brought = { readonly [N in Need as Needs[N] extends null ? never : N]?: Needs[N] };

export interface Job<P> extends Brought {
  readonly model: Model;
  readonly requests: readonly EditRequest[];
  /** A model to compare with, for losses that do; by default the one that training begins from. */
  readonly reference?: Model;
  readonly params: P;
  /** Quirks of the reference that are asked for. */
  readonly compat: ReadonlySet<string>;
  /** What the earlier edits of a sequence left beside the model's weights: this one goes on from there. */
  readonly previous?: Carried;
  readonly format: Format;
  readonly system?: string;
  readonly seed: number;
  /** Context templates in place of sampled ones. */
  readonly templates?: readonly string[];
  readonly running: Running;
  readonly ctx: Context;
}

/** What a value of a hyperparameter file asks for: quirks by name, or parameters. */
export type ReadingOf = (value: unknown) => readonly string[] | Readonly<Record<string, unknown>>;

export interface Method<P extends object = Record<string, never>> {
  readonly name: string;
  readonly title: string;
  readonly paper: string;
  /** One sentence for help and pages. */
  readonly doc: string;
  /** One request an edit, or all in one. */
  readonly takes: "one" | "many";
  /** Of a method that trains by {@link DescentParams}: rows that a request brings into a pass at most. */
  readonly rows?: number;
  readonly needs: readonly Need[];
  /** Of those, what it does without at these parameters and quirks. */
  readonly spares?: (params: P, compat: ReadonlySet<string>) => readonly Need[];
  readonly params: Declared<P, Config>;
  /** Names of EasyEdit's and the original repositories' hyperparameter files: the parameter that each is, or what its value asks for. */
  readonly hparams?: Readonly<Record<string, (keyof P & string) | ReadingOf>>;
  /** Other methods whose files this one reads because it has their formula, each with the parameters that make it so. */
  readonly files?: Readonly<Record<string, Partial<P>>>;
  /** The reference's quirks by name, each with what it does; off by default. */
  readonly compat: Readonly<Record<string, string>>;
  /** Names of the references and the quirks that each has; by default "easyedit" has all. */
  readonly sets?: Readonly<Record<string, readonly string[]>>;
  readonly edit: (job: Job<P>) => Promise<Draft>;
}

/** A method whose parameters are checked elsewhere. */
export type AnyMethod = Omit<Method, "spares" | "params" | "edit" | "hparams" | "files"> & {
  readonly spares?: (params: never, compat: ReadonlySet<string>) => readonly Need[];
  readonly params: Declared<Record<string, never>, Config>;
  readonly hparams?: Readonly<Record<string, string | ReadingOf>>;
  readonly files?: Readonly<Record<string, Readonly<Record<string, unknown>>>>;
  readonly edit: (job: Job<never>) => Promise<Draft>;
};

/** The references that a method is made after, each with the quirks that it has. */
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
  spares: { optional: "function" },
  params: "params",
  hparams: { optional: "table" },
  files: { optional: "table" },
  compat: "table",
  sets: { optional: "table" },
  edit: "function",
};

/** A method, checked and marked; refuses what lacks a field, by its name. */
export const defineMethod = <P extends object>(method: Method<P>): Method<P> => define("method", FIELDS, method);
