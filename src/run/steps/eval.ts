/** The step `eval`: measures a model for a suite, window by window, so that a stopped run continues. Then it judges the samples. */
import { existsSync, mkdirSync, rmSync } from "node:fs";
import { dirname, join } from "node:path";
import type { Context } from "../../base/context.ts";
import { fail } from "../../base/fail.ts";
import { canonical, hash } from "../../base/hash.ts";
import { appendLine, readJson, readLines, writeAtomic } from "../../base/store.ts";
import type { Edit } from "../../edit/edit.ts";
import { checkCompat, fieldsOf, groupsOf, metricNamesOf, type Suite } from "../../eval/judge.ts";
import { plainly } from "../../eval/logs/samples.ts";
import { checkSamples, isMeasured, measure, type Sample } from "../../eval/measure.ts";
import type { Field } from "../../eval/metric.ts";
import { type Log, openLog } from "../../eval/open-log.ts";
import { suiteOf } from "../../eval/suite.ts";
import { namesModel } from "../../hub/hub.ts";
import type { Precision } from "../../model/model.ts";
import { EVALUATION, judgeRows, SAMPLES } from "../eval.ts";
import { given, type Grouped, type NestedSpec, type Values } from "../fields.ts";
import { linkOrCopy, type RunFolder } from "../folder.ts";
import { editInputs, type ModelInput, modelInput } from "../inputs.ts";
import { type Model, open, type Opened } from "../open.ts";
import { type Asked, askedIn } from "../questions.ts";
import { type Reading, readingOf, readText, TEXT, textNumbers } from "../reading.ts";
import type { EvalRecord, Measured } from "../record.ts";
import { evalSpec } from "../specs/eval.ts";
import { defineStep, type Early, type Job, type Lent, type Made, type Resolved, sourceOf } from "../step.ts";

/** The file in the run's folder with everything that the samples depend on. */
const MEASURED = "measured.json";
/** The same files as `-o` names them. */
const FILES: Readonly<Record<string, string>> = { [SAMPLES]: SAMPLES, "record.json": EVALUATION, "spec.json": MEASURED };

/** A model that is asked the same questions: the base of the edits, or another one. */
type Rival = "base" | "reference";

/** A record from its JSON, in which NaN and infinite numbers are texts. */
function readRecord(record: EvalRecord): EvalRecord {
  const { numbers, collapse } = record;
  return {
    ...record,
    numbers: numbers.map((number) => ({
      ...number,
      value: Number(number.value),
      interval: number.interval && { ...number.interval, low: Number(number.interval.low), high: Number(number.interval.high) },
      bySample: Object.fromEntries(Object.entries(number.bySample).map(([id, value]) => [id, Number(value)])),
    })),
    collapse: collapse && { ...collapse, loss: Number(collapse.loss) },
  };
}

const early: Early = { suite: { check: ({ suite }, ctx) => suiteOf(suite as string, ctx) } };

export const evalStep = defineStep({ ...evalSpec, purpose: "ask", early }, resolveEval, readRecord);

