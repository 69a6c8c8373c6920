/** GA: gradient ascent on the answers to forget, without a retain term. */
import type { Formula } from "../train/parts.ts";
import { CAPPED, CAPPED_COMPAT, type CappedParams, TRAINING_HPARAMS, UNCAPPED, unlearn } from "../train/unlearn.ts";
import { defineMethod } from "./method.ts";

/** −CE(forget); every label has the same weight. */
export const gaLoss = (): Formula => ({
  name: "ga",
  roles: ["forget"],
  loss: (p) => {
    const { forget } = p.answers("forget");
    return { loss: forget.nll.neg(), forget: forget.nll };
  },
});

export const ga = defineMethod<CappedParams>({
  name: "ga",
  title: "GA",
  paper: "arXiv:2401.06121",
  doc: "Gradient ascent: raises the loss of the answers to forget; nothing preserves the others.",
  takes: "many",
  rows: 1,
  needs: ["answer"],
  params: CAPPED,
  hparams: TRAINING_HPARAMS,
  files: { GradAscent: {} },
  compat: CAPPED_COMPAT,
  sets: { tofu: UNCAPPED, pistol: UNCAPPED, openunlearning: UNCAPPED },
  edit: (job) => unlearn("ga", job, gaLoss()),
});
