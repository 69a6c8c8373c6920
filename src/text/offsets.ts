/** The position of each token in its text, found by matching the bytes that tokens spell along the text. */

/** The spelling of a token: bytes, or "unknown" (an unknown-token mark). */
export type Surface = Uint8Array | "unknown";

/** How text may differ from the spelling of its tokens. */
export interface Spelling {
  /** The tokenizer's normaliser on one character with its marks, spaces as spaces. */
  readonly normalise: (piece: string) => string;
  /** An unknown token replaces a whole word, not one character. */
  readonly isWordwise: boolean;
  /** The unknown token's own text, in case the text contains it literally. */
  readonly unknown?: string;
}

interface Units {
  readonly text: string;
  /** UTF-16 index of the character that byte b belongs to: [bytes]. */
  readonly start: Uint32Array;
  readonly end: Uint32Array;
}

/**
 * The [start, end) of each token in UTF-16 units of `text`, both monotone. A token that ends inside a character
 * spans all of it; a token without text has an empty span. `text` contains no lone surrogates.
 */
export function offsetsOf(text: string, surfaces: readonly Surface[], spelling: Spelling): [number, number][] {
  return walkBytes(text, surfaces) ?? walkUnits(text, surfaces, spelling);
}

/** The common case: the tokens spell the text byte for byte. */
function walkBytes(text: string, surfaces: readonly Surface[]): [number, number][] | undefined {
  const bytes = new TextEncoder().encode(text);
  const spans: [number, number][] = [];
  const isAscii = bytes.length === text.length;
  const { start, end } = isAscii ? { start: NONE, end: NONE } : unitsOf(bytes);
  let at = 0;
  for (const surface of surfaces) {
    if (surface === "unknown" || at + surface.length > bytes.length) return undefined;
    for (let k = 0; k < surface.length; k++) if (surface[k] !== bytes[at + k]) return undefined;
    const next = at + surface.length;
    if (isAscii) spans.push([at, next]);
    else spans.push(next === at ? [start[at] ?? text.length, start[at] ?? text.length] : [start[at]!, end[next - 1]!]);
    at = next;
  }
  return at === bytes.length ? spans : undefined;
}

const NONE = new Uint32Array(0);
const MARK = "\uFFFC";

/** The general case: spaces that the tokenizer adds or drops, characters that it normalises, unknown tokens. */
function walkUnits(text: string, surfaces: readonly Surface[], spelling: Spelling): [number, number][] {
  const mark = new TextEncoder().encode(MARK);
  const pieces = surfaces.map((s) => (s === "unknown" ? mark : s));
  const spelled = unitsOf(concat(pieces));
  const unknown = new Set<number>();
  let at = 0;
  const ranges = pieces.map((piece, k): [number, number] => {
    const from = at;
    at += piece.length;
    if (surfaces[k] === "unknown") unknown.add(spelled.start[from]!);
    return piece.length ? [spelled.start[from]!, spelled.end[at - 1]!] : [-1, -1];
  });
  const plain = normalised(text, spelling);
  const { start, end } = align(plain, spelled.text, unknown, spelling);
  const spans: [number, number][] = [];
  let [low, high] = [0, 0];
  for (const [from, to] of ranges) {
    let [first, last] = [-1, -1];
    for (let j = from; j < to; j++)
      if (end[j]! > start[j]!) {
        if (first < 0) first = start[j]!;
        last = Math.max(last, end[j]!);
      }
    if (first < 0) first = last = from >= 0 && from < start.length ? Math.max(start[from]!, high) : high;
    low = Math.max(low, first);
    high = Math.max(high, last, low);
    spans.push([low, high]);
  }
  return spans;
}

/** Text after normalisation, with the original range of each unit. */
interface Plain {
  text: string;
  start: number[];
  end: number[];
  length: number;
}

/** Normalises cluster by cluster: a base character with the marks, or Hangul vowels and finals, that may fuse with it. */
function normalised(text: string, { normalise }: Spelling): Plain {
  const known = new Map<string, string>();
  const parts: string[] = [];
  const [start, end]: [number[], number[]] = [[], []];
  for (const { 0: cluster, index } of text.matchAll(/\p{M}+|\P{M}[\p{M}\u1160-\u11FF]*/gu)) {
    let as = known.get(cluster);
    if (as === undefined) known.set(cluster, (as = normalise(cluster)));
    parts.push(as);
    for (let k = 0; k < as.length; k++) {
      const isSame = as.length === cluster.length && as === cluster;
      start.push(isSame ? index + k : index);
      end.push(isSame ? index + k + 1 : index + cluster.length);
    }
  }
  return { text: parts.join(""), start, end, length: text.length };
}

