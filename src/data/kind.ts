/** Guesses from the words of a question what kind of answer it asks for, to compare two questions. English only. */
import { akin, saysSomething, wordsOf } from "./words.ts";

export type Kind = "person" | "time" | "place" | "count" | "reason" | "thing";

interface Wanted {
  readonly kind: Kind;
  /** The words that specify it: "planet" in "which planet". */
  readonly words: readonly string[];
}

const PERSONS =
  "author writer playwright novelist poet painter artist sculptor composer musician singer inventor person man woman king queen emperor president leader ruler " +
  "explorer scientist actor actress director engineer architect founder creator designer keeper player";
const PLACES = "place country city town state continent location island region county province village nation land capital";
const TIMES = "year date day month century decade time hour age";
const KINDS: readonly (readonly [Kind, ReadonlySet<string>])[] = [
  ["person", new Set(PERSONS.split(" "))],
  ["place", new Set(PLACES.split(" "))],
  ["time", new Set(TIMES.split(" "))],
  ["count", new Set(["number", "many", "much"])],
];
/** Words before the wanted thing that carry no meaning: "what is the name of the". */
const BEFORE = new Set("is are was were s the a an its his her their of these those name named called kind sort type".split(" "));
/** Words that end the description of the wanted thing. */
const BEHIND = new Set(
  "is are was were be do does did has have had can could will would must may in on at by to of for from with that which who where".split(
    " ",
  ),
);
/** Maximal number of words that are examined. */
const NEAR = 3;

function wantedBy(question: string): Wanted {
  const words = wordsOf(question);
  const asks = (word: string): boolean => /^(?:who|whom|whose|what|which|where|when|why|how)s?$/.test(word);
  const [early, late] = [words.findIndex(asks), words.findLastIndex(asks)];
  const isBehind = early > 1 || (early === 1 && saysSomething(words[0]!)); // there is more than a preposition before it
  // "…, which won a prize, was written by whom" asks at its end
  const at = isBehind && late >= words.length - NEAR ? late : early;
  const wh = at < 0 ? "what" : words[at]!.replace(/s$/, "");
  if (wh.startsWith("who")) return { kind: "person", words: [] };
  if (wh === "when") return { kind: "time", words: [] };
  if (wh === "where") return { kind: "place", words: [] };
  if (wh === "why") return { kind: "reason", words: [] };
  const rest = at === words.length - 1 ? words.slice(0, at) : words.slice(at + 1); // "the date of birth is what"
  const from = wh === "how" ? 0 : rest.findIndex((word) => !BEFORE.has(word));
  const noun = rest.slice(Math.max(0, from));
  const end = noun.findIndex((word, i) => i > 0 && BEHIND.has(word));
  const behind = noun.slice(0, end < 0 ? NEAR : Math.min(end, NEAR)).filter((word) => saysSomething(word) || wh === "how");
  if (wh === "how")
    return /^(?:many|much)$/.test(behind[0] ?? "")
      ? { kind: "count", words: behind.slice(1, 2) }
      : { kind: "thing", words: behind.slice(0, 1) };
  const known = KINDS.find(([, of]) => behind.some((word) => of.has(word)));
  return known === undefined ? { kind: "thing", words: behind } : { kind: known[0], words: behind.filter((word) => known[1].has(word)) };
}

/** What kind of answer a question asks for; "thing" where its words do not say. */
export const kindAsked = (question: string): Kind => wantedBy(question).kind;

/** Whether two questions ask for the same kind of answer: for someone, for a time, for a place, for a number, or for the same thing by name. */
export function asksAlike(a: string, b: string): boolean {
  const [one, other] = [wantedBy(a), wantedBy(b)];
  if (one.kind !== other.kind) return false;
  if (one.kind !== "place" && one.kind !== "thing") return true;
  if (one.kind === "place" && (one.words.length === 0 || other.words.length === 0)) return true;
  return one.words.some((word) => other.words.some((more) => akin(word, more)));
}
