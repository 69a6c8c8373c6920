/** A model measured for a suite: its samples in a folder, window by window, so that a stopped run goes on where it was; then judged. */
import { existsSync, mkdirSync, readFileSync, rmSync } from "node:fs";
import { basename, join } from "node:path";
import type { Context } from "../base/context.ts";
import { fail } from "../base/fail.ts";
import { canonical, hash } from "../base/hash.ts";
import { appendLine, lockFile, readLines, writeAtomic } from "../base/store.ts";
import { checkCompat, fieldsOf, groupsOf, type Suite } from "../eval/judge.ts";
import { plainly } from "../eval/logs/samples.ts";
import { BATCH, checkSamples, isMeasured, MAX_TOKENS, measure, type MeasureOptions, type Sample } from "../eval/measure.ts";
import { type Log, openLog } from "../eval/open-log.ts";
import { suiteOf } from "../eval/suite.ts";
import { namesModel } from "../hub/hub.ts";
import { judgeRows, RECORD, SAMPLES, SPEC } from "./eval.ts";
import { type Edit, type Model, open, type Opened } from "./open.ts";
import { type Asked, askedIn } from "./questions.ts";
import type { EvalRecord, Measured } from "./record.ts";

export interface EvalModelOptions extends Omit<MeasureOptions, "ctx" | "against"> {
  /** Edit files on top of the model, lowest first. */
  readonly edits?: readonly string[];
  /** Questions as `[GROUP=]SPEC`, SPEC as {@link requestsIn} takes it; the group may be left out where the suite has one, or none. */
  readonly data: readonly string[];
  readonly suite: string;
  /** Only so many rows of each SPEC: the first, or with a seed as many drawn. */
  readonly limit?: number;
  readonly seed?: number;
  /** What to compare with: a log, the folder of an earlier run, or a model, which is then asked the same. */
  readonly reference?: string;
  readonly compat?: readonly string[];
  /** The folder for samples.jsonl, spec.json and record.json; those of a model to compare with go into a folder of it. */
  readonly out: string;
  /** Begin anew where the folder holds another run; go on where the memory estimate says no. */
  readonly force?: boolean;
}

/**
 * Measures what the suite's metrics read and judges it. Everything that can be refused without a model is refused before one is opened: names
 * that there are not, questions that do not fit the suite, and a folder that holds another run's samples, unless `force` is set.
 */
export async function evalModel(spec: string, options: EvalModelOptions, ctx: Context): Promise<EvalRecord> {
  const { out, reference, compat = [], force = false, edits = [] } = options;
  const suite = suiteOf(options.suite, ctx);
  checkCompat(suite.columns, compat, ctx);
  const rival = rivalOf(suite, reference, edits);
  const asked = await askedIn(options.data, groupsOf(suite), options, ctx);
  const fields = fieldsOf(suite, ctx).filter((field) => isMeasured(field, rival !== undefined));
  // targets are known when the edits are read
  checkSamples(
    asked.map(({ sample }) => sample),
    fields.filter((field) => field !== "targetLoss"),
  );
  const about: About = { suite: suite.name, samples: hash(asked), ...asking(options) };
  if (!force) refuseOther(out, about);
  const log = reference === undefined || rival ? undefined : openLog(reference);
  const format = options.format && { format: options.format };
  const opened = await open(spec, { edits, force, ...format }, ctx);
  let other: Opened | undefined;
  try {
    if (rival === "reference") other = await open(reference!, { force, ...format }, ctx);
    const samples = withTargets(asked, opened.edits);
    checkSamples(samples, fields);
    return await inFolder(out, async () => {
      const run = { suite, samples, about, options, ctx };
      if (rival === undefined) return await measured(run, opened, out, log);
      const against = other?.base ?? opened.base;
      await measured(run, { base: against, model: against, edits: [] }, join(out, rival));
      const isDivergent = fields.includes("divergence");
      return await measured(run, opened, out, card(join(out, rival), `${rival}/${SAMPLES}`), isDivergent ? against : undefined);
    });
  } finally {
    await other?.close();
    await opened.close();
  }
}

