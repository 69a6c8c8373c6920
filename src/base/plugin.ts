/** What extends Lethe from outside: the shelves that a plugin may add to, and the one way to look on a shelf. */
import { fail, nearest } from "./fail.ts";
import type { Hash } from "./hash.ts";

/** The shelves that a plugin may add to, each with the word for what is on it. */
export const KINDS = { method: "method", arch: "architecture", metric: "metric", target: "target", attack: "attack" } as const;
export type Kind = keyof typeof KINDS;

/** A plugin that was loaded. */
export interface Plugin {
  /** Of the content, never of the path: it belongs to the identity of whatever the plugin takes part in. */
  readonly id: Hash;
  /** What people call it: the file's name. */
  readonly name: string;
  /** What it adds, by shelf and name. */
  readonly entries: Readonly<Partial<Record<Kind, Readonly<Record<string, object>>>>>;
}

/** Whoever carries the plugins that were loaded: a context. */
export interface Plugged {
  readonly plugins: readonly Plugin[];
}

/** What is on a shelf by name: what is built in, and what plugins add. */
export const onShelf = <T>(kind: Kind, builtIn: Readonly<Record<string, T>>, { plugins }: Plugged): Readonly<Record<string, T>> =>
  plugins.length === 0 ? builtIn : (Object.assign({}, builtIn, ...plugins.map(({ entries }) => entries[kind])) as Record<string, T>);

/** Returns the entry with this name. Refuses an unknown name and suggests the nearest one. `also` has other names that are allowed. */
export function named<T>(who: string, shelf: Readonly<Record<string, T>>, name: string, also: readonly string[] = []): T {
  if (Object.hasOwn(shelf, name)) return shelf[name]!;
  const names = [...Object.keys(shelf), ...also];
  const near = nearest(name, names);
  return fail(who, `"${name}"`, `one of ${names.join(", ")}`, near ? `Did you mean "${near}"?` : "");
}
