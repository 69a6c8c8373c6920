/** A model measured for a suite, window by window, so that a stopped run goes on where it was; then judged. */
import { copyFileSync, existsSync, linkSync, mkdirSync } from "node:fs";
import { dirname, join } from "node:path";
import type { Context } from "../../base/context.ts";
import { fail } from "../../base/fail.ts";
import { hash } from "../../base/hash.ts";
import { appendLine, readLines, writeAtomic } from "../../base/store.ts";
import type { Edit } from "../../edit/edit.ts";
import { checkCompat, fieldsOf, groupsOf, metricsOf, type Suite } from "../../eval/judge.ts";
import { plainly } from "../../eval/logs/samples.ts";
import { checkSamples, isMeasured, measure, type Sample } from "../../eval/measure.ts";
import { type Log, openLog } from "../../eval/open-log.ts";
import { suiteOf } from "../../eval/suite.ts";
import { namesModel } from "../../hub/hub.ts";
import { EVALUATION, judgeRows, SAMPLES } from "../eval.ts";
import { given, type Grouped } from "../fields.ts";
import type { RunFolder } from "../folder.ts";
import { contentAt, editInputs, modelInput } from "../inputs.ts";
import { type Model, open, type Opened } from "../open.ts";
import { type Asked, askedIn } from "../questions.ts";
import { type Reading, readingOf, readText, TEXT } from "../reading.ts";
import type { EvalRecord, Measured } from "../record.ts";
import { evalSpec } from "../specs/eval.ts";
import { defineStep } from "../step.ts";

/** What the samples depend on, in the run's folder. */
const MEASURED = "measured.json";
/** The same files as `-o` names them. */
const FILES: Readonly<Record<string, string>> = { [SAMPLES]: SAMPLES, "record.json": EVALUATION, "spec.json": MEASURED };

/** A model that is asked the same questions: the base of the edits, or another one. */
type Rival = "base" | "reference";

export const evalStep = defineStep(evalSpec, async (values, lent) => {
  const { ctx } = lent;
  const suite = suiteOf(values.suite);
  const { compat } = values;
  checkCompat(suite.columns, compat);
  const [paths, targetPaths] = [values.edit, values.targetsOf] as [readonly string[], readonly string[]];
  const reference = values.reference as string | undefined;
  const rival = rivalOf(suite, reference, paths.length > 0, targetPaths.length > 0);
  const reading = readingOf(values.text, values.textTokens);
  const data = values.data as readonly (string | Grouped<string>)[];
  const asked = await askedIn(data, groupsOf(suite), given({ limit: values.limit, seed: values.seed }), ctx);
  const fields = fieldsOf(suite).filter((name) => isMeasured(name, rival !== undefined));
  // targets are known when the edits are read
  checkSamples(
    asked.map(({ sample }) => sample),
    fields.filter((name) => name !== "targetLoss"),
  );
  const log = reference === undefined || rival ? undefined : openLog(reference);
  const [own, wanted] = [editInputs(paths), editInputs(targetPaths)];
  const input = await modelInput(values.model as string, lent);
  const other = rival === "reference" ? await modelInput(reference!, lent) : undefined;
  const { maxTokens, batch, plain, system, dtype } = values;
  const ask = {
    maxTokens,
    batch,
    dtype: dtype as "float32" | "float64",
    ...(plain && { format: "plain" as const }),
    ...(system !== undefined && { system }),
  };
  return {
    identity: {
      model: input.content,
      edit: own.content,
      targetsOf: wanted.content,
      suite: { ...suite },
      questions: hash(asked),
      reference: other?.content ?? rival ?? (reference === undefined ? null : contentAt(reference, "eval")),
      compat,
      ...ask,
      ...(reading && { text: reading.identity }),
    },
    uses: [...input.uses, ...(other?.uses ?? []), ...metricsOf(suite).map((name) => `eval/metrics/${name}`)],
    work: async ({ folder, ctx: at, force, run }) => {
      const format = ask.format && { format: ask.format };
      const opened = await open(input.spec, { edits: paths, force, ...format }, at);
      let second: Opened | undefined;
      try {
        if (other) second = await open(other.spec, { force, ...format }, at);
        const samples = withTargets(asked, opened.edits.length > 0 ? opened.edits : wanted.edits);
        checkSamples(samples, fields);
        const about: About = { suite: suite.name, samples: hash(asked), ...ask, ...(reading && { text: reading.identity }) };
        const work: Work = { suite, samples, about, compat, ask, folder, ctx: at, ...(reading && { reading }) };
        if (rival === undefined) return await measured(work, opened, log);
        const { reference: _, ...rest } = values;
        const made = await run({
          step: "eval",
          ...rest,
          model: other?.spec ?? input.spec,
          edit: [],
          targetsOf: paths.length > 0 ? paths : targetPaths,
        });
        takeIn(made.path, folder, rival);
        const against = second?.base ?? opened.base;
        const card = logOf(folder, rival);
        return await measured(work, opened, card, fields.includes("divergence") ? against : undefined, rival);
      } finally {
        await second?.close();
        await opened.close();
      }
    },
  };
});

