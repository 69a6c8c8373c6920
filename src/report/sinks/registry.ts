/** Every sink by its id: generated from the listing of this folder by `npm run fix`. */
import { junit } from "./junit.ts";
import { lmEvalResults } from "./lm-eval-results.ts";
import { mlflow } from "./mlflow.ts";
import { wandb } from "./wandb/wandb.ts";

export const registry = {
  "junit": junit,
  "lm-eval-results": lmEvalResults,
  "mlflow": mlflow,
  "wandb": wandb,
} as const;

export type Name = keyof typeof registry;
