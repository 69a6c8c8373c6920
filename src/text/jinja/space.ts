/** White space as Python knows it, which differs from JavaScript's in some control characters. */

/** Whether a UTF-16 unit is white space; every space is one unit. */
export const isSpace = (c: number): boolean =>
  c <= 0x20
    ? c === 0x20 || (c >= 9 && c <= 13) || (c >= 0x1c && c <= 0x1f)
    : c === 0x85 ||
      c === 0xa0 ||
      c === 0x1680 ||
      (c >= 0x2000 && c <= 0x200a) ||
      c === 0x2028 ||
      c === 0x2029 ||
      c === 0x202f ||
      c === 0x205f ||
      c === 0x3000;

/** The first position at or after `at` that is no space. */
export function skipSpace(text: string, at: number): number {
  while (at < text.length && isSpace(text.charCodeAt(at))) at++;
  return at;
}

/** The position behind the last character before `end` that is no space. */
export function skipSpaceBack(text: string, end: number, start = 0): number {
  while (end > start && isSpace(text.charCodeAt(end - 1))) end--;
  return end;
}