/** The model that is asked the same: one that the reference names, or the base of a suite that compares with it. Undefined where a log will do. */
function rivalOf({ name, against }: Suite, reference: string | undefined, hasEdits: boolean, isRival: boolean): Rival | undefined {
  if (reference !== undefined) return namesModel(reference) ? "reference" : undefined;
  if (against === undefined || (isRival && !hasEdits)) return undefined;
  if (!hasEdits)
    fail(
      "eval",
      `the suite ${name} of a model without edits`,
      "something to compare with",
      "Name an --edit, or with --reference the model before.",
    );
  return "base";
}

/** What is known of a run before a model is opened. */
type About = Omit<Measured, "model" | "edits" | "against" | "targets" | "fields">;

interface Work {
  readonly suite: Suite;
  readonly samples: readonly Sample[];
  readonly about: About;
  readonly compat: readonly string[];
  readonly ask: Pick<About, "maxTokens" | "batch"> & {
    readonly dtype: "float32" | "float64";
    readonly format?: "plain";
    readonly system?: string;
  };
  readonly reading?: Reading;
  readonly folder: RunFolder;
  readonly ctx: Context;
}

/** Asks a model what has not been asked yet, and judges what is then in the folder. */
async function measured(
  { suite, samples, about, compat, ask, reading, folder, ctx }: Work,
  { base, model, edits }: Omit<Opened, "close">,
  reference?: Log,
  against?: Model,
  rival?: Rival,
): Promise<{ readonly result: EvalRecord; readonly layout: { readonly files: Readonly<Record<string, string>> } }> {
  const fields = fieldsOf(suite).filter((name) => isMeasured(name, against !== undefined));
  const targets = samples.flatMap(({ id, target }) => (target === undefined ? [] : [[id, target]]));
  const run: Measured = {
    ...about,
    fields,
    model: base.id,
    edits: edits.map(({ id }) => id),
    ...(targets.length > 0 && { targets: hash(targets) }),
    ...(against && { against: against.id }),
  };
  if (!existsSync(folder.at(SAMPLES))) {
    const path = folder.work(SAMPLES);
    const from = wholeWindows(path, samples.length, ask.batch);
    if (from > 0) ctx.log({ kind: "note", who: "eval", text: `going on after ${from} of ${samples.length} samples` });
    for await (const window of measure(model, samples, fields, { ...ask, from, ...(against && { against }), ctx }))
      for (const row of window) appendLine(path, plainly(row));
    folder.finish(SAMPLES, SAMPLES);
  }
  const read = reading ? await readText(model, reading, { folder, dtype: ask.dtype, ctx }) : [];
  const judged = judgeRows(logOf(folder), reference, { compat, suite: suite.name, vocabulary: model.config.vocab, run }, ctx);
  const record = { ...judged, numbers: [...judged.numbers, ...read] };
  writeAtomic(folder.at(EVALUATION), `${JSON.stringify(record, null, 1)}\n`);
  writeAtomic(folder.at(MEASURED), JSON.stringify(run));
  const ofText = reading && { [TEXT]: TEXT };
  const ofRival = rival ? Object.entries(FILES).map(([to, from]) => [`${rival}/${to}`, `${rival}/${from}`] as const) : [];
  return { result: record, layout: { files: { ...FILES, ...ofText, ...Object.fromEntries(ofRival) } } };
}

/** The files of a rival's run beside this run's own. */
function takeIn(from: string, folder: RunFolder, rival: Rival): void {
  for (const file of Object.values(FILES)) {
    const to = folder.at(join(rival, file));
    if (existsSync(to)) continue;
    mkdirSync(dirname(to), { recursive: true });
    try {
      linkSync(join(from, file), to);
    } catch {
      copyFileSync(join(from, file), to);
    }
  }
}

/** The rows of the run, or of its rival, under a name that does not depend on where the folder is. */
function logOf(folder: RunFolder, rival?: Rival): Log {
  const path = rival ? `${rival}/${SAMPLES}` : SAMPLES;
  return { ...openLog(folder.at(path)), name: rival ?? "samples", path };
}

/** What the edits want said at the questions that they were made for, the same in other words, and those beside them; the last edit decides. */
function withTargets(asked: readonly Asked[], edits: readonly Edit[]): Sample[] {
  const targets = new Map(
    edits.flatMap(({ by }) => by.requests.flatMap(({ prompt, target }) => (target === null ? [] : [[prompt, target]]))),
  );
  return asked.map(({ sample, prompt }) => {
    const target = targets.get(prompt);
    return target === undefined ? sample : { ...sample, target };
  });
}

/** How many samples an earlier attempt has measured, in whole windows; what it left beyond them is taken away. */
function wholeWindows(path: string, total: number, batch: number): number {
  const lines = readLines(path);
  const whole = lines.length >= total ? total : lines.length - (lines.length % batch);
  if (whole < lines.length)
    writeAtomic(
      path,
      lines
        .slice(0, whole)
        .map((line) => `${JSON.stringify(line)}\n`)
        .join(""),
    );
  return whole;
}
