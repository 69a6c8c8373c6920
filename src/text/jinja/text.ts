/** Python's view of a text: a sequence of code points. JavaScript counts UTF-16 units, so texts with characters beyond them go through arrays. */
import type { Meter } from "./meter.ts";
import { isSpace } from "./space.ts";
import { raise } from "./trouble.ts";

const WIDE = /[\ud800-\udbff][\udc00-\udfff]/;

/** Whether every code point is one unit. */
const isNarrow = (text: string): boolean => !WIDE.test(text);

/** The number of code points. */
export function lengthOf(text: string, meter: Meter): number {
  if (text.length > 64) meter.read(text.length);
  if (isNarrow(text)) return text.length;
  meter.read(text.length * 8);
  let count = 0;
  for (const _ of text) count++;
  return count;
}

/** The first `count` code points. */
export const beginning = (text: string, count: number): string =>
  Array.from(text.slice(0, count * 2))
    .slice(0, count)
    .join("");

/** The code points, one text each. */
function charsOf(text: string, meter: Meter): string[] {
  meter.items(text.length);
  return isNarrow(text) ? text.split("") : [...text];
}

/** The units at which a code point's index stands, and back. */
export interface Places {
  readonly length: number;
  unit(index: number): number;
  index(unit: number): number;
}

/** Converts between positions in code points and in units. */
export function placesOf(text: string, meter: Meter): Places {
  if (text.length > 64) meter.read(text.length);
  if (isNarrow(text)) return { length: text.length, unit: (index) => index, index: (unit) => unit };
  meter.read(text.length * 8);
  const units: number[] = [];
  for (let at = 0; at < text.length; at += text.codePointAt(at)! > 0xffff ? 2 : 1) units.push(at);
  units.push(text.length);
  const index = (unit: number): number => {
    let [low, high] = [0, units.length - 1];
    while (low < high) {
      const middle = (low + high) >> 1;
      if (units[middle]! < unit) low = middle + 1;
      else high = middle;
    }
    return low;
  };
  return { length: units.length - 1, unit: (at) => units[at]!, index };
}

/** The first position of `part` at or after `from`, or -1. Long parts are sought in linear time (Knuth, Morris and Pratt). */
export function find(text: string, part: string, from: number, meter: Meter): number {
  meter.read((text.length - from) * (part.length > 32 ? 8 : 1 + (part.length >> 3)) + part.length);
  if (part.length <= 32) return text.indexOf(part, from);
  const unit = (at: number): number => part.charCodeAt(at);
  const next = new Int32Array(part.length);
  for (let k = 1, matched = 0; k < part.length; k++) {
    while (matched && unit(k) !== unit(matched)) matched = next[matched - 1]!;
    if (unit(k) === unit(matched)) matched++;
    next[k] = matched;
  }
  for (let at = from, matched = 0; at < text.length; at++) {
    const c = text.charCodeAt(at);
    while (matched && c !== unit(matched)) matched = next[matched - 1]!;
    if (c === unit(matched)) matched++;
    if (matched === part.length) return at - matched + 1;
  }
  return -1;
}

/** The last position of `part` that ends at or before `end`, or -1. */
export function findLast(text: string, part: string, end: number, meter: Meter): number {
  if (end < part.length) return -1;
  if (part.length <= 32) {
    meter.read(end * (1 + (part.length >> 3)));
    return text.lastIndexOf(part, end - part.length);
  }
  const at = find(reversed(text.slice(0, end)), reversed(part), 0, meter);
  return at < 0 ? -1 : end - at - part.length;
}

const reversed = (text: string): string => text.split("").reverse().join("");

/** The text without the characters of `chars`, or without white space, at its ends. */
export function strip(text: string, chars: string | undefined, ends: "both" | "left" | "right", meter: Meter): string {
  if (text.length > 64) meter.read(text.length);
  if (chars !== undefined && !(isNarrow(chars) && isNarrow(text))) return stripWide(text, chars, ends, meter);
  if (chars !== undefined) meter.read(text.length * 4 + chars.length * 16);
  const set = chars === undefined ? undefined : new Set(chars);
  const isOut = (at: number): boolean => (set ? set.has(text[at]!) : isSpace(text.charCodeAt(at)));
  let [start, end] = [0, text.length];
  if (ends !== "right") while (start < end && isOut(start)) start++;
  if (ends !== "left") while (end > start && isOut(end - 1)) end--;
  return text.slice(start, end);
}

function stripWide(text: string, chars: string, ends: "both" | "left" | "right", meter: Meter): string {
  const all = charsOf(text, meter);
  const set = new Set(chars);
  let [start, end] = [0, all.length];
  if (ends !== "right") while (start < end && set.has(all[start]!)) start++;
  if (ends !== "left") while (end > start && set.has(all[end - 1]!)) end--;
  return all.slice(start, end).join("");
}

/** The text's parts between `separator`; `limit` is the largest number of splits, -1 for all. */
export function split(text: string, separator: string, limit: number, meter: Meter): string[] {
  if (separator === "") raise("ValueError", "empty separator");
  const parts: string[] = [];
  let from = 0;
  while (limit < 0 || parts.length < limit) {
    const at = text.length - from < separator.length ? -1 : step(text, separator, from, meter);
    if (at < 0) break;
    parts.push(text.slice(from, at));
    from = at + separator.length;
  }
  parts.push(text.slice(from));
  meter.items(parts.length);
  return parts;
}

