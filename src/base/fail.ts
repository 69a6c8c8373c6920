/** The one way to report an error: who, what it got, what it wanted, and how to fix it. */

/** The kind of error; the command line turns it into an exit code (2, 3, 3, 4, 1, 130). */
export type Trouble = "usage" | "unavailable" | "memory" | "execution" | "internal" | "aborted";

/** An error a caller can act on. `message` reads `who: got; wanted …. hint`. */
export class LetheError extends Error {
  override readonly name = "LetheError";
  readonly who: string;
  readonly got: string;
  readonly wanted: string;
  readonly hint: string;
  readonly trouble: Trouble;

  constructor(who: string, got: string, wanted: string, hint: string, trouble: Trouble) {
    got = clip(got);
    super(`${who}: ${got}${wanted ? `; wanted ${wanted}` : ""}.${hint ? ` ${hint}` : ""}`);
    this.who = who;
    this.got = got;
    this.wanted = wanted;
    this.hint = hint;
    this.trouble = trouble;
  }
}

/** Foreign text may be a megabyte long; a message shows its beginning and its end. */
const clip = (text: string): string => (text.length > 600 ? `${text.slice(0, 400)} … ${text.slice(-100)}` : text);

/**
 * Throws a {@link LetheError}. No argument ends in a full stop except `hint`, which is a sentence.
 * @example fail("rome", 'subject "Basil" is not in prompt "Who wrote…"', "the subject as the prompt spells it", "Quote it as the prompt does.")
 */
export function fail(who: string, got: string, wanted: string, hint: string, trouble: Trouble = "usage"): never {
  throw new LetheError(who, got, wanted, hint, trouble);
}

/** Whether an error says only that the work was stopped. */
export const isAborted = (error: unknown): boolean =>
  error instanceof LetheError ? error.trouble === "aborted" : error instanceof Error && error.name === "AbortError";

/** The first `most` of some names, and how many more there are. */
export const someOf = (names: readonly string[], most: number): string =>
  names.length > most ? `${names.slice(0, most).join(", ")} and ${names.length - most} more` : names.join(", ");

/** The candidate nearest to `name` by edit distance; undefined if none is close. */
export function nearest(name: string, candidates: readonly string[]): string | undefined {
  let best: string | undefined;
  let least = Math.max(2, Math.floor(name.length / 2)) + 1;
  for (const candidate of candidates) {
    const distance = editDistance(name.toLowerCase(), candidate.toLowerCase());
    if (distance < least && distance < Math.max(name.length, candidate.length)) [best, least] = [candidate, distance];
  }
  return best;
}

/** Inserted, deleted and changed characters, and neighbours that changed places (optimal string alignment). */
function editDistance(a: string, b: string): number {
  let before: number[] = [];
  let row = Array.from({ length: b.length + 1 }, (_, j) => j);
  for (let i = 1; i <= a.length; i++) {
    const next = [i];
    for (let j = 1; j <= b.length; j++) {
      const isSwapped = i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1];
      next.push(
        Math.min(next[j - 1]! + 1, row[j]! + 1, row[j - 1]! + (a[i - 1] === b[j - 1] ? 0 : 1), isSwapped ? before[j - 2]! + 1 : Infinity),
      );
    }
    [before, row] = [row, next];
  }
  return row[b.length]!;
}
