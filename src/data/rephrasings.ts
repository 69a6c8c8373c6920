/** Ways to ask a question in other words that need no model: around the question itself, or around what it asks. English. */
import { indirect } from "./question.ts";
import type { ForgetRequest } from "./request.ts";
import { squeezed } from "./words.ts";

/** "{}" stands for what is asked, as it stands behind "know". */
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
/** "{}" stands for the question. */
export const AROUND: readonly string[] = [
  "Here is a question for you. {}",
  "{} Answer in a few words.",
  "Somebody asked me this yesterday: {}",
  "Think for a moment before you answer. {}",
  "{} I am sure that you know this.",
  "My next question is a short one. {}",
];

/** The question in every such way, those around what it asks first; where it cannot be turned, those around the question alone. */
export function rephrasingsOf({ prompt, subject }: Pick<ForgetRequest, "prompt" | "subject">): string[] {
  const asked = prompt.trim();
  const topic = indirect(asked, subject || undefined);
  const about = topic === undefined ? [] : ABOUT.map((way) => way.replace("{}", () => topic));
  return [...about, ...AROUND.map((way) => way.replace("{}", () => asked))].filter((way) => squeezed(way) !== squeezed(asked));
}
