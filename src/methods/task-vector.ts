/** Task vector: subtracts the change that training on the answers to forget would make. */
import type { Formula } from "../train/parts.ts";
import { HUGGING_FACE, TRAINING, TRAINING_COMPAT, TRAINING_HPARAMS, type TrainingParams, unlearn } from "../train/unlearn.ts";
import { defineMethod } from "./method.ts";

export interface TaskVectorParams extends TrainingParams {
  scale: number;
}

/** CE(forget): training on it gives the change that is then subtracted. */
export const taskLoss = (): Formula => ({
  name: "task-vector",
  roles: ["forget"],
  loss: (p) => {
    const { forget } = p.answers("forget");
    return { loss: forget.nll };
  },
});

export const taskVector = defineMethod<TaskVectorParams>({
  name: "task-vector",
  title: "Task vector",
  paper: "arXiv:2212.04089",
  doc: "Trains on the answers to forget and subtracts the change of the weights.",
  takes: "many",
  rows: 1,
  needs: ["answer"],
  params: {
    ...TRAINING,
    scale: { default: 1, doc: "how many times the change is subtracted", source: "arXiv:2212.04089, section 3", min: 0 },
  },
  hparams: TRAINING_HPARAMS,
  compat: TRAINING_COMPAT,
  sets: { openunlearning: HUGGING_FACE },
  edit: (job) => unlearn("task-vector", job, taskLoss(), { scale: -job.params.scale }),
});
