/** Turns a question into a part of a sentence: "who wrote Emma", "the capital of Peru", "when Ada Lovelace was born". English only. */
import { findSubject } from "./subject.ts";
import { past, third } from "./verbs.ts";

const POLITE = [
  /^please[,]?\s+/i,
  /^(?:can|could|would|will)\s+you\s+(?:please\s+)?(?=(?:tell|name|say|give)\b)/i,
  /^(?:(?:tell|give)\s+(?:me|us)|say|do\s+you\s+know|can\s+you\s+say|i(?:\s+would|['’]d)\s+like\s+to\s+know|i\s+want\s+to\s+know|name)\s+/i,
];
const WH = "who|whom|whose|what|which|where|when|why|how";
const BE = "is|are|was|were";
const AUXILIARY = `${BE}|do|does|did|has|have|had|can|could|will|would|shall|should|may|might|must`;
const PREPOSITION = "in|on|at|by|to|of|for|from|with|within|under|during|near|after|before|between|since|until|about";
const PRONOUN = "you|one|we|people|someone|i|they|he|she|it";

/**
 * What is asked, in the form that follows "know" or "about": a noun phrase if the question asks for one, else an indirect question.
 * Undefined if the question is not plain English, or if its words cannot be reordered without guessing.
 * @example indirect("When was Ada Lovelace born?", "Ada Lovelace") // when Ada Lovelace was born
 */
export function indirect(question: string, subject: string = findSubject(question) ?? ""): string | undefined {
  const asked = statementOf(question);
  if (asked === undefined) return undefined;
  const bare = withoutManners(asked);
  const began = /^(\p{L}+)/u.exec(bare)?.[1]?.toLowerCase() ?? "";
  if (bare !== asked && !new RegExp(`^(?:(?:${PREPOSITION})\\s+)?(?:${WH})\\b`, "i").test(bare))
    return /^(?:the|an?|some|one|all)$/.test(began) ? lowered(bare, subject) : undefined;
  const moved = inFront(bare, subject) ?? atItsEnd(bare, subject) ?? bare;
  if (moved !== bare && !inFront(bare, subject)) return moved;
  const parts = new RegExp(`^((?:(?:${PREPOSITION})\\s+)?(?:${WH})(?:\\s+\\S+){0,3}?)\\s+(${AUXILIARY})\\s+(.+)$`, "iu").exec(moved);
  if (!new RegExp(`^(?:(?:${PREPOSITION})\\s+)?(?:${WH})\\b`, "i").test(moved)) return whether(moved, subject);
  if (!parts) return lowered(moved.replace(/^(who|what|where|when|how)['’]s\b/i, "$1 is"), subject);
  const [, wh, auxiliary, rest] = parts as unknown as [string, string, string, string];
  return ordered(lowered(wh.replace(/,$/, ""), subject), auxiliary.toLowerCase(), rest, subject);
}

/** A question without its polite beginning, such as "Can you tell me" or "Please name". */
export const withoutManners = (question: string): string => POLITE.reduce((text, words) => text.replace(words, ""), question.trim());

/** One question without its question mark; undefined for several questions, for a longer text, and for other texts. */
function statementOf(question: string): string | undefined {
  const text = question.trim().replaceAll(/\s+/g, " ");
  const isRequest = POLITE.some((words) => words.test(text)) && text.endsWith(".");
  const bare = text.replace(/\s*[?.]+$/, "");
  if (!isRequest && !text.endsWith("?")) return undefined;
  return /[?;]|\p{Ll}{2}[.!]\s+\p{Lu}/u.test(bare.replaceAll(/'[^']*'|"[^"]*"/g, "")) ? undefined : bare;
}

/** "In Norvane, which city is the capital" asks which city is the capital in Norvane. */
function inFront(text: string, subject: string): string | undefined {
  const found = new RegExp(`^((?:${PREPOSITION})\\s[^,?]+),\\s+((?:${WH})\\s.+)$`, "iu").exec(text);
  return found ? `${found[2]!} ${lowered(found[1]!, subject)}` : undefined;
}

/** "The Heron Gate was painted by which artist" asks by which artist it was painted. */
function atItsEnd(text: string, subject: string): string | undefined {
  const found = new RegExp(`^(.+?)\\s((?:(?:${PREPOSITION})\\s)?(?:${WH})(?:\\s\\S+){0,3})$`, "iu").exec(text);
  if (!found || new RegExp(`^(?:(?:${PREPOSITION})\\s)?(?:${WH})\\b|^(?:${AUXILIARY})\\s`, "i").test(text)) return undefined;
  return `${found[2]!} ${lowered(found[1]!, subject)}`;
}

function ordered(wh: string, auxiliary: string, rest: string, subject: string): string | undefined {
  const isBe = new RegExp(`^(?:${BE})$`).test(auxiliary);
  const isBare = /^(?:who|what|where|when|why|how)$/.test(wh);
  const isNamed = /^(?:which|what|whose)\s/.test(wh);
  const isNoun = /^(?:the|an?|his|her|their|its)\s/i.test(rest);
  const noun = headOf(rest, subject, isBe && /^(?:who|what)$/.test(wh) && isNoun);
  if (noun !== undefined) {
    const behind = rest.slice(noun.length).trim();
    // "which city is Peru's capital" is already in order; in "who is Ada Lovelace" only the verb moves
    if (isBe && behind === "" && isNamed) return `${wh} ${auxiliary} ${noun}`;
    if (/^['’]s?\s/.test(rest.slice(noun.length))) return isBe ? (isBare ? rest : `${wh} ${auxiliary} ${rest}`) : undefined;
    return inflected(`${wh} ${noun}`, auxiliary, behind);
  }
  if (isBe) {
    if (/^(?:what|which)$/.test(wh) && isNoun) return rest;
    if (wh === "who" && isNoun) return `who ${rest} ${auxiliary}`;
  }
  const isDone = /^(?:do|does|did)$/.test(auxiliary);
  return isDone || !(isNamed || /^who$|^what$|^how many\s|^how much\s/.test(wh)) ? undefined : `${wh} ${auxiliary} ${rest}`;
}

/** The agent after the auxiliary: the subject; or, if allowed, a pronoun or a run of names. */
function headOf(rest: string, subject: string, onlySubject = false): string | undefined {
  const open = subject.trim();
  const quoted = rest.replace(/^(?:the|an?)\s/i, "").replace(/^['"‘“]/, "");
  if (open !== "" && quoted.startsWith(open) && !/^[\p{L}\p{N}]/u.test(quoted.slice(open.length))) {
    const end = rest.indexOf(open) + open.length;
    return rest.slice(0, /^['"’”](?!s\b)/.test(rest.slice(end)) ? end + 1 : end);
  }
  if (onlySubject) return undefined;
  const pronoun = new RegExp(`^(?:${PRONOUN})(?=\\s)`, "i").exec(rest)?.[0];
  return pronoun ?? /^(?:the\s)?\p{Lu}[\p{L}\p{N}.&-]*(?:\s\p{Lu}[\p{L}\p{N}.&-]*)*(?=\s\p{Ll})/u.exec(rest)?.[0];
}

function inflected(before: string, auxiliary: string, behind: string): string | undefined {
  if (!/^(?:do|does|did)$/.test(auxiliary)) return `${before} ${auxiliary} ${behind}`.trim();
  const [verb = "", ...after] = behind.split(" ");
  if (!/^\p{Ll}{2,}$/u.test(verb) || verb === "not") return undefined;
  const form = auxiliary === "did" ? past(verb) : auxiliary === "does" ? third(verb) : verb;
  return [before, form, ...after].join(" ");
}

/** "Is Ada Lovelace a poet" asks whether she is one. */
function whether(text: string, subject: string): string | undefined {
  const [, auxiliary, rest] = new RegExp(`^(${AUXILIARY})\\s+(.+)$`, "iu").exec(text) ?? [];
  const noun = rest === undefined ? undefined : headOf(rest, subject);
  return auxiliary === undefined || rest === undefined || noun === undefined || /^['’]s?\s/.test(rest.slice(noun.length))
    ? undefined
    : inflected(`whether ${noun}`, auxiliary.toLowerCase(), rest.slice(noun.length).trim());
}

/** A text with a lower-case beginning, unless it begins with a name. */
const lowered = (text: string, subject: string): string =>
  subject !== "" && text.startsWith(subject) ? text : text.replace(/^\p{Lu}(?=\p{Ll}*\b)/u, (letter) => letter.toLowerCase());
