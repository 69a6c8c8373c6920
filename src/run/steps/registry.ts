/** Every step by its id: generated from the listing of this folder by `npm run fix`. */
import { attackStep } from "./attack.ts";
import { evalStep } from "./eval.ts";
import { exportStep } from "./export.ts";
import { finetuneStep } from "./finetune.ts";
import { forgetStep } from "./forget.ts";
import { selectStep } from "./select.ts";
import { statsStep } from "./stats.ts";
import { traceStep } from "./trace.ts";

export const registry = {
  "attack": attackStep,
  "eval": evalStep,
  "export": exportStep,
  "finetune": finetuneStep,
  "forget": forgetStep,
  "select": selectStep,
  "stats": statsStep,
  "trace": traceStep,
} as const;

export type Name = keyof typeof registry;