/** For every unit of `spelled`, its range in the original text; empty if the tokenizer added it. */
function align(plain: Plain, spelled: string, unknown: ReadonlySet<number>, spelling: Spelling): { start: Uint32Array; end: Uint32Array } {
  const start = new Uint32Array(spelled.length);
  const end = new Uint32Array(spelled.length);
  const { text } = plain;
  const { isWordwise } = spelling;
  let [i, j] = [0, 0];
  const take = (units: number, width: number): void => {
    const from = plain.start[i] ?? plain.length;
    start.fill(from, j, j + units);
    end.fill(width ? plain.end[i + width - 1]! : from, j, j + units);
    i += width;
    j += units;
  };
  while (j < spelled.length) {
    const [next, here] = [text[i], spelled[j]!];
    if (next === undefined) take(1, 0);
    else if (unknown.has(j)) {
      if (isWordwise && isSpace(next)) i++;
      else if (spelling.unknown && text.startsWith(spelling.unknown, i)) take(1, spelling.unknown.length);
      else take(1, unknownWidth(text, i, spelled, j, unknown, isWordwise));
    } else if (here === " " && spelled[j - 1] !== " " && spacesAt(spelled, j) > spacesAt(text, i)) take(1, 0);
    else if (next === here) take(1, 1);
    else if (here === " ") take(1, 0);
    else if (isSpace(next)) i++;
    else {
      const [width, units] = meet(text, i, spelled, j);
      take(units, width);
    }
  }
  return { start, end };
}

/** The number of spaces from `at` on. */
function spacesAt(text: string, at: number): number {
  let n = at;
  while (text[n] === " ") n++;
  return n - at;
}

const isSpace = (c: string): boolean => /\s/u.test(c);

/** The length of text that one unknown token replaces: up to the next known spelling, else a character or a word. */
function unknownWidth(text: string, i: number, spelled: string, j: number, unknown: ReadonlySet<number>, isWordwise: boolean): number {
  let ahead = "";
  for (let k = j + 1; k < spelled.length && ahead.length < 4 && !unknown.has(k); k++) ahead += spelled[k];
  const one = text.codePointAt(i)! > 0xffff ? 2 : 1;
  const word = isWordwise ? Math.max(one, /^(?:\p{P}|[^\s\p{P}]*)/u.exec(text.slice(i, i + 256))![0].length) : one;
  if (!ahead.trim()) return j + 1 >= spelled.length && !isWordwise ? text.length - i : word;
  for (let width = one; width <= 256 && i + width < text.length; width++)
    if (text.startsWith(ahead, i + width) || (isWordwise && ahead.length < 4 && width >= word && text.startsWith(ahead.trim(), i + width)))
      return width;
  return word;
}

/** The nearest point where both agree again for six units: the distance in each. */
function meet(text: string, i: number, spelled: string, j: number): [width: number, units: number] {
  for (let distance = 1; distance <= 128; distance++)
    for (let width = 0; width <= distance; width++) {
      const [a, b] = [i + width, j + distance - width];
      if (a > text.length || b > spelled.length) continue;
      const ahead = spelled.slice(b, b + 6);
      if (ahead ? text.startsWith(ahead, a) : a === text.length) return [width, b - j];
    }
  return [text.length - i, spelled.length - j];
}

/** Decodes UTF-8 with one U+FFFD per invalid byte, and records the position of each byte. */
function unitsOf(bytes: Uint8Array): Units {
  const start = new Uint32Array(bytes.length);
  const end = new Uint32Array(bytes.length);
  const codes: number[] = [];
  const parts: string[] = [];
  let units = 0;
  for (let b = 0; b < bytes.length;) {
    const lead = bytes[b]!;
    let length = lead < 0x80 ? 1 : lead >= 0xf0 && lead < 0xf5 ? 4 : lead >= 0xe0 ? 3 : lead >= 0xc2 ? 2 : 1;
    let code = length === 1 ? lead : lead & (0xff >> (length + 1));
    for (let k = 1; k < length; k++) {
      const next = bytes[b + k];
      if (next === undefined || (next & 0xc0) !== 0x80) {
        length = 1;
        code = 0xfffd;
        break;
      }
      code = (code << 6) | (next & 0x3f);
    }
    if ((length === 1 && lead >= 0x80) || code > 0x10ffff || (code >= 0xd800 && code < 0xe000)) code = 0xfffd;
    const wide = code > 0xffff ? 2 : 1;
    start.fill(units, b, b + length);
    end.fill(units + wide, b, b + length);
    codes.push(code);
    if (codes.length === 4096) parts.push(String.fromCodePoint(...codes.splice(0)));
    units += wide;
    b += length;
  }
  return { text: parts.join("") + String.fromCodePoint(...codes), start, end };
}

function concat(pieces: readonly Uint8Array[]): Uint8Array {
  const all = new Uint8Array(pieces.reduce((n, p) => n + p.length, 0));
  let at = 0;
  for (const piece of pieces) {
    all.set(piece, at);
    at += piece.length;
  }
  return all;
}
