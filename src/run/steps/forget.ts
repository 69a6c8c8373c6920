/** The step `forget`: makes and saves edits for requests, and asks the model before and after. */
import { existsSync, mkdirSync, renameSync, rmSync, statSync } from "node:fs";
import { join } from "node:path";
import { fail } from "../../base/fail.ts";
import { hash } from "../../base/hash.ts";
import type { Edit } from "../../edit/edit.ts";
import { saveEdits } from "../../edit/io.ts";
import { StepLog } from "../../edit/step-log.ts";
import { load } from "../../model/load.ts";
import { named } from "../../base/plugin.ts";
import type { AnyMethod } from "../../methods/method.ts";
import { type Choice, methodOrAuto, paramsOf, targetsOf } from "../choice.ts";
import { choose } from "../choose.ts";
import { carryOut } from "../edit.ts";
import { type EditCard, cardOf } from "../edits.ts";
import { type Forgetting, type ForgetValues, readForgetting } from "../forgetting.ts";
import { given } from "../fields.ts";
import type { RunFolder } from "../folder.ts";
import { checkOfModel } from "../hparams-model.ts";
import { editInputs, type ModelInput, modelInput } from "../inputs.ts";
import { measuredId, readMeasured, tellMany } from "../measured.ts";
import { broughtTo, identitiesOf, sourcesOf } from "../needed.ts";
import type { Asked, Need } from "../needs/need.ts";
import { open, type Opened, withEdits } from "../open.ts";
import type { Layout } from "../record.ts";
import { type Proof, proofBy, tokensToProve } from "../proof.ts";
import { beforeAndAfter, type Shown } from "../shown.ts";
import { forgetSpec } from "../specs/forget.ts";
import { defineStep, type Early, type Job, type Made, sourceOf } from "../step.ts";
import { trainingFor } from "../training.ts";
import { version } from "../version.ts";

export interface Forgotten {
  readonly bytes: number;
  readonly edits: readonly EditCard[];
  readonly shown: readonly Shown[];
  /** What the edited model says to the questions of the edits; null for a method that promises no target, and with the setting none. */
  readonly proof: Proof | null;
}

/** Results in the run's folder: one file with the edit, or a folder with an edit for each request. */
const [EDIT, EDITS] = ["edit.safetensors", "edits"];
/** The finished requests of a sequence, if they are kept. */
const STEPS = "steps";
/** The same while the run is not finished. */
const JOURNAL = "journal";

const early: Early = {
  // what `auto` stands for depends on the table of what was measured
  method: { check: ({ method }, ctx) => (methodOrAuto(method as string | undefined, ctx) ? undefined : measuredId()) },
  set: {
    with: "method",
    check({ method, set }, ctx) {
      const one = methodOrAuto(method as string | undefined, ctx);
      if (one) checkParams(one, Object.keys((set ?? {}) as object));
    },
  },
  target: { check: ({ target }, ctx) => void (target !== undefined && named("target", targetsOf(ctx), target as string)) },
};

/** Refuses the name of a parameter that the method does not have. */
function checkParams({ name, params }: AnyMethod, given: readonly string[]): void {
  for (const key of given) named(`set of ${name}`, params as Readonly<Record<string, unknown>>, key);
}

export const forgetStep = defineStep({ ...forgetSpec, purpose: "edit", early }, async (values, lent) => {
  const forgetting = await readForgetting(values, lent);
  const choice = choose(forgetting.requests, forgetting.settings, { ...forgetting.given, ctx: lent.ctx });
  const under = editInputs(values.edit as readonly string[]);
  const input = await modelInput(values.model as string, lent);
  checkOfModel(forgetting.ofModel, choice.method, input.shape);
  const reference = values.reference === undefined ? undefined : await modelInput(values.reference as string, lent);
  checkSequence(values, choice);
  const wanted: Wanted = {
    forgetting,
    choice,
    input,
    edits: values.edit as readonly string[],
    tokens: values.maxTokens,
    keep: values.keep,
    ...given({ continued: values.continue as string | undefined }),
    ...(reference && { reference }),
  };
  const asked: Asked = { ...choice, given: forgetting.given, ctx: lent.ctx };
  const needs = broughtTo(choice, paramsFor(choice, input), forgetting.given);
  return {
    identity: { ...(await identityOf(wanted, needs, asked)), edit: under.content },
    uses: [...input.uses, ...sourceOf("method", choice.method.name, lent.ctx), ...sourcesOf(needs, asked)],
    training: trainingFor(choice, forgetting.given),
    work: (job) => forget(wanted, job),
  };
});

interface Wanted {
  readonly forgetting: Forgetting;
  readonly choice: Choice;
  readonly input: ModelInput;
  readonly edits: readonly string[];
  readonly tokens: number;
  readonly keep: boolean;
  readonly continued?: string;
  readonly reference?: ModelInput;
}

/** Refuses to keep or to continue the requests of anything but a sequence. */
function checkSequence({ keep, continue: continued }: Pick<ForgetValues, "keep" | "continue">, { mode }: Choice): void {
  const flag = keep ? "--keep" : continued === undefined ? undefined : "--continue";
  if (flag !== undefined && mode !== "sequential") fail("forget", `${flag} in the mode ${mode}`, "a sequence", "Give --mode sequential.");
  if (continued !== undefined && StepLog.lengthOf(continued as string) === 0)
    fail(
      "forget",
      `no finished requests in ${continued as string}`,
      "the folder EDIT.steps that --keep made",
      "Make the shorter sequence with --keep.",
    );
}

