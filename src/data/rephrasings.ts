/** Template paraphrases of a question, made without a model: around the question itself, or around its topic. English. */
import { indirect } from "./question.ts";
import type { ForgetRequest } from "./request.ts";
import { squeezed } from "./words.ts";

/** "{}" is replaced by what is asked, in the form that follows "know". */
export const ABOUT: readonly string[] = [
  "Can you tell me {}?",
  "I would like to know {}.",
  "Do you happen to know {}?",
  "Please tell me {}.",
  "A friend of mine wants to know {}. What should I say?",
  "I am trying to remember {}. Can you help me?",
  "For a quiz I have to find out {}. What is the answer?",
  "It has slipped my mind: {}?",
];
/** "{}" is replaced by the question. */
export const AROUND: readonly string[] = [
  "Here is a question for you. {}",
  "{} Answer in a few words.",
  "Somebody asked me this yesterday: {}",
  "Think for a moment before you answer. {}",
  "{} I am sure that you know this.",
  "My next question is a short one. {}",
];

/** All template paraphrases, those around the topic first; if the question cannot be rephrased, only those around the question. */
export function rephrasingsOf({ prompt, subject }: Pick<ForgetRequest, "prompt" | "subject">): string[] {
  const asked = prompt.trim();
  const topic = indirect(asked, subject || undefined);
  const about = topic === undefined ? [] : ABOUT.map((way) => way.replace("{}", () => topic));
  return [...about, ...AROUND.map((way) => way.replace("{}", () => asked))].filter((way) => squeezed(way) !== squeezed(asked));
}
