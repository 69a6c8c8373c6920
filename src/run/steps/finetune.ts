/**
 * The step `finetune`: finetunes on questions and answers, or trains a model from a recipe file. A stopped run continues from its last
 * checkpoint.
 */
import { rmSync } from "node:fs";
import { checkSystem } from "../../ask/ask.ts";
import { join } from "node:path";
import type { Context } from "../../base/context.ts";
import { fail, nearest } from "../../base/fail.ts";
import { hash } from "../../base/hash.ts";
import { resolveParams } from "../../base/schema.ts";
import { writeAtomic } from "../../base/store.ts";
import type { QA } from "../../data/request.ts";
import { identifyConfig, load } from "../../model/load.ts";
import { type Model, withOwnSessions, withWeights } from "../../model/model.ts";
import { type AskAs, type Format, formatOf } from "../../model/prompt.ts";
import { saveCheckpoint, type StoredDtype } from "../../model/save.ts";
import { fromRecipe, openRecipe } from "../../train/from-recipe.ts";
import { tokensAtMost, trainingOf } from "../../train/recipe.ts";
import { FINETUNE, type FinetuneParams, RECIPES, rowsFor, tune } from "../../train/tune.ts";
import { questionsIn } from "../../data/place.ts";
import { checked, toTheEnd } from "../epochs.ts";
import { given, type Values } from "../fields.ts";
import type { RunFolder } from "../folder.ts";
import { type ModelInput, modelInput } from "../inputs.ts";
import { finetuneSpec } from "../specs/finetune.ts";
import { defineStep, type Job, type Lent, type Made, type Resolved, sourceOf } from "../step.ts";
import { version } from "../version.ts";

/** The result of a finetuning. */
export interface Finetuned {
  readonly steps: number;
  readonly losses: readonly number[];
  readonly rows?: number;
  readonly params?: FinetuneParams;
}

type Asked = Values<typeof finetuneSpec.fields>;

/** Results in the run's folder: the checkpoint, and journal and checkpoints of the training where they are kept. */
const [MODEL, TRAINING] = ["model", "training"];

export const finetuneStep = defineStep({ ...finetuneSpec, purpose: "train" }, async (values, lent): Promise<Resolved<Finetuned>> => {
  const { model, recipe } = values;
  const data = values.data as string | undefined;
  if (model === undefined)
    return built(recipe ?? fail("finetune", "neither MODEL nor --recipe", "a model to teach, or a recipe file", ""), values, lent);
  const named = recipeCalled(recipe);
  if (data === undefined) fail("finetune", "nothing to learn", "--data FILE", "Give questions and answers.");
  const pairs = await questionsIn(data, lent.ctx, given({ limit: values.limit, columns: values.columns }));
  if (pairs.length === 0) fail("finetune", `${data} has no rows`, "questions and answers", "");
  const validation = values.validate === undefined ? [] : await questionsIn(values.validate as string, lent.ctx);
  return taught(await modelInput(model as string, lent), { values, named, pairs, validation }, lent);
});

/** A recipe's parameters by its name; none without one. */
function recipeCalled(name: string | undefined): Partial<FinetuneParams> {
  if (name === undefined) return {};
  const near = nearest(name, Object.keys(RECIPES));
  return (
    (Object.hasOwn(RECIPES, name) ? RECIPES[name]!.params : undefined) ??
    fail("finetune", `no recipe "${name}"`, `one of ${Object.keys(RECIPES).join(", ")}`, near ? `Did you mean "${near}"?` : "")
  );
}

/** A model built from a recipe file. */
function built(path: string, { every }: Asked, { ctx }: Lent): Resolved<Finetuned> {
  const prepared = openRecipe(path);
  return {
    identity: { recipe: prepared.content },
    uses: sourceOf("arch", identifyConfig(prepared.recipe.config, { path }, ctx).arch.name, ctx),
    work: async ({ folder, ctx }) => {
      const { model, dtype, losses } = await toTheEnd(fromRecipe(prepared, { folder: folder.work(TRAINING), every }, ctx), ctx);
      saveCheckpoint(folder.work(MODEL), model, { dtype, force: true });
      folder.finish(MODEL, MODEL);
      return { result: { steps: losses.length, losses }, layout: { folder: MODEL } };
    },
  };
}

