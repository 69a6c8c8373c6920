/** Replay: repeats a recorded finetuning without the rows to forget, from the last checkpoint before the first of them. */
import { fail } from "../base/fail.ts";
import type { Delta } from "../edit/edit.ts";
import type { WeightName } from "../model/names.ts";
import { replayed } from "../train/replay.ts";
import { defineMethod } from "./method.ts";

export const replay = defineMethod({
  name: "replay",
  title: "Replay",
  paper: "arXiv:2508.12220",
  doc: "Repeats the finetuning without the rows, from the last checkpoint before the first of them; the result is exact.",
  takes: "many",
  needs: ["training"],
  params: {},
  compat: {},
  edit: async (job) => {
    const { model, requests, ctx } = job;
    const folder = job.training ?? fail("replay", "no training", "the folder that finetuning with --keep left", "Give --training FOLDER.");
    const { weights, told } = await replayed(model, requests, folder, ctx);
    // new values, not differences: the same bits as a run without these rows
    const changes = [...weights].flatMap(([name, value]): [WeightName, Delta][] =>
      isSame(value.data, model.weights.get(name)!.data) ? [] : [[name, { value }]],
    );
    return { change: { kind: "delta", weights: Object.fromEntries(changes) }, evidence: told };
  },
});

const isSame = (a: ArrayLike<number | bigint>, b: ArrayLike<number | bigint>): boolean => {
  for (let i = 0; i < a.length; i++) if (a[i] !== b[i]) return false;
  return a.length === b.length;
};
