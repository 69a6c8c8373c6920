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
  /** What was done, for the record. */
  readonly told: Readonly<Record<string, unknown>>;
}

/**
 * The weights of the run in `folder` without the rows that ask the requests' questions: updates up to the first that saw one stay as they
 * were, those after it are done again with the rows taken out of their passes, rates and seeds unchanged; an update without rows is left out.
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
      `${folder} holds no checkpoint before update ${first + 1}`,
      "those that finetuning with --keep leaves",
      "Finetune again with --keep.",
    );
  const began = await load(base.spec, ctx, { purpose: "train" });
  try {
    if (began.id !== base.id)
      fail(
        "replay",
        `${base.spec} is no longer the model that training began from`,
        `the model ${base.id.slice(0, 12)}…`,
        "",
        "unavailable",
      );
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

/** The rows of a journal that ask the requests' questions, by id; refuses requests of which none was trained on. */
function rowsOf({ rows }: Journal, requests: readonly EditRequest[], folder: string, ctx: Context): ReadonlySet<string> {
  const asked = new Map<string, string[]>();
  for (const { id, question } of rows) asked.set(question.trim(), [...(asked.get(question.trim()) ?? []), id]);
  const missing = requests.filter(({ prompt }) => !asked.has(prompt.trim()));
  if (missing.length === requests.length)
    fail(
      "replay",
      `none of ${requests.length} requests was trained on in ${folder} ("${missing[0]!.prompt}")`,
      "questions as they were learnt",
      "Replay takes out what was finetuned here; use another method for what a model came with.",
    );
  for (const { id } of missing) ctx.log({ kind: "warning", who: "replay", text: `${id} was not trained on: nothing to take out` });
  return new Set(requests.flatMap(({ prompt }) => asked.get(prompt.trim()) ?? []));
}
