/** IDK: the model is trained on the target instead of the old answer, with answers to retain (TOFU's preference optimisation). */
import type { Formula } from "../train/parts.ts";
import {
  HUGGING_FACE,
  TARGET_COMPAT,
  TRAINING,
  TRAINING_COMPAT,
  TRAINING_HPARAMS,
  type TrainingParams,
  unlearn,
} from "../train/unlearn.ts";
import { defineMethod } from "./method.ts";

/** CE of forget questions with their targets and of retain rows together: one mean over all labels. */
export const idkLoss = (): Formula => ({
  name: "idk",
  roles: ["target", "retain"],
  loss: (p) => {
    const { target, retain } = p.answers("target", "retain");
    return { loss: p.together("target", "retain"), target: target.nll, retain: retain.nll };
  },
});

export const idk = defineMethod<TrainingParams>({
  name: "idk",
  title: "IDK",
  paper: "arXiv:2401.06121",
  doc: "Trains the model on the target as the answer, together with answers to retain.",
  takes: "many",
  rows: 2,
  needs: ["target", "retain"],
  params: TRAINING,
  hparams: TRAINING_HPARAMS,
  compat: { ...TRAINING_COMPAT, ...TARGET_COMPAT },
  sets: { tofu: [...HUGGING_FACE, "fresh-refusals"], openunlearning: [...HUGGING_FACE, "fresh-refusals"] },
  edit: (job) => unlearn("idk", job, idkLoss()),
});
