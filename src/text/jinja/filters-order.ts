/** Filters that compare: they sort, group, and find the least, the greatest and what differs. */
import { bind } from "./bind.ts";
import type { Env, FilterFunction } from "./env.ts";
import { getter, lowered } from "./getter.ts";
import { compare, equals, iterate, listOf } from "./operators.ts";
import { raise } from "./trouble.ts";
import { Dict, hashOf, Iter, truth, Tuple, typeName, Undefined, type Value } from "./values.ts";

/** Sorts as Python does: stable, also from the last to the first. */
function sorted<T>(items: readonly T[], key: (item: T) => Value, isReversed: boolean, env: Env): T[] {
  const keyed = items.map((item) => ({ item, key: key(item) }));
  if (isReversed) keyed.reverse();
  keyed.sort((a, b) => (compare("<", a.key, b.key, env.meter) ? -1 : compare("<", b.key, a.key, env.meter) ? 1 : 0));
  if (isReversed) keyed.reverse();
  return keyed.map(({ item }) => item);
}

const sort: FilterFunction = (env, value, args, kwargs) => {
  const [isReversed = false, isExact = false, path = null] = bind("do_sort", "reverse? case_sensitive? attribute?", args, kwargs);
  const paths: Value[] = typeof path === "string" ? path.split(",") : [path];
  const getters = paths.map((part) => getter(env, part, { lowers: !truth(isExact) }));
  return sorted(listOf(value, env.meter), (item) => getters.map((get) => get(item)), truth(isReversed), env);
};

const dictsort: FilterFunction = (env, value, args, kwargs) => {
  const [isExact = false, by = "key", isReversed = false] = bind("do_dictsort", "case_sensitive? by? reverse?", args, kwargs);
  if (by !== "key" && by !== "value") raise("FilterArgumentError", 'You can only sort by either "key" or "value"');
  if (value instanceof Undefined) return value.fail();
  if (!(value instanceof Dict)) return raise("TypeError", `'${typeName(value)}' object has no attribute 'items'`);
  const key = (pair: Tuple): Value => (truth(isExact) ? pair.items[by === "key" ? 0 : 1]! : lowered(pair.items[by === "key" ? 0 : 1]!));
  return sorted(
    value.list().map((pair) => new Tuple(pair)),
    key,
    truth(isReversed),
    env,
  );
};

const unique: FilterFunction = (env, value, args, kwargs) => {
  const [isExact = false, path = null] = bind("do_unique", "case_sensitive? attribute?", args, kwargs);
  const get = getter(env, path, { lowers: !truth(isExact) });
  return new Iter(
    (function* () {
      const seen = new Set<unknown>();
      for (const item of iterate(value, env.meter)) {
        const hash = hashOf(get(item));
        if (!seen.has(hash)) yield item;
        seen.add(hash);
      }
    })(),
  );
};

const extreme =
  (operator: "<" | ">"): FilterFunction =>
  (env, value, args, kwargs) => {
    const [isExact = false, path = null] = bind("do_min", "case_sensitive? attribute?", args, kwargs);
    const get = getter(env, path, { lowers: !truth(isExact) });
    let best: { item: Value; key: Value } | undefined;
    for (const item of iterate(value, env.meter)) {
      const key = get(item);
      if (!best || compare(operator, key, best.key, env.meter)) best = { item, key };
    }
    return best ? best.item : new Undefined("No aggregated item, sequence was empty.");
  };

const groupby: FilterFunction = (env, value, args, kwargs) => {
  const [path, otherwise = null, isExact = false] = bind("do_groupby", "attribute default? case_sensitive?", args, kwargs);
  const get = getter(env, path!, { lowers: !truth(isExact), otherwise });
  const real = getter(env, path!, { otherwise });
  const groups: { key: Value; items: Value[] }[] = [];
  for (const item of sorted(listOf(value, env.meter), get, false, env)) {
    const key = get(item);
    const open = groups.at(-1);
    if (open && equals(open.key, key, env.meter)) open.items.push(item);
    else groups.push({ key, items: [item] });
  }
  return groups.map((group) => new Tuple([truth(isExact) ? group.key : real(group.items[0]!), group.items], ["grouper", "list"]));
};

export const ORDER_FILTERS: Readonly<Record<string, FilterFunction>> = {
  sort,
  dictsort,
  unique,
  min: extreme("<"),
  max: extreme(">"),
  groupby,
};
