/** Looks up the needs of a method. Shared code loops over needs and names none. */
import { fail, nearest } from "../base/fail.ts";
import type { AnyMethod, Need as Word } from "../methods/method.ts";
import type { Choice, Given } from "./choice.ts";
import type { Asked, Need, NeedOf } from "./needs/need.ts";
import { registry } from "./needs/registry.ts";

/** Every need by its name. */
const NEEDS: { readonly [N in Word]: NeedOf<N> } = registry;

export const everyNeed = (): readonly Need[] => Object.values(NEEDS);

/** What a method says that it needs. */
export const needsOf = ({ needs }: Pick<AnyMethod, "needs">): readonly Need[] => needs.map((name) => NEEDS[name]);

/** The needs whose values a method gets at these parameters: those that it uses, and those that the caller gave. */
export function broughtTo({ method, compat }: Pick<Choice, "method" | "compat">, params: object, given: Given): readonly Need[] {
  const spared = method.spares?.(params as never, compat) ?? [];
  return everyNeed().filter(({ name, isGiven }) => (method.needs.includes(name) && !spared.includes(name)) || isGiven?.(given) === true);
}

/** The part of a run's identity that comes from needs, by their names. */
export async function identitiesOf(needs: readonly Need[], asked: Asked): Promise<Readonly<Record<string, unknown>>> {
  const found: Record<string, unknown> = {};
  for (const { name, identity } of needs) if (identity) found[name] = await identity(asked);
  return found;
}

/** Source files of needs, and of what they use from other shelves, as {@link Resolved.uses} has them. */
export const sourcesOf = (needs: readonly Need[], asked: Asked): readonly string[] =>
  needs.flatMap((need) => [`run/needs/${need.name}`, ...(need.uses?.(asked) ?? [])]);

/** Refuses a method with an unknown need. */
export function checkNeeds(who: string, { name, needs }: Pick<AnyMethod, "name" | "needs">): void {
  const wrong = needs.find((need) => !Object.hasOwn(NEEDS, need));
  if (wrong === undefined) return;
  const near = nearest(wrong, Object.keys(NEEDS));
  fail(who, `"${name}" needs "${wrong as string}"`, `some of ${Object.keys(NEEDS).join(", ")}`, near ? `Did you mean "${near}"?` : "");
}
