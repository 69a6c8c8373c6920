/** ROUGE-N and ROUGE-L of two texts: tokens, clipped overlap, longest common subsequence. */
import { stem } from "./stem.ts";

/** The share of the generation that is in the gold text (precision), the share of the gold text that is in the generation (recall), and their harmonic mean. */
export interface Rouge {
  readonly precision: number;
  readonly recall: number;
  readonly f1: number;
}

/** Lower-case runs of a-z and 0-9; runs longer than three letters are stemmed. Any other character separates, even an accented letter. */
export function tokenize(text: string, stemmer: (word: string) => string = stem): string[] {
  const words = text.toLowerCase().match(/[a-z0-9]+/g) ?? [];
  return words.map((word) => (word.length > 3 ? stemmer(word) : word)).filter((word) => word !== "");
}

/** ROUGE-N: the common n-grams, each counted as often as in the text with fewer of them. */
export function rougeN(gold: readonly string[], generated: readonly string[], n: number): Rouge {
  const wanted = grams(gold, n);
  const got = grams(generated, n);
  let overlap = 0;
  for (const [gram, count] of wanted) overlap += Math.min(count, got.get(gram) ?? 0);
  return shares(overlap, Math.max(1, gold.length - n + 1), Math.max(1, generated.length - n + 1));
}

/** ROUGE-L: the longest common subsequence; 0 when either side is empty. */
export function rougeL(gold: readonly string[], generated: readonly string[]): Rouge {
  if (gold.length === 0 || generated.length === 0) return shares(0, 1, 1);
  return shares(lcsTable(gold, generated).at(-1)!.at(-1)!, gold.length, generated.length);
}

/** ROUGE-Lsum: over sentences (lines), the union of each gold sentence's common subsequences with all generated ones. */
export function rougeLsum(gold: readonly (readonly string[])[], generated: readonly (readonly string[])[]): Rouge {
  const goldLeft = grams(gold.flat(), 1);
  const generatedLeft = grams(generated.flat(), 1);
  const [goldSize, generatedSize] = [gold.flat().length, generated.flat().length];
  if (goldSize === 0 || generatedSize === 0) return shares(0, 1, 1);
  let hits = 0;
  for (const sentence of gold)
    for (const at of [...new Set(generated.flatMap((other) => lcsPositions(sentence, other)))].sort((a, b) => a - b)) {
      const token = sentence[at]!;
      const [left, right] = [goldLeft.get(token) ?? 0, generatedLeft.get(token) ?? 0];
      if (left === 0 || right === 0) continue;
      hits++;
      goldLeft.set(token, left - 1);
      generatedLeft.set(token, right - 1);
    }
  return shares(hits, goldSize, generatedSize);
}

function shares(hits: number, goldSize: number, generatedSize: number): Rouge {
  const [precision, recall] = [hits / generatedSize, hits / goldSize];
  return { precision, recall, f1: precision + recall > 0 ? (2 * precision * recall) / (precision + recall) : 0 };
}

function grams(tokens: readonly string[], n: number): Map<string, number> {
  const counts = new Map<string, number>();
  for (let i = 0; i + n <= tokens.length; i++) {
    const gram = tokens.slice(i, i + n).join(" ");
    counts.set(gram, (counts.get(gram) ?? 0) + 1);
  }
  return counts;
}

/** table[i][j]: the length of the longest common subsequence of a's first i and b's first j tokens. */
function lcsTable(a: readonly string[], b: readonly string[]): Uint32Array[] {
  const table = [new Uint32Array(b.length + 1)];
  for (let i = 1; i <= a.length; i++) {
    const [above, row] = [table[i - 1]!, new Uint32Array(b.length + 1)];
    for (let j = 1; j <= b.length; j++) row[j] = a[i - 1] === b[j - 1] ? above[j - 1]! + 1 : Math.max(above[j]!, row[j - 1]!);
    table.push(row);
  }
  return table;
}

/** The positions in `a` of a longest common subsequence with `b`; of several, the one that the rouge_score package finds. */
function lcsPositions(a: readonly string[], b: readonly string[]): number[] {
  const table = lcsTable(a, b);
  const positions: number[] = [];
  for (let i = a.length, j = b.length; i > 0 && j > 0;) {
    if (a[i - 1] === b[j - 1]) {
      positions.push(--i);
      j--;
    } else if (table[i]![j - 1]! > table[i - 1]![j]!) j--;
    else i--;
  }
  return positions;
}
