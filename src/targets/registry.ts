/** Every target by its id: generated from the listing of this folder by `npm run fix`. */
import { alternate } from "./alternate.ts";
import { avoidant } from "./avoidant.ts";
import { dummy } from "./dummy.ts";
import { forgetInstruction } from "./forget-instruction.ts";
import { incorrect } from "./incorrect.ts";
import { refusal } from "./refusal.ts";
import { selfImproved } from "./self-improved.ts";

export const registry = {
  "alternate": alternate,
  "avoidant": avoidant,
  "dummy": dummy,
  "forget-instruction": forgetInstruction,
  "incorrect": incorrect,
  "refusal": refusal,
  "self-improved": selfImproved,
} as const;

export type Name = keyof typeof registry;
