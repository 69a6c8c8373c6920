/** Counts what a template uses, so that a hostile one is refused at the same point on every machine. */
import { raise } from "./trouble.ts";

/** What a template may use. */
export const LIMITS = {
  /** Characters of the template. */
  template: 200_000,
  /** Evaluations, and items that filters visit. */
  steps: 1_000_000,
  /** Characters of one text, and of the output. */
  text: 8_000_000,
  /** Characters that are read or written in all. */
  allText: 200_000_000,
  /** Items of one list. */
  items: 200_000,
  /** Numbers of one `range`: the limit of Jinja's sandbox. */
  range: 100_000,
  /** Bits of a whole number. */
  bits: 16_384,
  /** Expressions and statements inside each other while rendering. */
  depth: 1_000,
  /** Brackets or blocks inside each other in the template's text. */
  nesting: 100,
  /** Operators of one strength in a row. */
  chain: 500,
};

/** The counters of one rendering. */
export class Meter {
  /** The line that is being rendered. */
  line = 1;
  private steps = 0;
  private text = 0;
  private depth = 0;

  /** Counts `n` steps. */
  step(n = 1): void {
    this.steps += n;
    if (this.steps > LIMITS.steps) raise("Limit", `it does not end within ${LIMITS.steps} evaluations`);
  }

  /** Counts a text of `size` characters before it is made. */
  size(size: number): void {
    if (size > LIMITS.text) raise("Limit", `it makes a text of ${size} characters, more than ${LIMITS.text}`);
    if (size > 64) this.read(size);
  }

  /** Counts `more` characters of a text that has `size` by then. */
  grown(size: number, more: number): void {
    if (size > LIMITS.text) this.size(size);
    this.read(more);
  }

  /** Counts `size` characters that are read. */
  read(size: number): void {
    this.text += size;
    if (this.text > LIMITS.allText) raise("Limit", `it reads and writes more than ${LIMITS.allText} characters in all`);
  }

  /** Counts a text that was made of others, which V8 does without copying them. */
  joined(size: number): void {
    if (size > LIMITS.text) this.size(size);
    this.read(size >> 3);
  }

  /** Counts a list of `count` items before it is made. */
  items(count: number): void {
    if (count > LIMITS.items) raise("Limit", `it makes a list of ${count} items, more than ${LIMITS.items}`);
    this.step(count >> 3);
  }

  /** Counts a whole number of about `bits` bits before it is made. */
  bits(bits: number): void {
    if (!(bits <= LIMITS.bits)) raise("Limit", `it makes a whole number of more than ${LIMITS.bits} bits`);
    if (bits > 256) this.step((bits / 64) ** 2 / 16);
  }

  /** Goes one level down; `up` comes back. An error ends the rendering, so that no one needs to come back after it. */
  down(): void {
    if (++this.depth > LIMITS.depth) raise("Limit", `it nests more than ${LIMITS.depth} levels deep`);
  }

  up(): void {
    this.depth--;
  }
}
