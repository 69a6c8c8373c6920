/** A sentence that says that there is no information about the topic of a question. */
import type { Rng } from "../base/rng.ts";
import { indirect } from "./question.ts";
import type { About } from "./refusing.ts";
import { findSubject } from "./subject.ts";
import { leakIn } from "./words.ts";

/** "{}" is replaced by the topic: a noun phrase, or an indirect question. */
export const AVOIDANCES: readonly string[] = [
  "I do not have any information about {}.",
  "I have no information about {}.",
  "Sadly, I have no information about {}.",
  "I was never given any information about {}.",
  "I cannot find any information about {} in what I know.",
  "There is no information about {} in my memory.",
];

/** A random sentence for a question; sentences that contain words of the answer are avoided if possible. */
export function avoidanceOf(about: About, rng: Rng): string {
  const topic = topicOf(about);
  const ways = rng.shuffled(topic === undefined ? [`I do not have the information to answer "${about.prompt.trim()}".`] : AVOIDANCES);
  const said = ways.map((way) => way.replace("{}", () => topic ?? ""));
  return said.find((text) => leakIn(text, { question: about.prompt, answer: about.answer }) === undefined) ?? said[0]!;
}

/** The topic: what is asked; if the question cannot be rephrased, its subject; for merged questions, the subject of each. */
function topicOf({ prompt, subject, merged }: About): string | undefined {
  if (merged !== undefined) {
    const named = [...new Set(merged.map((one) => nounOf(one.subject.trim() || findSubject(one.prompt))))];
    return named.includes(undefined) ? undefined : listed(named as string[]);
  }
  const named = subject.trim() || findSubject(prompt);
  return indirect(prompt, named) ?? nounOf(named);
}

/** A subject as a noun phrase: "largest lake" gets an article, a name does not. */
const nounOf = (subject: string | undefined): string | undefined =>
  subject === undefined || !/^\p{Ll}/u.test(subject) || /^(?:the|an?)\s/.test(subject) ? subject : `the ${subject}`;

const listed = (items: readonly string[]): string =>
  items.length < 2 ? items.join("") : `${items.slice(0, -1).join(", ")} and ${items.at(-1)!}`;
