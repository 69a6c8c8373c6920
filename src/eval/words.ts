/** Texts as words and punctuation: their variety and repetition. */

/** Words and numbers in lower case, and each punctuation mark separately; without a stemmer. */
const words = (text: string): string[] => text.toLowerCase().match(/[\p{L}\p{M}\p{N}]+|[^\s\p{L}\p{M}\p{N}]/gu) ?? [];

/** The number of occurrences of each n-gram of words. */
function runs(text: readonly string[], n: number): Map<string, number> {
  const counts = new Map<string, number>();
  for (let i = 0; i + n <= text.length; i++) {
    const run = text.slice(i, i + n).join(" ");
    counts.set(run, (counts.get(run) ?? 0) + 1);
  }
  return counts;
}

/** The share of a text's n-grams that occurred earlier in it; 0 if there are none. */
export function repeatedShare(text: string, n: number): number {
  const list = words(text);
  const total = list.length - n + 1;
  return total < 1 ? 0 : 1 - runs(list, n).size / total;
}

/** The entropy of a text's n-grams, in bits; 0 if there are none. */
export function runEntropy(text: string, n: number): number {
  const list = words(text);
  const total = list.length - n + 1;
  let bits = 0;
  for (const count of runs(list, n).values()) bits -= (count / total) * Math.log2(count / total);
  return bits;
}

/** The words without punctuation, with one space between them. */
export const normalized = (text: string): string =>
  words(text)
    .filter((word) => /[\p{L}\p{N}]/u.test(word))
    .join(" ");

/** The inverse document frequency of each word: ln((1 + documents) / (1 + those with it)) + 1. */
export function inverseFrequencies(documents: readonly string[]): ReadonlyMap<string, number> {
  const found = new Map<string, number>();
  for (const document of documents)
    for (const word of new Set(normalized(document).split(" "))) found.set(word, (found.get(word) ?? 0) + 1);
  return new Map([...found].map(([word, count]) => [word, Math.log((1 + documents.length) / (1 + count)) + 1]));
}

/** The tf-idf weights of a text's words. */
export function weights(text: string, rare: ReadonlyMap<string, number>): ReadonlyMap<string, number> {
  const list = normalized(text).split(" ").filter(Boolean);
  return new Map([...runs(list, 1)].map(([word, count]) => [word, count * (rare.get(word) ?? 0)]));
}

/** The cosine of two weighted lists of words; 0 if one is empty. */
export function cosine(a: ReadonlyMap<string, number>, b: ReadonlyMap<string, number>): number {
  const norm = (list: ReadonlyMap<string, number>): number => Math.sqrt([...list.values()].reduce((total, x) => total + x * x, 0));
  const both = [...a].reduce((total, [word, x]) => total + x * (b.get(word) ?? 0), 0);
  return both === 0 ? 0 : both / (norm(a) * norm(b));
}
