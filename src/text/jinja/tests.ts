/** Jinja's tests: what may stand behind `is`. */
import { bind } from "./bind.ts";
import { isCase } from "./case.ts";
import type { Env } from "./env.ts";
import { arithmetic, compare, contains, equals, isIterable } from "./operators.ts";
import { percent } from "./format.ts";
import { str } from "./print.ts";
import { Dict, isNumeric, type Kwargs, Markup, PyObject, textOf, Tuple, Undefined, type Value } from "./values.ts";

type TestFunction = (env: Env, value: Value, args: readonly Value[], kwargs: Kwargs) => boolean;

/** A test of the value alone. */
const alone =
  (test: (value: Value, env: Env) => boolean): TestFunction =>
  (env, value, args, kwargs) => {
    bind("test", "", args, kwargs);
    return test(value, env);
  };

/** A test of the value and one other. */
const beside =
  (parameter: string, test: (value: Value, other: Value, env: Env) => boolean): TestFunction =>
  (env, value, args, kwargs) =>
    test(value, bind("test", parameter, args, kwargs)[0]!, env);

const remainder = (value: Value, by: Value, env: Env): Value =>
  typeof value === "string" ? percent(value, by, env.meter) : arithmetic("%", value, by, env.meter);

const ordered = (operator: string): TestFunction => beside("b", (value, other, env) => compare(operator, value, other, env.meter));
const equal = beside("b", (value, other, env) => equals(value, other, env.meter));
const unequal = beside("b", (value, other, env) => !equals(value, other, env.meter));

function isSame(value: Value, other: Value): boolean {
  if (value instanceof Markup || other instanceof Markup) return value === other;
  return Object.is(value, other);
}

const isSequence = (value: Value): boolean =>
  textOf(value) !== undefined ||
  Array.isArray(value) ||
  value instanceof Tuple ||
  value instanceof Dict ||
  value instanceof Undefined ||
  (value instanceof PyObject && value.type === "range");

const named = (has: (name: string) => boolean): TestFunction => alone((value) => typeof value === "string" && has(value));

/** The tests by name; `filters` says which filters there are. */
export function testsOf(filters: (name: string) => boolean): Readonly<Record<string, TestFunction>> {
  const tests: Readonly<Record<string, TestFunction>> = {
    ...PLAIN,
    filter: named(filters),
    test: named((name) => name === "filter" || name === "test" || Object.hasOwn(PLAIN, name)),
  };
  return tests;
}

const PLAIN: Readonly<Record<string, TestFunction>> = {
  defined: alone((value) => !(value instanceof Undefined)),
  undefined: alone((value) => value instanceof Undefined),
  none: alone((value) => value === null),
  boolean: alone((value) => typeof value === "boolean"),
  true: alone((value) => value === true),
  false: alone((value) => value === false),
  integer: alone((value) => typeof value === "bigint"),
  float: alone((value) => typeof value === "number"),
  number: alone(isNumeric),
  string: alone((value) => textOf(value) !== undefined),
  mapping: alone((value) => value instanceof Dict),
  sequence: alone(isSequence),
  iterable: alone(isIterable),
  callable: alone((value) => value instanceof PyObject && value.call !== undefined),
  escaped: alone((value) => value instanceof Markup),
  lower: alone((value, env) => isCase(str(value, env.meter), "lower")),
  upper: alone((value, env) => isCase(str(value, env.meter), "upper")),
  odd: alone((value, env) => equals(remainder(value, 2n, env), 1n, env.meter)),
  even: alone((value, env) => equals(remainder(value, 2n, env), 0n, env.meter)),
  divisibleby: beside("num", (value, num, env) => equals(remainder(value, num, env), 0n, env.meter)),
  sameas: beside("other", isSame),
  in: beside("seq", (value, container, env) => contains(value, container, env.meter)),
  "==": equal,
  eq: equal,
  equalto: equal,
  "!=": unequal,
  ne: unequal,
  ">": ordered(">"),
  gt: ordered(">"),
  greaterthan: ordered(">"),
  ge: ordered(">="),
  ">=": ordered(">="),
  "<": ordered("<"),
  lt: ordered("<"),
  lessthan: ordered("<"),
  "<=": ordered("<="),
  le: ordered("<="),
};
