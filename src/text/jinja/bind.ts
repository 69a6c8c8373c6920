/** Gives a call's arguments to named parameters, as Python does. */
import { raise } from "./trouble.ts";
import type { Kwargs, Value } from "./values.ts";

/** `"text width? fill?"`: parameters in order; those with a question mark may be left out. */
export function bind(callee: string, parameters: string, args: readonly Value[], kwargs: Kwargs): (Value | undefined)[] {
  const names = parameters ? parameters.split(" ") : [];
  if (args.length > names.length) raise("TypeError", `${callee}() takes ${names.length} arguments but ${args.length} were given`);
  const bound: (Value | undefined)[] = names.map((_, k) => args[k]);
  for (const [key, value] of kwargs) {
    const at = names.findIndex((name) => name === key || name === `${key}?`);
    if (at < 0) raise("TypeError", `${callee}() got an unexpected keyword argument '${key}'`);
    if (at < args.length) raise("TypeError", `${callee}() got multiple values for argument '${key}'`);
    bound[at] = value;
  }
  const missing = names.find((name, k) => !name.endsWith("?") && bound[k] === undefined);
  if (missing !== undefined) raise("TypeError", `${callee}() missing 1 required positional argument: '${missing}'`);
  return bound;
}

/** The same for a builtin whose parameters have no names. */
export function positional(callee: string, least: number, most: number, args: readonly Value[], kwargs: Kwargs): readonly Value[] {
  if (kwargs.size) raise("TypeError", `${callee}() takes no keyword arguments`);
  if (args.length < least || args.length > most)
    raise("TypeError", `${callee}() takes ${least === most ? least : `${least} to ${most}`} arguments but ${args.length} were given`);
  return args;
}
