/** GA: gradient ascent on what is to be forgotten, and nothing that holds the rest. */
import type { Formula } from "../train/parts.ts";
import { HUGGING_FACE, TRAINING, TRAINING_COMPAT, type TrainingParams, unlearn } from "../train/unlearn.ts";
import { defineMethod } from "./method.ts";

/** −CE(forget), each label alike. */
export const gaLoss = (): Formula => ({
  name: "ga",
  roles: ["forget"],
  loss: (p) => {
    const { forget } = p.answers("forget");
    return { loss: forget.nll.neg(), forget: forget.nll };
  },
});

export const ga = defineMethod<TrainingParams>({
  name: "ga",
  title: "GA",
  paper: "arXiv:2401.06121",
  doc: "Gradient ascent: raises the loss of the answers to forget, and nothing else.",
  takes: "many",
  needs: ["answer"],
  params: TRAINING,
  compat: TRAINING_COMPAT,
  sets: { tofu: HUGGING_FACE, pistol: HUGGING_FACE, openunlearning: HUGGING_FACE },
  edit: (job) => unlearn("ga", job, gaLoss()),
});
