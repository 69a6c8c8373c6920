/** The Porter stemmer as NLTK extends it, which the published ROUGE numbers use. */

const IRREGULAR: ReadonlyMap<string, string> = new Map([
  ["sky", "sky"],
  ["skies", "sky"],
  ["dying", "die"],
  ["lying", "lie"],
  ["tying", "tie"],
  ["news", "news"],
  ["innings", "inning"],
  ["inning", "inning"],
  ["outings", "outing"],
  ["outing", "outing"],
  ["cannings", "canning"],
  ["canning", "canning"],
  ["howe", "howe"],
  ["proceed", "proceed"],
  ["exceed", "exceed"],
  ["succeed", "succeed"],
]);

/** A suffix, what replaces it, and what the stem before it must satisfy; the first suffix that matches decides. */
type Rule = readonly [suffix: string, replacement: string, condition?: (stem: string) => boolean];

/** The tables of steps 2 to 4; a test perturbs them to show that the comparison can fail. */
export interface StemRules {
  readonly step2: readonly Rule[];
  readonly step3: readonly Rule[];
  readonly step4: readonly Rule[];
}

const positive = (stem: string): boolean => measure(stem) > 0;
const long = (stem: string): boolean => measure(stem) > 1;

export const STEM_RULES: StemRules = {
  step2: [
    ["ational", "ate", positive],
    ["tional", "tion", positive],
    ["enci", "ence", positive],
    ["anci", "ance", positive],
    ["izer", "ize", positive],
    ["bli", "ble", positive],
    ["alli", "al", positive],
    ["entli", "ent", positive],
    ["eli", "e", positive],
    ["ousli", "ous", positive],
    ["ization", "ize", positive],
    ["ation", "ate", positive],
    ["ator", "ate", positive],
    ["alism", "al", positive],
    ["iveness", "ive", positive],
    ["fulness", "ful", positive],
    ["ousness", "ous", positive],
    ["aliti", "al", positive],
    ["iviti", "ive", positive],
    ["biliti", "ble", positive],
    ["fulli", "ful", positive],
    ["logi", "log", (stem) => positive(`${stem}l`)],
  ],
  step3: [
    ["icate", "ic", positive],
    ["ative", "", positive],
    ["alize", "al", positive],
    ["iciti", "ic", positive],
    ["ical", "ic", positive],
    ["ful", "", positive],
    ["ness", "", positive],
  ],
  step4: [
    ["al", "", long],
    ["ance", "", long],
    ["ence", "", long],
    ["er", "", long],
    ["ic", "", long],
    ["able", "", long],
    ["ible", "", long],
    ["ant", "", long],
    ["ement", "", long],
    ["ment", "", long],
    ["ent", "", long],
    ["ion", "", (stem) => long(stem) && /[st]$/.test(stem)],
    ["ou", "", long],
    ["ism", "", long],
    ["ate", "", long],
    ["iti", "", long],
    ["ous", "", long],
    ["ive", "", long],
    ["ize", "", long],
  ],
};

/** The stem of a lower-case word (Porter 1980 with NLTK's changes; words of one or two letters stay). */
export function stem(word: string, rules: StemRules = STEM_RULES): string {
  const irregular = IRREGULAR.get(word);
  if (irregular !== undefined) return irregular;
  if (word.length <= 2) return word;
  const plain = finalY(pastAndProgressive(plural(word)));
  const short = apply(rules.step4, apply(rules.step3, derivation(plain, rules)));
  return doubleL(finalE(short));
}

/** Step 1a: ties → tie, caresses → caress, ponies → poni, cats → cat. */
function plural(word: string): string {
  if (word.endsWith("ies") && word.length === 4) return word.slice(0, -1);
  return apply(
    [
      ["sses", "ss"],
      ["ies", "i"],
      ["ss", "ss"],
      ["s", ""],
    ],
    word,
  );
}

/** Step 1b: died → die, spied → spi, agreed → agre, hopping → hop, filing → file. */
function pastAndProgressive(word: string): string {
  if (word.endsWith("ied")) return word.slice(0, word.length === 4 ? -1 : -2);
  if (word.endsWith("eed")) return positive(word.slice(0, -3)) ? word.slice(0, -1) : word;
  const suffix = word.endsWith("ed") ? 2 : word.endsWith("ing") ? 3 : 0;
  const rest = word.slice(0, word.length - suffix);
  if (suffix === 0 || !hasVowel(rest)) return word;
  if (/(at|bl|iz)$/.test(rest)) return `${rest}e`;
  if (endsInDouble(rest)) return /[lsz]$/.test(rest) ? rest : rest.slice(0, -1);
  return measure(rest) === 1 && isShort(rest) ? `${rest}e` : rest;
}

/** Step 1c: happy → happi, but enjoy and they stay. */
function finalY(word: string): string {
  return apply([["y", "i", (rest) => rest.length > 1 && isConsonant(rest, rest.length - 1)]], word);
}

/** Step 2, again after -alli became -al: internationally → international → internate. */
function derivation(word: string, rules: StemRules): string {
  if (word.endsWith("alli") && positive(word.slice(0, -4))) return derivation(word.slice(0, -2), rules);
  return apply(rules.step2, word);
}

/** Step 5a. */
function finalE(word: string): string {
  if (!word.endsWith("e")) return word;
  const rest = word.slice(0, -1);
  const m = measure(rest);
  return m > 1 || (m === 1 && !isShort(rest)) ? rest : word;
}

/** Step 5b: controll → control, roll stays. */
const doubleL = (word: string): string => (word.endsWith("ll") && long(word.slice(0, -1)) ? word.slice(0, -1) : word);

function apply(rules: readonly Rule[], word: string): string {
  for (const [suffix, replacement, condition] of rules) {
    if (!word.endsWith(suffix)) continue;
    const rest = word.slice(0, word.length - suffix.length);
    return condition === undefined || condition(rest) ? rest + replacement : word;
  }
  return word;
}

function isConsonant(word: string, at: number): boolean {
  const letter = word[at]!;
  if ("aeiou".includes(letter)) return false;
  return letter !== "y" || at === 0 || !isConsonant(word, at - 1);
}

/** Porter's m: how often a vowel is followed by a consonant. */
function measure(word: string): number {
  let m = 0;
  let afterVowel = false;
  for (let i = 0; i < word.length; i++) {
    const vowel = !isConsonant(word, i);
    if (afterVowel && !vowel) m++;
    afterVowel = vowel;
  }
  return m;
}

function hasVowel(word: string): boolean {
  for (let i = 0; i < word.length; i++) if (!isConsonant(word, i)) return true;
  return false;
}

const endsInDouble = (word: string): boolean => word.length >= 2 && word.at(-1) === word.at(-2) && isConsonant(word, word.length - 1);

/** Porter's *o: consonant, vowel, consonant other than w, x, y; or a whole stem of vowel and consonant. */
function isShort(word: string): boolean {
  const n = word.length;
  if (n === 2) return !isConsonant(word, 0) && isConsonant(word, 1);
  return n >= 3 && isConsonant(word, n - 3) && !isConsonant(word, n - 2) && isConsonant(word, n - 1) && !/[wxy]$/.test(word);
}
