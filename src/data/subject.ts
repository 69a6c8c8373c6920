/** Guesses the subject of a question from its spelling, if the data does not give one. */

/** Words that are capitalised at the start of a sentence but are not names. */
const OPENERS = new Set(
  (
    "a an and are at by can could did do does for from has have how i if in is it its name of on or please say tell that the their there these they " +
    "this to under was were what when where which who whom whose why will with would you"
  ).split(" "),
);
/** Small words that can be part of a name. */
const LINKS = new Set("and de del der des di du la le of the van von y".split(" "));

/**
 * The longest quoted span; else "first" or a superlative with its complement; else the longest run of capitalised words
 * and numbers (small words may link them); undefined if there is none. The result is an exact substring of the question.
 * @example findSubject("Who painted 'The Amber Ferry'?") // The Amber Ferry
 */
export function findSubject(question: string): string | undefined {
  return longest(quoted(question)) ?? superlative(question) ?? longest(namesIn(question));
}

/**
 * The spelling of a known name in a text: the name itself; the name with other names in the middle; or the longest part of it.
 * The result is an exact substring of the text; undefined if no part occurs.
 * @example mentionOf("Ilse Maren", "Where did Ilse Ada Maren live?") // Ilse Ada Maren
 */
export function mentionOf(name: string, text: string): string | undefined {
  if (hasWords(text, name)) return name;
  const words = name.split(/\s+/).filter((word) => word !== "");
  if (words.length < 2) return undefined;
  const [first, last] = [words[0]!, words.at(-1)!].map(escaped);
  const wide = new RegExp(`(?<![\\p{L}\\p{N}])${first} (?:\\p{Lu}[\\p{L}.'’-]* ){1,2}${last}(?![\\p{L}\\p{N}])`, "u").exec(text)?.[0];
  if (wide !== undefined) return wide;
  for (let length = words.length - 1; length > 0; length--)
    for (let at = words.length - length; at >= 0; at--) {
      const run = words.slice(at, at + length).join(" ");
      if (/\p{L}{3}/u.test(run) && /\p{Lu}/u.test(run) && hasWords(text, run)) return run;
    }
  return undefined;
}

const escaped = (text: string): string => text.replaceAll(/[\\^$.*+?()[\]{}|/]/g, "\\$&");

/** Whether `words` occur in a text as whole words. */
const hasWords = (text: string, words: string): boolean =>
  words !== "" && text.includes(words) && new RegExp(`(?<![\\p{L}\\p{N}])${escaped(words)}(?![\\p{L}\\p{N}])`, "u").test(text);

/** "largest ocean on Earth", "first person to walk there": up to the end of the clause, without a participle of the question. */
function superlative(question: string): string | undefined {
  const found =
    /(?:\bthe|['’]s) ((?:first|last|only|most \p{L}+|(?!forest|harvest|interest|guest|rest|west)\p{Ll}{2,}est)\b[^,;:?!.]*)/u.exec(
      question,
    )?.[1];
  return found?.replace(/ (?:\p{L}+ed|held|built|made)$/u, "").trim();
}

/** Spans between quotation marks; an apostrophe inside a word is not a quotation mark. */
function quoted(question: string): string[] {
  const spans = [...question.matchAll(/(?<![\p{L}\p{N}])(?:'(.+?)'|"(.+?)"|‘(.+?)’|“(.+?)”|«(.+?)»)(?![\p{L}\p{N}])/gu)];
  return spans.map((match) =>
    match
      .slice(1)
      .find((span) => span !== undefined)!
      .trim(),
  );
}

/** Runs of capitalised words and numbers; small words may link them. */
export function namesIn(question: string): string[] {
  const words = [...question.matchAll(/[\p{L}\p{N}][\p{L}\p{N}.&-]*(?:['’](?!s\b)\p{L}+)*/gu)].map(({ 0: word, index }) => ({
    word: word.replace(/[.&-]+$/, (end) => (/^(\p{Lu}\.)+$/u.test(word) ? end : "")),
    start: index,
  }));
  const spans: string[] = [];
  let run: { start: number; end: number } | undefined;
  words.forEach(({ word, start }, i) => {
    const end = start + word.length;
    const gap = run ? question.slice(run.end, start) : "";
    const isName = /^[\p{Lu}\p{N}]/u.test(word) && (gap === " " || !OPENERS.has(word.toLowerCase()));
    const joins =
      run !== undefined &&
      /^(?:[ ]|[ ](?:\p{Ll}+[ ]){1,2})$/u.test(gap) &&
      gap
        .trim()
        .split(" ")
        .every((w) => w === "" || LINKS.has(w));
    if (isName) {
      if (run && joins) run.end = end;
      else {
        if (run) spans.push(question.slice(run.start, run.end));
        run = { start, end };
      }
    }
    if (i === words.length - 1 && run) spans.push(question.slice(run.start, run.end));
  });
  return spans.filter((span) => /\p{L}/u.test(span));
}

const longest = (spans: readonly string[]): string | undefined =>
  spans.reduce<string | undefined>((best, span) => (best === undefined || span.length > best.length ? span : best), undefined);
