/** Assertions about numbers, such as `rouge1/forget<=0.1`: read before the work, checked after it. */
import { fail, nearest } from "../base/fail.ts";
import type { Plugged } from "../base/plugin.ts";
import { suiteOf } from "../eval/suite.ts";
import { TEXT_COLUMN } from "./eval.ts";
import { type Asserted, type EvalRecord, type JudgedNumber, nameOf, type Part } from "./record.ts";

/** An assertion that was read. */
export type Assertion = Pick<Asserted, "assertion" | "name" | "part" | "operator" | "threshold">;

/** The numbers that an assertion may name. */
export interface Known {
  /** Their names, for an error. */
  readonly names: readonly string[];
  /** Whether there is a number of this name; by default one of the names. */
  readonly has?: (name: string) => boolean;
  /** Whether the numbers have intervals. */
  readonly hasIntervals: boolean;
}

/** A number as an assertion sees it. */
export interface Stated {
  readonly value: number;
  readonly interval: { readonly low: number; readonly high: number } | null;
  /** Why the number must not be used, if so. */
  readonly reason?: string;
}

const WHO = "--assert";
const EXAMPLE = "For example --assert 'rouge1/forget<=0.1'.";
const HOLDS: Readonly<Record<string, (found: number, threshold: number) => boolean>> = {
  "<=": (found, threshold) => found <= threshold,
  ">=": (found, threshold) => found >= threshold,
  "<": (found, threshold) => found < threshold,
  ">": (found, threshold) => found > threshold,
};

/** Reads assertions; refuses what is none, and a number that is not known. */
export const readAssertions = (texts: readonly string[], known: Known): Assertion[] => texts.map((text) => readOne(text.trim(), known));

function readOne(text: string, { names, has = (name) => names.includes(name), hasIntervals }: Known): Assertion {
  const [, left = "", operator = "", right = ""] = /^(.*?)(<=|>=|<|>|[=!≠≤≥]=*)(.*)$/s.exec(text) ?? [];
  const [, part = "value", within] = /^(upper|lower)\s*\((.*)\)$/s.exec(left.trim()) ?? [];
  const name = (within ?? left).trim();
  if (name === "") fail(WHO, `"${text}" is no assertion`, "NUMBER<=BOUND, also with >=, < and >", EXAMPLE);
  if (!Object.hasOwn(HOLDS, operator)) refuseOperator(text, operator);
  if (!has(name)) {
    const near = nearest(name, names);
    fail(
      WHO,
      `there is no number "${name}"`,
      names.join(", "),
      near ? `Did you mean "${near}"?` : "The names are metric/group, as in the suite.",
    );
  }
  if (part !== "value" && !hasIntervals)
    fail(WHO, `"${text}" is about an interval`, "an assertion about the value", "These numbers have no interval.");
  return {
    assertion: text,
    name,
    part: part as Part,
    operator: operator as Asserted["operator"],
    threshold: thresholdOf(text, right.trim()),
  };
}

function refuseOperator(text: string, operator: string): never {
  const hint = /^[=!≠]/.test(operator) ? "Two computed numbers are seldom equal to the last digit." : EXAMPLE;
  return fail(WHO, `"${text}" compares with ${operator}`, "<=, >=, < or >", hint);
}

function thresholdOf(text: string, number: string): number {
  if (/^[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?$/i.test(number)) return Number(number);
  const hint = number.endsWith("%") ? "Write 10% as 0.1." : EXAMPLE;
  return fail(WHO, `"${text}" compares with ${number === "" ? "nothing" : `"${number}"`}`, "a number", hint);
}

/** The numbers that an evaluation by a suite will have, with a text or without. */
export function knownInSuite(suite: string, hasText: boolean, ctx: Plugged): Known {
  const { columns } = suiteOf(suite, ctx);
  return { names: uniqueNames(hasText ? [...columns, TEXT_COLUMN] : columns), hasIntervals: true };
}

/** The numbers that an evaluation has or lacks. */
const knownInRecord = ({ numbers, missing }: EvalRecord): Known => ({ names: uniqueNames([...numbers, ...missing]), hasIntervals: true });

const uniqueNames = (all: readonly { readonly metric: string; readonly group?: string | null }[]): string[] => [
  ...new Set(all.map(({ metric, group = null }) => nameOf({ metric, group }))),
];

/** Checks assertions about an evaluation. A number that is missing, or that is not about all rows, fails each assertion about it. */
export function checkEvaluation(assertions: readonly Assertion[], record: EvalRecord): Asserted[] {
  const missing = record.missing.map((one) => [nameOf(one), { value: NaN, interval: null, reason: one.reason }] as const);
  const numbers = record.numbers.map((number) => [nameOf(number), statedBy(number, record)] as const);
  return checkAssertions(assertions, new Map<string, Stated>([...missing, ...numbers]));
}

function statedBy({ value, interval, nanRows, rows, group }: JudgedNumber, { omitted = {} }: EvalRecord): Stated {
  const groups = group?.split("+") ?? Object.keys(omitted);
  const left = groups.reduce((sum, one) => sum + (Object.hasOwn(omitted, one) ? omitted[one]! : 0), 0);
  const plain = { value, interval };
  if (left > 0) return { ...plain, reason: `${left === 1 ? "a row" : `${left} rows`} of the log ${left === 1 ? "has" : "have"} no value` };
  if (nanRows > 0) return { ...plain, reason: `${nanRows} of ${rows} rows ${nanRows === 1 ? "has" : "have"} no number` };
  return plain;
}

/** Reads assertions about an evaluation that was made, and checks them. */
export const checkRecord = (texts: readonly string[], record: EvalRecord): Asserted[] =>
  checkEvaluation(readAssertions(texts, knownInRecord(record)), record);

/** Checks assertions about numbers by name. */
export const checkAssertions = (assertions: readonly Assertion[], numbers: ReadonlyMap<string, Stated>): Asserted[] =>
  assertions.map((assertion) => {
    const { found, reason } = comparedIn(assertion, numbers.get(assertion.name));
    if (reason !== undefined) return { ...assertion, holds: false, found: null, reason };
    return { ...assertion, holds: HOLDS[assertion.operator]!(found, assertion.threshold), found };
  });

/** What is compared with the threshold, or why there is nothing to compare. */
function comparedIn({ part }: Assertion, number: Stated | undefined): { readonly found: number; readonly reason?: string } {
  if (number === undefined) return { found: NaN, reason: "there is no such number" };
  const { value, interval, reason } = number;
  if (reason !== undefined) return { found: NaN, reason };
  if (Number.isNaN(value)) return { found: NaN, reason: "it is not a number (NaN)" };
  if (part === "value") return { found: value };
  const found = part === "lower" ? interval?.low : interval?.high;
  return found === undefined || Number.isNaN(found) ? { found: NaN, reason: "it has no interval" } : { found };
}
