/** A training run again, without some of its rows. */
import type { NdArray } from "../base/array.ts";
import type { Context } from "../base/context.ts";
import { fail } from "../base/fail.ts";
import { inWorkFolder } from "../base/kept.ts";
import type { EditRequest } from "../data/request.ts";
import { load } from "../model/load.ts";
import type { Model } from "../model/model.ts";
import type { WeightName } from "../model/names.ts";
import { checkpointsIn, stateAt } from "./checkpoint.ts";
import { type Journal, readJournal, without } from "./journal.ts";
import { followed } from "./follow.ts";
import { trainOn } from "./loop.ts";
import { nll } from "./objective.ts";

export interface Replayed {
  readonly weights: ReadonlyMap<WeightName, NdArray>;
  /** What was done, for the evidence of the edit. */
  readonly told: Readonly<Record<string, unknown>>;
}

/**
 * The weights of the run in `folder` without the rows that ask the requests' questions. Updates before the first that saw one are kept.
 * Later ones are repeated without these rows, with the same learning rates and seeds; an update without rows is skipped.
 */
export async function replayed(model: Model, requests: readonly EditRequest[], folder: string, ctx: Context): Promise<Replayed> {
  const journal = readJournal(folder);
  const gone = rowsOf(journal, requests, folder, ctx);
  const { recipe, rows, steps, base } = journal;
  const first = steps.findIndex(({ passes }) => passes.some((pass) => pass.some((row) => gone.has(row.id))));
  const from =
    checkpointsIn(folder).findLast(({ step }) => step <= first) ??
    fail(
      "replay",
      `${folder} has no checkpoint before update ${first + 1}`,
      "the checkpoints of a finetuning with --keep",
      "Finetune again with --keep.",
    );
  const began = await load(base.spec, ctx, { purpose: "train" });
  try {
    if (began.id !== base.id)
      fail("replay", `${base.spec} is no longer the base model of the training`, `the model ${base.id.slice(0, 12)}…`, "", "unavailable");
    const state = stateAt(from.path);
    const drawnFrom = [...gone].sort();
    const about = ["replay", folder, began.id, recipe, rows, drawnFrom, ctx.threads];
    const { result } = await inWorkFolder(ctx, "training", about, (work) => {
      const steps = without(journal, gone);
      const kept = work && { folder: work.path, lost: work.lost, savesLast: false };
      const events = trainOn(began, rows, recipe, ctx, { objective: nll, steps, drawnFrom, from: state, ...kept });
      return followed("replay", events, ctx, { detail: ({ loss }) => `loss ${loss.toFixed(3)}` });
    });
    const told = {
      rows: gone.size,
      of: rows.length,
      from: state.step,
      updates: recipe.steps - state.step,
      firstSeen: first + 1,
      base: model.id,
    };
    return { weights: result.weights, told };
  } finally {
    await began.release();
  }
}

/** The rows of a journal that ask the requests' questions, by id; fails if none of the requests was trained on. */
function rowsOf({ rows }: Journal, requests: readonly EditRequest[], folder: string, ctx: Context): ReadonlySet<string> {
  const asked = new Map<string, string[]>();
  for (const { id, question } of rows) asked.set(question.trim(), [...(asked.get(question.trim()) ?? []), id]);
  const missing = requests.filter(({ prompt }) => !asked.has(prompt.trim()));
  if (missing.length === requests.length)
    fail(
      "replay",
      `none of ${requests.length} requests was trained on in ${folder} ("${missing[0]!.prompt}")`,
      "the questions of the training",
      "Replay removes finetuned rows only; use another method for what the base model knew.",
    );
  for (const { id } of missing) ctx.log({ kind: "warning", who: "replay", text: `${id} was not trained on: nothing to remove` });
  return new Set(requests.flatMap(({ prompt }) => asked.get(prompt.trim()) ?? []));
}
