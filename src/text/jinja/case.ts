/** Upper and lower case, and the classes of characters, as Python knows them. */
import { isSpace } from "./space.ts";

const LOWER = /\p{Lowercase}/u;
const UPPER = /\p{Uppercase}/u;
const TITLE = /\p{Lt}/u;
const isCased = (c: string): boolean => LOWER.test(c) || UPPER.test(c) || TITLE.test(c);

/** A character at the start of a word. Georgian letters keep their form; the letter ß becomes Ss. */
function titleCase(c: string): string {
  const code = c.codePointAt(0)!;
  if ((code >= 0x10d0 && code <= 0x10ff) || TITLE.test(c)) return c;
  if (code >= 0x1c4 && code <= 0x1cc) return String.fromCodePoint(code - ((code - 0x1c4) % 3) + 1);
  if (code >= 0x1f1 && code <= 0x1f3) return "\u01f2";
  const [first, ...rest] = c.toUpperCase();
  return first! + rest.join("").toLowerCase();
}

export function capitalize(text: string): string {
  const [first = ""] = text;
  return first && titleCase(first) + lowerAfter(first, text.slice(first.length));
}

/** The rest of a word in lower case; what stands before it decides the form of a final sigma. */
const lowerAfter = (before: string, rest: string): string => (before + rest).toLowerCase().slice(before.toLowerCase().length);

/** Each word with a capital; a word is a row of letters. */
export function title(text: string): string {
  const lower = [...text].map((c) => c.toLowerCase());
  const isLetter = [...text].map(isCased);
  return [...text].map((c, k) => (isLetter[k - 1] ? sigma(isLetter, k, c, lower[k]!) : titleCase(c))).join("");
}

const sigma = (isLetter: readonly boolean[], k: number, c: string, lower: string): string => (c === "Σ" && !isLetter[k + 1] ? "ς" : lower);

export function swapCase(text: string): string {
  const isLetter = [...text].map(isCased);
  const lowered = (c: string, k: number): string => (isLetter[k - 1] ? sigma(isLetter, k, c, c.toLowerCase()) : c.toLowerCase());
  return [...text].map((c, k) => (UPPER.test(c) ? lowered(c, k) : LOWER.test(c) ? c.toUpperCase() : c)).join("");
}

/** The form in which texts are compared without case. */
export const caseFold = (text: string): string =>
  [...text].map((c) => (c.toUpperCase().length > c.length ? c.toUpperCase().toLowerCase() : c === "ς" ? "σ" : c.toLowerCase())).join("");

/** Whether there are cased characters and all are of one case. */
export function isCase(text: string, which: "lower" | "upper"): boolean {
  const [good, bad] = which === "lower" ? [LOWER, UPPER] : [UPPER, LOWER];
  return good.test(text) && !bad.test(text) && !TITLE.test(text);
}

export function isTitle(text: string): boolean {
  let [wasCased, isAny] = [false, false];
  for (const c of text) {
    const starts = UPPER.test(c) || TITLE.test(c);
    if (starts === wasCased && (starts || LOWER.test(c))) return false;
    wasCased = starts || LOWER.test(c);
    isAny ||= wasCased;
  }
  return isAny;
}

/** Digits beyond the decimal ones: superscripts, circled digits and the like. */
const DIGIT =
  "\\p{Nd}\\u00b2\\u00b3\\u00b9\\u1369-\\u1371\\u19da\\u2070\\u2074-\\u2079\\u2080-\\u2089\\u2460-\\u2468\\u2474-\\u247c\\u2488-\\u2490\\u24ea\\u24f5-\\u24fd\\u24ff\\u2776-\\u277e\\u2780-\\u2788\\u278a-\\u2792\\u{10a40}-\\u{10a43}\\u{10e60}-\\u{10e68}\\u{11052}-\\u{1105a}\\u{1f100}-\\u{1f10a}";
const CLASSES = {
  isalpha: /^\p{L}+$/u,
  isdecimal: /^\p{Nd}+$/u,
  isdigit: new RegExp(`^[${DIGIT}]+$`, "u"),
  isalnum: new RegExp(`^[\\p{L}\\p{N}${DIGIT}]+$`, "u"),
  isnumeric: /^\p{N}+$/u,
  isidentifier: /^[\p{ID_Start}_]\p{ID_Continue}*$/u,
};
export type CharClass = keyof typeof CLASSES;
export const isClass = (name: string): name is CharClass => Object.hasOwn(CLASSES, name);

/** Whether the text has characters and all are of a class. */
export const isAll = (text: string, name: CharClass): boolean => CLASSES[name].test(text);

export const isAllSpace = (text: string): boolean => text !== "" && ![...text].some((c) => !isSpace(c.charCodeAt(0)));

/** Characters that Python's `repr` writes as escapes, besides quotes and backslashes. */
export const UNPRINTABLE = /[\p{C}\p{Zl}\p{Zp}\p{Zs}]/u;
