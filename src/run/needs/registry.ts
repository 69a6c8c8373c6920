/** Every need by its id: generated from the listing of this folder by `npm run fix`. */
import "./answer.ts"; // what it declares of types
import "./demonstrations.ts"; // what it declares of types
import "./encoder.ts"; // what it declares of types
import "./retain.ts"; // what it declares of types
import "./statistics.ts"; // what it declares of types
import "./subject.ts"; // what it declares of types
import "./target.ts"; // what it declares of types
import "./training.ts"; // what it declares of types
import { answerNeed } from "./answer.ts";
import { demonstrationsNeed } from "./demonstrations.ts";
import { encoderNeed } from "./encoder.ts";
import { retainNeed } from "./retain.ts";
import { statisticsNeed } from "./statistics.ts";
import { subjectNeed } from "./subject.ts";
import { targetNeed } from "./target.ts";
import { trainingNeed } from "./training.ts";

export const registry = {
  "answer": answerNeed,
  "demonstrations": demonstrationsNeed,
  "encoder": encoderNeed,
  "retain": retainNeed,
  "statistics": statisticsNeed,
  "subject": subjectNeed,
  "target": targetNeed,
  "training": trainingNeed,
} as const;

export type Name = keyof typeof registry;