async function resolveEval(values: Values<typeof evalSpec.fields>, lent: Lent): Promise<Resolved<EvalRecord>> {
  const suite = suiteOf(values.suite, lent.ctx);
  const { compat, maxTokens, batch, plain, system } = values;
  checkCompat(suite.columns, compat, lent.ctx);
  const [edits, targetsOf] = [values.edit, values.targetsOf] as [readonly string[], readonly string[]];
  const reference = values.reference as string | undefined;
  const rival = rivalOf(suite, reference, edits.length > 0, values.alone);
  const reading = readingOf(values.text, values.textTokens);
  const asked = await questionsOf(values, suite, lent.ctx);
  const fields = fieldsOf(suite, compat, lent.ctx).filter((name) => isMeasured(name, rival !== undefined));
  const [own, wanted] = [editInputs(edits), editInputs(targetsOf)];
  const samples = withTargets(asked, edits.length > 0 ? own.edits : wanted.edits);
  checkSamples(samples, fields);
  // under a name that does not depend on its path
  const log = reference === undefined || rival ? undefined : { ...openLog(reference), name: "reference", path: "reference" };
  const input = await modelInput(values.model as string, lent);
  const other = rival === "reference" ? await modelInput(reference!, lent) : undefined;
  const ask = { maxTokens, batch, dtype: values.dtype as Precision, ...(plain && { format: "plain" as const }), ...given({ system }) };
  const { reference: _, ...rest } = values;
  const questions = hash(asked);
  const about: About = { suite: suite.name, samples: questions, ...ask, ...(reading && { text: reading.identity }) };
  const answered = { ...rest, step: "eval", compat: [], model: input.spec, alone: values.alone || suite.against !== undefined };
  const isJudgedAgain = rival === undefined && isOfTheSameAnswers(suite, compat, log !== undefined, lent.ctx);
  const evaluation = { suite, samples, about, fields, input, edits, ask, compat, ...given({ reading }) };
  const sameOf = {
    ...rest,
    model: other?.spec ?? input.spec,
    edit: [],
    targetsOf: edits.length > 0 ? edits : targetsOf,
    alone: suite.against !== undefined,
  };
  return {
    identity: {
      model: input.content,
      edit: own.content,
      targetsOf: wanted.content,
      suite: { ...suite },
      questions,
      reference: other?.content ?? rival ?? log?.hash ?? null,
      ...(reading && { text: reading.identity }),
    },
    uses: [
      ...input.uses,
      ...(other?.uses ?? []),
      ...metricNamesOf(suite, lent.ctx).flatMap((name) => sourceOf("metric", name, lent.ctx)),
      ...(log ? [`eval/logs/${log.format.name}`] : []),
    ],
    work: (job) =>
      evaluate(
        {
          ...evaluation,
          ...(isJudgedAgain && { answered }),
          ...(rival && { rival, sameOf: { step: "eval", ...sameOf } }),
          ...given({ other, log }),
        },
        job,
      ),
  };
}

function questionsOf(
  { data, columns, subjects, limit, seed }: Values<typeof evalSpec.fields>,
  suite: Suite,
  ctx: Context,
): Promise<Asked[]> {
  const options = given({ columns, subjects, limit, seed });
  return askedIn(data as readonly (string | Grouped<string>)[], groupsOf(suite), options, ctx);
}

/**
 * Whether quirks or a log to compare with change how answers are judged, and no answer. Then the model is asked by the run without them.
 */
const isOfTheSameAnswers = (suite: Suite, compat: readonly string[], isBesideLog: boolean, ctx: Context): boolean =>
  (compat.length > 0 || isBesideLog) && canonical(fieldsOf(suite, [], ctx)) === canonical(fieldsOf(suite, compat, ctx));

/** The resolved spec. */
interface Evaluation {
  readonly suite: Suite;
  readonly samples: readonly Sample[];
  readonly about: About;
  readonly fields: readonly Field[];
  readonly input: ModelInput;
  readonly edits: readonly string[];
  readonly ask: Asking;
  readonly compat: readonly string[];
  readonly reading?: Reading;
  /** The log to compare with. */
  readonly log?: Log;
  readonly rival?: Rival;
  /** The compared model, if it is not the base, and the spec that asks it the same questions. */
  readonly other?: ModelInput;
  readonly sameOf?: NestedSpec;
  /** The spec whose answers are judged, if another run asks the model. */
  readonly answered?: NestedSpec;
}

type Asking = Pick<About, "maxTokens" | "batch"> & { readonly dtype: Precision; readonly format?: "plain"; readonly system?: string };

async function evaluate(
  { suite, samples, about, fields, input, edits, ask, compat, reading, log, rival, other, sameOf, answered }: Evaluation,
  { folder, ctx, force, run }: Job,
): Promise<Made<EvalRecord>> {
  if (rival) takeIn((await run(sameOf!)).path, folder, rival); // runs first, so that no two copies of a model are in memory
  const work = { suite, samples, about, compat, ask, folder, ctx, ...given({ reading }) };
  if (answered) {
    if (!existsSync(folder.at(SAMPLES))) takeAnswers((await run(answered)).path, folder);
    return judged(work, input.shape.config.vocab, readJson(folder.at(MEASURED), "eval") as Measured, log);
  }
  const opened = await open(input.spec, { edits, force, ...given({ format: ask.format }) }, ctx);
  let second: Opened | undefined;
  try {
    if (other) second = await open(other.spec, { force, ...given({ format: ask.format }) }, ctx);
    const isAgainst = rival !== undefined && fields.includes("divergence");
    const asked = await measured(work, opened, isAgainst ? (second?.base ?? opened.base) : undefined);
    return judged(work, opened.base.config.vocab, asked, rival === undefined ? log : logOf(folder, rival), rival);
  } finally {
    await second?.close();
    await opened.close();
  }
}

