/** Typed reading of configs that others wrote: a wrong value is named, with the file and what was wanted. */
import { fail } from "../../base/fail.ts";

export interface Reader {
  /** A positive whole number. */
  size(key: string, otherwise?: number): number;
  /** A number of blocks or heads: a positive whole number up to 4096, so that lists of them stay small. */
  count(key: string, otherwise?: number): number;
  /** A finite number. */
  number(key: string, otherwise?: number): number;
  flag(key: string, otherwise: boolean): boolean;
  text(key: string, otherwise: string): string;
  object(key: string): Readonly<Record<string, unknown>> | undefined;
}

const LARGEST = 2 ** 31;
const MOST = 4096;

export function reader(who: string, from: Readonly<Record<string, unknown>>): Reader {
  const refuse = (key: string, wanted: string): never =>
    fail(
      who,
      `"${key}" is ${JSON.stringify(from[key], (_k, v: unknown) => (typeof v === "bigint" ? String(v) : v))?.slice(0, 80) ?? "missing"}`,
      wanted,
      "The file is damaged or of another kind of model.",
      "unavailable",
    );
  const number = (key: string, otherwise?: number): number => {
    const raw = from[key];
    const value = typeof raw === "bigint" ? Number(raw) : raw;
    if (value == null && otherwise !== undefined) return otherwise;
    return typeof value === "number" && Number.isFinite(value) ? value : refuse(key, "a number");
  };
  return {
    number,
    size: (key, otherwise) => {
      const value = number(key, otherwise);
      return Number.isInteger(value) && value > 0 && value < LARGEST ? value : refuse(key, "a positive whole number");
    },
    count: (key, otherwise) => {
      const value = number(key, otherwise);
      return Number.isInteger(value) && value > 0 && value <= MOST ? value : refuse(key, `a positive whole number up to ${MOST}`);
    },
    flag: (key, otherwise) => (from[key] == null ? otherwise : typeof from[key] === "boolean" ? from[key] : refuse(key, "true or false")),
    text: (key, otherwise) => (from[key] == null ? otherwise : typeof from[key] === "string" ? from[key] : refuse(key, "a text")),
    object: (key) => {
      const value = from[key];
      if (value == null) return undefined;
      return typeof value === "object" && !Array.isArray(value) ? (value as Record<string, unknown>) : refuse(key, "an object");
    },
  };
}