/** Everything that decides the edit's bytes, including the method's parameters and the identities of its needs. */
async function identityOf(
  { forgetting, choice, input, reference, continued }: Wanted,
  needs: readonly Need[],
  asked: Asked,
): Promise<Record<string, unknown>> {
  const { method, compat, mode, settings } = choice;
  return {
    model: input.content,
    method: method.name,
    mode,
    params: paramsFor(choice, input),
    compat: [...compat].sort(),
    templates: settings.templates ?? null,
    requests: hash(forgetting.requests),
    version,
    ...(continued !== undefined && { continue: StepLog.idOf(continued) }),
    ...(await identitiesOf(needs, asked)),
    ...(reference && { reference: reference.content }),
  };
}

const paramsFor = ({ method, settings }: Choice, { shape }: ModelInput): Readonly<Record<string, unknown>> =>
  paramsOf(method, settings.params ?? {}, shape.config);

/** Makes the edits, saves them and asks the questions again. Finished requests are stored until the end. */
async function forget(wanted: Wanted, job: Job): Promise<Made<Forgotten>> {
  const { forgetting, choice, input, edits, tokens, reference: named, keep, continued } = wanted;
  const { folder, ctx, force } = job;
  const { settings, given: rows } = forgetting;
  const { format } = settings;
  tellOfMany(choice, input, job);
  const training = trainingFor(choice, rows);
  const known = input.weightsHash === undefined ? {} : { weightsHash: input.weightsHash };
  // a run that was killed after its last step has moved its requests to the results
  if (keep && existsSync(folder.at(STEPS))) renameSync(folder.at(STEPS), folder.work(JOURNAL));
  const opened = await open(input.spec, { edits, ...(format && { format }), ...known, purpose: "edit", training, force }, ctx);
  const reference = named && (await load(named.spec, ctx, { purpose: "edit" }));
  try {
    const found = await carryOut(opened.base, choice, {
      ...rows,
      upon: opened.edits,
      journal: folder.work(JOURNAL),
      ...(continued !== undefined && { continued }),
      ctx,
      ...(reference && { reference }),
    });
    const { bytes, layout } = choice.mode === "single" && choice.edited.length > 1 ? saveApart(folder, found) : saveOne(folder, found);
    const needed = tokensToProve(opened.base, found, choice);
    const asked = tokens + needed > 0 ? await askedAgain(opened, found, { ...settings, tokens, needed }, job) : [];
    const proof = proofBy(asked, found, choice);
    if (keep) folder.finish(JOURNAL, STEPS);
    const result = { bytes, edits: found.map(cardOf), shown: tokens > 0 ? asked : [], proof };
    return { result, layout: keep ? { ...layout, beside: { ".steps": STEPS } } : layout };
  } finally {
    await opened.close();
    await reference?.release();
  }
}

/** Warns where so many requests in one edit were measured to cost other answers. */
function tellOfMany({ method, mode, edited }: Choice, { content }: ModelInput, { ctx }: Job): void {
  const { name, title } = method;
  const told = tellMany(readMeasured(), { method: name, title, mode, requests: edited.length, model: content });
  if (told) ctx.log({ who: "forget", ...told });
}

type Saved = { readonly bytes: number; readonly layout: Layout };

function saveOne(folder: RunFolder, edits: readonly Edit[]): Saved {
  saveEdits(folder.at(EDIT), edits);
  return { bytes: statSync(folder.at(EDIT)).size, layout: { file: EDIT } };
}

/** Writes one file for each edit. The folder appears with all of them or not at all. */
function saveApart(folder: RunFolder, edits: readonly Edit[]): Saved {
  const making = folder.work(EDITS);
  rmSync(making, { recursive: true, force: true });
  mkdirSync(making, { recursive: true });
  const names = edits.map((edit, i) => `${String(i + 1).padStart(4, "0")}-${edit.by.requests[0]!.id.replaceAll(/[^\w.-]+/g, "_")}`);
  edits.forEach((edit, i) => saveEdits(join(making, names[i]!), [edit]));
  folder.finish(EDITS, EDITS);
  return { bytes: names.reduce((sum, name) => sum + statSync(join(folder.at(EDITS), name)).size, 0), layout: { folder: EDITS } };
}

async function askedAgain(
  { base, model, edits }: Opened,
  found: readonly Edit[],
  { tokens, needed, ...settings }: Forgetting["settings"] & { readonly tokens: number; readonly needed: number },
  { ctx }: Job,
): Promise<Shown[]> {
  const asking = { ...settings, tokens: Math.max(tokens, needed) };
  const shown: Shown[] = [];
  for (const edit of found) {
    const after = withEdits(base, [...edits, edit], settings.format, { ...ctx, log: () => {} });
    shown.push(...(await beforeAndAfter(tokens > 0 ? model : undefined, after, edit, asking, ctx)));
  }
  return shown;
}