interface Lesson {
  readonly values: Asked;
  readonly named: Partial<FinetuneParams>;
  readonly pairs: readonly QA[];
  readonly validation: readonly QA[];
}

function taught(input: ModelInput, lesson: Lesson, _: Lent): Resolved<Finetuned> {
  const { values, named, pairs, validation } = lesson;
  const { keep, every, set } = values;
  const params = resolveParams("finetune", FINETUNE, { ...named, ...set }, input.shape.config);
  return {
    identity: { model: input.content, data: hash(pairs), validation: hash(validation), params, ...(keep && { every }) },
    uses: input.uses,
    training: trainingOn(pairs, params),
    work: (job) => teach(input, { ...lesson, params }, job),
  };
}

/** The size of the training, from its longest row. */
const trainingOn = (pairs: readonly QA[], params: FinetuneParams): NonNullable<Resolved<Finetuned>["training"]> => {
  const texts = pairs.map(({ question, answer }) => question + answer);
  return (shape) => trainingOf("finetune", shape, params, { units: pairs.length, rows: 1, tokens: tokensAtMost(texts, shape.config) });
};

type Teaching = Lesson & { readonly params: FinetuneParams };

async function teach(input: ModelInput, lesson: Teaching, { folder, ctx, force }: Job): Promise<Made<Finetuned>> {
  const { values, params, pairs } = lesson;
  const { plain, system, seed, until, keep, dtype } = values;
  const model = await load(input.spec, ctx, { force, training: trainingOn(pairs, params) });
  try {
    const ask = { format: plain ? ("plain" as const) : formatOf(model), ...(system !== undefined && { system }) };
    checkSystem(model, ask);
    // a pass's memory may be gigabytes: it is free again before the checkpoint is written
    const { weights, losses } = await withOwnSessions(model, (own) =>
      toTheEnd(trained(own, input, { ...lesson, ask, training: folder.work(TRAINING) }, ctx), ctx),
    );
    const told = { steps: losses.length, losses, rows: pairs.length, params };
    const about = { code: version, base: model.id, data: hash(pairs), seed, ...ask, ...(until !== undefined && { until }) };
    const taught = { ...model, weights: new Map([...model.weights, ...weights]) };
    const save = (dir: string): void => saveCheckpoint(dir, taught, { dtype: dtype as StoredDtype, force: true });
    saveTaught(folder, save, { ...about, ...told });
    if (keep) folder.finish(TRAINING, TRAINING);
    return { result: told, layout: { folder: MODEL, ...(keep && { beside: { ".training": TRAINING } }) } };
  } finally {
    await model.release();
  }
}

/** The events of a training. If requested, the share of known answers is logged after every epoch. */
function trained(
  model: Model,
  input: ModelInput,
  lesson: Teaching & { readonly ask: AskAs & { readonly format: Format }; readonly training: string },
  ctx: Context,
) {
  const { values, params, pairs, validation, ask, training } = lesson;
  const { seed, until, keep, every } = values;
  const rows = rowsFor(model, pairs, { ...ask, learn: params.learn });
  const held = rowsFor(model, validation, { ...ask, learn: params.learn });
  const perEpoch = Math.ceil(rows.length / params.batch);
  return tune(
    model,
    rows,
    {
      params,
      seed,
      running: { dtype: "float32", executor: "graph" },
      folder: training,
      every,
      ...(keep && { keep: { spec: input.path } }),
      stop: async ({ step, weights }) => {
        if (step % perEpoch !== 0 || (held.length === 0 && until === undefined)) return undefined;
        return checked(withWeights(model, weights()), { pairs, held, ask, until, epoch: step / perEpoch }, ctx);
      },
    },
    ctx,
  );
}

/** Saves the checkpoint with a description of the training, completely or not at all. */
function saveTaught(folder: RunFolder, save: (dir: string) => void, about: object): void {
  rmSync(folder.work(MODEL), { recursive: true, force: true });
  save(folder.work(MODEL));
  writeAtomic(join(folder.work(MODEL), "training.json"), `${JSON.stringify(about, null, 2)}\n`);
  folder.finish(MODEL, MODEL);
}
