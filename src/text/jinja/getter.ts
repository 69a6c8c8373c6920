/** Reads attributes by a dotted path, as filters name them. */
import type { Env } from "./env.ts";
import { Markup, Undefined, type Value } from "./values.ts";

export type Getter = (item: Value) => Value;

/** Reads the attribute that a dotted path names; whole numbers in it are positions. */
export function getter(env: Env, path: Value, options: { lowers?: boolean; otherwise?: Value } = {}): Getter {
  const { lowers = false, otherwise = null } = options;
  const text = typeof path === "string" ? path : undefined;
  const parts: Value[] =
    path === null ? [] : text === undefined ? [path] : text.split(".").map((part) => (/^\p{Nd}+$/u.test(part) ? BigInt(part) : part));
  return (item) => {
    let value = item;
    for (const part of parts) {
      value = env.members.getitem(value, part);
      if (otherwise !== null && value instanceof Undefined) value = otherwise;
    }
    return lowers ? lowered(value) : value;
  };
}

/** A text in lower case; anything else as it is. */
export const lowered = (value: Value): Value =>
  typeof value === "string" ? value.toLowerCase() : value instanceof Markup ? new Markup(value.text.toLowerCase()) : value;
