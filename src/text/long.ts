/** Tokens of a long text, read window by window: a window begins some tokens before the last one ended, where both agree. */
import type { Breathe } from "../base/context.ts";
import type { Tokenizer } from "./tokenizer.ts";

/** Characters of a window, and the tokens that two windows share: far more than a token depends on. */
const WINDOW = 1 << 16;
const SHARED = 128;

/** The first `most` tokens of a text, without special ones. A text of one window is tokenised as a whole. */
export async function firstTokens(tokenizer: Pick<Tokenizer, "encode">, text: string, most: number, breathe: Breathe): Promise<number[]> {
  const found: number[] = [];
  const ends: number[] = []; // where each token ends in the text
  for (let from = 0; ;) {
    await breathe();
    const to = whole(text, from + WINDOW);
    const { ids, offsets } = tokenizer.encode(text.slice(from, to), { special: false });
    const isLast = to >= text.length;
    const last = found.length === 0 ? -1 : ends.at(-1)!;
    const first = offsets.findIndex(([, end]) => from + end > last);
    let kept = isLast ? ids.length : Math.max(ids.length - SHARED, 1);
    // the bytes of one character may be several tokens, which stay together
    while (!isLast && kept > 1 && offsets[kept]?.[1] === offsets[kept - 1]![1]) kept--;
    for (let i = first < 0 ? ids.length : first; i < kept; i++) {
      found.push(ids[i]!);
      ends.push(from + offsets[i]![1]);
    }
    if (isLast || found.length >= most) return found.slice(0, most);
    // a window of which nothing was new is passed over
    const next = whole(text, ends.at(-SHARED) ?? 0);
    from = next > from ? next : to;
  }
}

/** A place that does not divide a character of two halves. */
const whole = (text: string, at: number): number =>
  at < text.length && /[\uDC00-\uDFFF]/.test(text[at]!) && /[\uD800-\uDBFF]/.test(text[at - 1] ?? "") ? at + 1 : at;