/**
 * The second model that is asked the same questions: the model in `--reference`, or the base if the suite compares with it. Undefined if
 * there is none, or if `--reference` is a log.
 */
function rivalOf({ name, against }: Suite, reference: string | undefined, hasEdits: boolean, isAlone: boolean): Rival | undefined {
  if (reference !== undefined) return namesModel(reference) ? "reference" : undefined;
  if (against === undefined || isAlone) return undefined;
  if (!hasEdits)
    fail(
      "eval",
      `the suite ${name} of a model without edits`,
      "something to compare with",
      "Name an --edit, or with --reference the model before.",
    );
  return "base";
}

/** The values of a run that are known before a model is opened. */
type About = Omit<Measured, "model" | "edits" | "against" | "targets" | "fields">;

interface Work {
  readonly suite: Suite;
  readonly samples: readonly Sample[];
  readonly about: About;
  readonly compat: readonly string[];
  readonly ask: Asking;
  readonly reading?: Reading;
  readonly folder: RunFolder;
  readonly ctx: Context;
}

/** Asks a model the remaining questions, and reads the remaining text. Returns everything that the rows in the folder depend on. */
async function measured(
  { suite, samples, about, compat, ask, reading, folder, ctx }: Work,
  { base, model, edits }: Omit<Opened, "close">,
  against?: Model,
): Promise<Measured> {
  const fields = fieldsOf(suite, compat, ctx).filter((name) => isMeasured(name, against !== undefined));
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
  if (reading) await readText(model, reading, { folder, dtype: ask.dtype, ctx });
  return run;
}

/** Judges the rows in the folder. */
function judged(
  { suite, compat, reading, folder, ctx }: Work,
  vocabulary: number,
  run: Measured,
  reference?: Log,
  rival?: Rival,
): Made<EvalRecord> {
  const own = judgeRows(logOf(folder), reference, { compat, suite, vocabulary, run }, ctx);
  const record = { ...own, numbers: [...own.numbers, ...(reading ? textNumbers(folder) : [])] };
  writeAtomic(folder.at(EVALUATION), `${JSON.stringify(record, null, 1)}\n`);
  writeAtomic(folder.at(MEASURED), JSON.stringify(run));
  const ofText = reading && { [TEXT]: TEXT };
  const ofRival = rival ? Object.entries(FILES).map(([to, from]) => [`${rival}/${to}`, `${rival}/${from}`] as const) : [];
  return { result: record, layout: { files: { ...FILES, ...ofText, ...Object.fromEntries(ofRival) } } };
}

/** Links the files of the second model's run into this run's folder. */
function takeIn(from: string, folder: RunFolder, rival: Rival): void {
  const making = folder.work(rival);
  rmSync(making, { recursive: true, force: true });
  mkdirSync(making);
  for (const file of Object.values(FILES)) linkOrCopy(join(from, file), join(making, file));
  folder.finish(rival, rival);
}

/** Links the answers of another run, and what it read, into this run's folder. */
function takeAnswers(from: string, folder: RunFolder): void {
  const take = (file: string, whole: string): void => {
    rmSync(folder.work(whole), { recursive: true, force: true });
    mkdirSync(dirname(folder.work(file)), { recursive: true });
    linkOrCopy(join(from, file), folder.work(file));
    folder.finish(whole, whole);
  };
  if (existsSync(join(from, TEXT))) take(TEXT, dirname(TEXT));
  take(MEASURED, MEASURED);
  take(SAMPLES, SAMPLES); // the last: without it the answers are taken again
}

/** The rows of the run, or of the second model, under a name that does not depend on the folder's path. */
function logOf(folder: RunFolder, rival?: Rival): Log {
  const path = rival ? `${rival}/${SAMPLES}` : SAMPLES;
  return { ...openLog(folder.at(path)), name: rival ?? "samples", path };
}

/**
 * Adds the edits' targets to the questions of their requests, paraphrases and neighbours. If several edits have a target, the last one
 * counts.
 */
function withTargets(asked: readonly Asked[], edits: readonly Edit[]): Sample[] {
  const targets = new Map(
    edits.flatMap(({ by }) => by.requests.flatMap(({ prompt, target }) => (target === null ? [] : [[prompt, target]]))),
  );
  return asked.map(({ sample, prompt }) => {
    const target = targets.get(prompt);
    return target === undefined ? sample : { ...sample, target };
  });
}

/** The number of samples that an earlier attempt measured, in complete windows. Samples of an incomplete window are removed. */
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
