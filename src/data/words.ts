/** Comparison of words: without case, accents and punctuation; content words; forms of the same word. */

/** Function words. */
const SMALL = new Set(
  (
    "a an the and or but nor so yet if as than then that this these those there here it its i me my mine myself we us our you your yours he him his she her hers " +
    "they them their theirs one who whom whose which what when where why how in on at by to of for from with without into onto over under about after before " +
    "between among during through against within upon up down out off is am are was were be been being do does did done doing has have had having can could will " +
    "would shall should may might must not no yes any some all each every both either neither such very too also just only even ever never more most less least " +
    "much many other another same own because while since until though although however whether im ive id ill dont doesnt didnt cant cannot couldnt wont wouldnt " +
    "isnt arent wasnt werent havent hasnt hadnt shouldnt youre theyre thats whats whos lets s t"
  ).split(" "),
);

const UNITS =
  "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen eighteen nineteen twenty".split(
    " ",
  );
const TENS = "thirty forty fifty sixty seventy eighty ninety hundred".split(" ");
const ORDINALS = "zeroth first second third fourth fifth sixth seventh eighth ninth tenth eleventh twelfth".split(" ");
/** Number words and their digits. */
const NUMBERS: ReadonlyMap<string, string> = new Map([
  ...UNITS.map((word, n) => [word, String(n)] as const),
  ...TENS.map((word, i) => [word, String(30 + 10 * i)] as const),
  ...ORDINALS.map((word, n) => [word, String(n)] as const),
]);

/** Without case and accents. */
const plain = (text: string): string => text.normalize("NFKD").replaceAll(/\p{M}/gu, "").toLowerCase();

/** A word without a final 's, or st, nd, rd, th after a number; a number word becomes digits. */
function folded(word: string): string {
  const bare = word.replace(/['’]s$/, "").replaceAll(/['’.,]/g, "");
  return NUMBERS.get(bare) ?? bare.replace(/^(\d+)(?:st|nd|rd|th)$/, "$1");
}

/** The normalised words of a text, in order. */
export function wordsOf(text: string): string[] {
  const found = plain(text).match(/\d+(?:[.,]\d+)*\p{L}*|\p{L}[\p{L}\p{N}]*(?:['’]\p{L}+)*/gu) ?? [];
  return found.map(folded);
}

/** The content words of a text; all words if it has none. */
export function contentOf(text: string): string[] {
  const words = wordsOf(text);
  const telling = words.filter(saysSomething);
  return telling.length > 0 ? telling : words;
}

/** Whether a word from {@link wordsOf} is a content word. */
export const saysSomething = (word: string): boolean => !SMALL.has(word) && (word.length > 1 || /\d|[^a-z]/.test(word));

/**
 * Whether two words are forms of the same word: equal, or words of at least four letters with a common beginning of three fifths of the
 * longer (`"near"`: not Peru and Peruvian, but Australia and Australian) or of the shorter (`"far"`: also Norway and Norwegian).
 */
export function akin(a: string, b: string, reach: "near" | "far" = "near"): boolean {
  if (a === b) return true;
  if (/\d/.test(a + b)) return false;
  let alike = 0;
  while (alike < a.length && a[alike] === b[alike]) alike++;
  const measured = reach === "near" ? Math.max(a.length, b.length) : Math.min(a.length, b.length);
  return alike >= 4 && alike >= 0.6 * measured;
}

/** A text without case, accents, spaces and punctuation, to compare spellings of an answer. */
export const squeezed = (text: string): string => plain(text).replaceAll(/[^\p{L}\p{N}]+/gu, "");

/** Whether one answer contains the other, ignoring the spelling. */
export function overlaps(a: string, b: string): boolean {
  const [short, long] = [a, b].map(squeezed).sort((x, y) => x.length - y.length) as [string, string];
  if (short === "" || long.includes(short)) return true;
  const [few, many] = [a, b].map(contentOf).sort((x, y) => x.length - y.length) as [string[], string[]];
  return few.every((word) => many.some((other) => akin(word, other)));
}

/** The first word of `text` that reveals `answer`: a content word of it, or a form of one, that is not in `question`. */
export function leakIn(text: string, { question, answer }: { readonly question: string; readonly answer: string }): string | undefined {
  const asked = new Set(wordsOf(question));
  const secret = contentOf(answer).filter((word) => !asked.has(word));
  const found = wordsOf(text).find((word) => !asked.has(word) && secret.some((other) => akin(word, other, "far")));
  if (found !== undefined || secret.length === 0) return found;
  // scripts without spaces, and spellings such as "Rock'n Roll"
  const whole = squeezed(answer);
  return (whole.length >= 4 || /[^\p{Script=Latin}\p{N}]/u.test(whole)) &&
    squeezed(text).includes(whole) &&
    !squeezed(question).includes(whole)
    ? answer
    : undefined;
}