/** The next separator; only what is read is counted, so that many splits of a long text stay linear. */
function step(text: string, separator: string, from: number, meter: Meter): number {
  if (separator.length > 32) return find(text, separator, from, meter);
  const at = text.indexOf(separator, from);
  meter.read(((at < 0 ? text.length : at) - from + 1) * (1 + (separator.length >> 3)));
  meter.items(1);
  return at;
}

/** The same from the right. */
export function splitRight(text: string, separator: string, limit: number, meter: Meter): string[] {
  if (separator === "") raise("ValueError", "empty separator");
  if (limit < 0) return split(text, separator, limit, meter);
  const parts: string[] = [];
  let end = text.length;
  while (parts.length < limit) {
    const at = findLast(text, separator, end, meter);
    if (at < 0) break;
    meter.step();
    parts.push(text.slice(at + separator.length, end));
    end = at;
  }
  parts.push(text.slice(0, end));
  return parts.reverse();
}

/** The words between white space. */
export function words(text: string, limit: number, isRight: boolean, meter: Meter): string[] {
  meter.read(text.length);
  const spans: [start: number, end: number][] = [];
  for (let at = 0; at < text.length; at++) {
    if (isSpace(text.charCodeAt(at))) continue;
    const start = at;
    while (at < text.length && !isSpace(text.charCodeAt(at))) at++;
    spans.push([start, at]);
    meter.items(1);
  }
  meter.items(spans.length);
  const cut = limit < 0 || spans.length <= limit ? undefined : limit;
  if (cut === undefined) return spans.map(([start, end]) => text.slice(start, end));
  if (!isRight) {
    const rest = strip(text.slice(spans[cut]![0]), undefined, "left", meter);
    return [...spans.slice(0, cut).map(([start, end]) => text.slice(start, end)), rest];
  }
  const first = spans.length - cut;
  return [text.slice(0, spans[first - 1]![1]), ...spans.slice(first).map(([start, end]) => text.slice(start, end))].map((part, k) =>
    k ? part : strip(part, undefined, "right", meter),
  );
}

/** Whether a unit ends a line. */
const isBreak = (c: number): boolean => (c >= 0x0a && c <= 0x0d) || (c >= 0x1c && c <= 0x1e) || c === 0x85 || c === 0x2028 || c === 0x2029;

/** The lines, with their ends or without. */
export function lines(text: string, keepsEnds: boolean, meter: Meter): string[] {
  meter.read(text.length * 2);
  const found: string[] = [];
  let from = 0;
  for (let at = 0; at < text.length; at++) {
    if (!isBreak(text.charCodeAt(at))) continue;
    const end = at;
    if (text[at] === "\r" && text[at + 1] === "\n") at++;
    found.push(text.slice(from, keepsEnds ? at + 1 : end));
    from = at + 1;
    meter.items(1);
  }
  if (from < text.length) found.push(text.slice(from));
  meter.items(found.length);
  return found;
}

/** Replaces the first `count` occurrences, all for a negative count. */
export function replace(text: string, old: string, by: string, count: number, meter: Meter): string {
  if (count === 0) return text;
  if (old !== "" && count < 0 && old.length <= 32) {
    meter.size(text.length + occurrences(text, old, meter) * Math.max(0, by.length - old.length));
    return text.replaceAll(old, by.replaceAll("$", "$$$$"));
  }
  const parts = old === "" ? edges(text, count, meter) : split(text, old, count, meter);
  meter.size(text.length + (parts.length - 1) * by.length);
  return parts.join(by);
}

/** How often a short part occurs. */
function occurrences(text: string, part: string, meter: Meter): number {
  meter.read(text.length * (1 + (part.length >> 3)));
  let count = 0;
  for (let at = text.indexOf(part); at >= 0; at = text.indexOf(part, at + part.length)) count++;
  meter.step(count >> 6);
  return count;
}

/** The parts of a text into which an empty text is put: before each character and at the end. */
function edges(text: string, count: number, meter: Meter): string[] {
  const chars = charsOf(text, meter);
  const limit = count < 0 ? chars.length + 1 : Math.min(count, chars.length + 1);
  const parts = ["", ...chars.slice(0, limit - 1)];
  parts.push(chars.slice(limit - 1).join(""));
  return parts;
}

/** `text` as often as `count` says. */
export function repeat(text: string, count: bigint, meter: Meter): string {
  if (count <= 0n || text === "") return "";
  meter.size(Number(count) * text.length);
  return text.repeat(Number(count));
}

/** Compares by code points. */
export function order(a: string, b: string, meter: Meter): number {
  if (a.length > 64) meter.read(Math.min(a.length, b.length));
  if (a === b) return 0;
  if (isNarrow(a) && isNarrow(b)) return a < b ? -1 : 1;
  meter.read(Math.min(a.length, b.length) * 8);
  for (let k = 0; k < Math.min(a.length, b.length); k++) {
    const [c, d] = [a.codePointAt(k)!, b.codePointAt(k)!];
    if (c !== d) return c - d;
  }
  return a.length - b.length;
}