/** The model that is asked the same: one that the reference names, or the base of a suite that compares with it. Undefined where a log will do. */
function rivalOf({ name, against }: Suite, reference: string | undefined, edits: readonly string[]): "base" | "reference" | undefined {
  if (reference !== undefined) return namesModel(reference) ? "reference" : undefined;
  if (against === undefined) return undefined;
  if (edits.length === 0)
    fail(
      "eval",
      `the suite ${name} of a model without edits`,
      "something to compare with",
      "Name an --edit, or with --reference the model before.",
    );
  return "base";
}

/** Does work that writes into a folder while nobody else does. */
async function inFolder<T>(out: string, work: () => Promise<T>): Promise<T> {
  mkdirSync(out, { recursive: true });
  const release = lockFile(join(out, "lock"), "eval");
  try {
    return await work();
  } finally {
    release();
  }
}

/** What is known of a run before a model is opened. */
type About = Omit<Measured, "model" | "edits" | "against" | "targets" | "fields">;

interface Run {
  readonly suite: Suite;
  readonly samples: readonly Sample[];
  readonly about: About;
  readonly options: EvalModelOptions;
  readonly ctx: Context;
}

/** Asks a model what has not been asked yet, and judges what is then in the folder. */
async function measured(
  { suite, samples, about, options, ctx }: Run,
  { base, model, edits }: Omit<Opened, "close">,
  out: string,
  reference?: Log,
  against?: Model,
): Promise<EvalRecord> {
  const fields = fieldsOf(suite, ctx).filter((field) => isMeasured(field, against !== undefined));
  const targets = samples.flatMap(({ id, target }) => (target === undefined ? [] : [[id, target]]));
  const run: Measured = {
    ...about,
    fields,
    model: base.id,
    edits: edits.map(({ id }) => id),
    ...(targets.length > 0 && { targets: hash(targets) }),
    ...(against && { against: against.id }),
  };
  const from = keptIn(out, run, samples.length, options.force);
  if (from > 0) ctx.log({ kind: "note", who: "eval", text: `${basename(out)}: going on after ${from} of ${samples.length} samples` });
  for await (const window of measure(model, samples, fields, { ...asking(options), from, ...(against && { against }), ctx }))
    for (const row of window) appendLine(join(out, SAMPLES), plainly(row));
  const { compat = [] } = options;
  const record = judgeRows(card(out, SAMPLES), reference, { compat, suite: options.suite, vocabulary: model.config.vocab, run }, ctx);
  writeAtomic(join(out, RECORD), `${JSON.stringify(record, null, 1)}\n`);
  return record;
}

/** A folder's rows, named as it is; the path is as the record beside them sees it. */
const card = (out: string, path: string): Log => ({ ...openLog(join(out, SAMPLES)), name: basename(out), path });

/** How the model is asked: what windows hold depends on all of it. */
const asking = ({ maxTokens = MAX_TOKENS, batch = BATCH, dtype = "float32", format, system }: EvalModelOptions) => ({
  maxTokens,
  batch,
  dtype,
  ...(format && { format }),
  ...(system !== undefined && { system }),
});

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

const anothers = (out: string): never =>
  fail("eval", `${out} holds samples of another run`, "a folder of its own", "Name another with -o, or begin anew with --force.");

/** What a folder's samples depend on, as it was written down. */
const specIn = (out: string): string | undefined => (existsSync(join(out, SPEC)) ? readFileSync(join(out, SPEC), "utf8") : undefined);

/** Refuses a folder whose samples cannot be this run's whichever model it is. */
function refuseOther(out: string, about: About): void {
  if (!existsSync(join(out, SAMPLES))) return;
  const { model: _m, edits: _e, against: _a, targets: _t, fields: _f, ...kept } = JSON.parse(specIn(out) ?? "{}") as Partial<Measured>;
  if (canonical(kept) !== canonical(about)) anothers(out);
}

/** How many samples an earlier start of the same run has measured, in whole windows; what it left beyond them is taken away. */
function keptIn(out: string, run: Measured, total: number, force = false): number {
  const [about, path] = [canonical(run), join(out, SAMPLES)];
  if (specIn(out) !== about) {
    if (existsSync(path) && !force) anothers(out);
    for (const file of [path, join(out, RECORD)]) rmSync(file, { force: true });
  }
  writeAtomic(join(out, SPEC), about);
  const lines = readLines(path);
  const whole = lines.length >= total ? total : lines.length - (lines.length % run.batch);
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
