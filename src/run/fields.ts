/** The fields of a spec: each is declared once and gives its key in JSON and YAML, its flag, its help and its JSON Schema. */

/** How a field appears on the command line. Missing settings are derived from its key. */
export interface Flag {
  /** The flag's name without dashes; by default the key with hyphens. */
  readonly name?: string;
  readonly short?: string;
  /** The placeholder of its value, such as "<file>". */
  readonly value?: string;
  /** The default that help shows if the declaration has none. */
  readonly shown?: string;
}

export type Kind = "text" | "number" | "switch" | "texts" | "names" | "numbers" | "map" | "model" | "edits" | "pathOrSpec" | "grouped";

/** One field: its meaning, its possible values, and its flag. `T` includes undefined if the field is optional. */
export interface Field<T = unknown> {
  readonly doc: string;
  readonly kind: Kind;
  readonly default?: T;
  readonly choices?: readonly string[];
  readonly min?: number;
  readonly max?: number;
  readonly whole?: boolean;
  /** It must be given. */
  readonly required?: true;
  /** It names an input: the content of the input counts for the identity of a run, and the value does not. */
  readonly isInput?: true;
  /** False: it has no flag; the positional argument, or a field for specs alone. */
  readonly flag?: Flag | false;
  /** If the value is a spec, it means the folder next to that step's result whose name has this ending, such as ".training". */
  readonly beside?: string;
}

export type Fields = Readonly<Record<string, Field>>;
/** The values of fields. A value that was not given and has no default is undefined. */
export type Values<F extends Fields> = { readonly [K in keyof F]: F[K] extends Field<infer T> ? T : never };

type About<T> = Omit<Field<T>, "doc" | "kind" | "default">;
type Default<T, D> = About<T> & { readonly default?: D };

const declare =
  <T>(kind: Kind) =>
  <const D extends T | undefined = undefined>(doc: string, about: Default<T, D> = {}): Field<T | D> =>
    ({ ...about, doc, kind }) as Field<T | D>;

/** A text. */
export const text = declare<string>("text");
/** A number. */
export const number = declare<number>("number");
/** True or absent; a flag without a value. */
export const toggle = (doc: string, about: About<boolean> = {}): Field<boolean> => ({ ...about, doc, kind: "switch", default: false });
/** Texts; the flag may be given several times. */
export const texts = declare<readonly string[]>("texts");
/** Names; the flag takes several with commas between them, and may be given several times. */
export const names = declare<readonly string[]>("names");
/** Numbers; the flag takes several with commas between them, and may be given several times. */
export const numbers = declare<readonly number[]>("numbers");
/** Values by name; the flag takes key=value and may be given several times. */
export const map = declare<Readonly<Record<string, unknown>>>("map");

/** The same field, which must be given. */
export const required = <T>(of: Field<T>): Field<Exclude<T, undefined>> => ({ ...of, required: true }) as Field<Exclude<T, undefined>>;

/** The members that were given. */
export const given = <T extends object>(values: T): { [K in keyof T]?: Exclude<T[K], undefined> } =>
  Object.fromEntries(Object.entries(values).filter(([, value]) => value !== undefined)) as { [K in keyof T]?: Exclude<T[K], undefined> };

/** A spec of another step, used in place of the result of that step. */
export interface NestedSpec {
  readonly step: string;
  readonly [key: string]: unknown;
}
export type Ref = string | NestedSpec;

/** The model: a folder, a .gguf file, a hub id, "bundled", or the spec of a finetuning. Not a flag: it is the command's argument. */
export const model = (doc: string): Field<Ref> => ({ doc, kind: "model", required: true, flag: false });
/** A model that may be left out. */
export const optionalModel = (doc: string): Field<Ref | undefined> => ({ doc, kind: "model", flag: false });
/** Edits, lowest first: files, folders with a PEFT adapter, or specs of forgetting. */
export const edits = (doc: string, flag: Flag | false = { name: "edit", short: "e", value: "<file>" }): Field<readonly Ref[]> => ({
  doc,
  kind: "edits",
  default: [],
  flag,
});
/** An input from an earlier step: a path, or the spec of the step that makes it. */
export const pathOrSpec = declare<Ref>("pathOrSpec");

const INPUTS: readonly Kind[] = ["model", "edits", "pathOrSpec", "grouped"];

/** The values that belong to the identity unchanged: all except names of inputs. */
export const plainValues = (fields: Fields, values: Readonly<Record<string, unknown>>): Record<string, unknown> =>
  Object.fromEntries(Object.entries(values).filter(([key]) => !fields[key]!.isInput && !INPUTS.includes(fields[key]!.kind)));

/** Data of one group. Without a name, it belongs to the suite's only group. */
export interface Grouped<D = Ref> {
  readonly group?: string;
  readonly data: D;
}
/** Data by group: `[GROUP=]SPEC`, or an object with the group and its data. The data may be the spec of the step that makes it. */
export const grouped = declare<readonly (string | Grouped)[]>("grouped");

/** The flag of a field: its name without dashes. */
export const flagName = (key: string, { flag }: Field): string =>
  (flag === false ? undefined : flag?.name) ?? key.replaceAll(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);

/** The declaration of a step without its work. The command line shows it before other code is loaded. */
export interface Declaration<F extends Fields = Fields> {
  /** The step's id, and its command. */
  readonly name: string;
  /** One sentence for help and pages. */
  readonly doc: string;
  readonly fields: F;
}
