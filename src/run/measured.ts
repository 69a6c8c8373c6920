/** A model measured for a suite: its samples in a folder, window by window, so that a stopped run goes on where it was; then judged. */
import { existsSync, mkdirSync, readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import type { Context } from "../base/context.ts";
import { fail } from "../base/fail.ts";
import { canonical, hash } from "../base/hash.ts";
import { appendLine, lockFile, readLines, writeAtomic } from "../base/store.ts";
import type { ForgetRequest } from "../data/request.ts";
import { fieldsOf, groupsOf } from "../eval/judge.ts";
import { plainly } from "../eval/logs/samples.ts";
import { BATCH, MAX_TOKENS, MEASURED, measure, type MeasureOptions, type Sample } from "../eval/measure.ts";
import { openLog } from "../eval/open-log.ts";
import { suiteOf } from "../eval/suite.ts";
import { requestsIn } from "./data.ts";
import { judgeRows } from "./eval.ts";
import { open } from "./open.ts";
import type { EvalRecord } from "./record.ts";

export interface EvalModelOptions extends Omit<MeasureOptions, "ctx"> {
  /** Edit files on top of the model, lowest first. */
  readonly edits?: readonly string[];
  /** Questions as `[GROUP=]SPEC`, SPEC as {@link requestsIn} takes it; the group may be left out where the suite has one, or none. */
  readonly data: readonly string[];
  readonly suite: string;
  /** Only so many rows of each group: the first, or with a seed as many drawn. */
  readonly limit?: number;
  readonly seed?: number;
  /** What to compare with: a log, or the folder of an earlier run. */
  readonly reference?: string;
  readonly compat?: readonly string[];
  /** The folder for samples.jsonl and record.json. */
  readonly out: string;
  /** Begin anew where the folder holds another run; go on where the memory estimate says no. */
  readonly force?: boolean;
}

const [SAMPLES, RECORD] = ["samples.jsonl", "record.json"];

/** Measures what the suite's metrics read and judges it. A folder that holds another run's samples is refused unless `force` is set. */
export async function evalModel(spec: string, options: EvalModelOptions, ctx: Context): Promise<EvalRecord> {
  const { suite: name, data, out, reference, compat = [], force = false, edits = [] } = options;
  const suite = suiteOf(name);
  const asked = await samplesFor(data, groupsOf(suite), options, ctx);
  const against = reference === undefined ? undefined : openLog(reference);
  const wanted = fieldsOf(suite).filter((field) => MEASURED.includes(field));
  const opened = await open(spec, { edits, force, ...(options.format && { format: options.format }) }, ctx);
  mkdirSync(out, { recursive: true });
  const release = lockFile(join(out, "lock"), "eval");
  try {
    const how = asking(options);
    const edited = opened.edits.map(({ id }) => id);
    const about = canonical({ model: opened.base.id, edits: edited, suite: name, fields: wanted, samples: hash(asked), ...how });
    const from = keptIn(out, about, asked.length, options);
    if (from > 0) ctx.log({ kind: "note", who: "eval", text: `going on after ${from} of ${asked.length} samples` });
    for await (const window of measure(opened.model, asked, wanted, { ...how, from, ctx }))
      for (const row of window) appendLine(join(out, SAMPLES), plainly(row));
    const log = openLog(join(out, SAMPLES));
    const record = judgeRows(log, against, { compat, suite: name, vocabulary: opened.model.config.vocab }, ctx);
    writeAtomic(join(out, RECORD), `${JSON.stringify(record, null, 1)}\n`);
    return record;
  } finally {
    release();
    await opened.close();
  }
}

/** How the model is asked: what windows hold depends on all of it. */
const asking = ({ maxTokens = MAX_TOKENS, batch = BATCH, dtype = "float32", format, system }: EvalModelOptions) => ({
  maxTokens,
  batch,
  dtype,
  ...(format && { format }),
  ...(system !== undefined && { system }),
});

/** The samples of every group, in the order in which they were named. */
async function samplesFor(data: readonly string[], groups: readonly string[], options: EvalModelOptions, ctx: Context): Promise<Sample[]> {
  const { limit, seed } = options;
  const all: Sample[] = [];
  for (const given of data) {
    const [, named, spec] = /^(?:([a-z][\w-]*)=)?(.+)$/s.exec(given)!;
    if (named === undefined && groups.length > 1)
      fail("--data", given, `GROUP=${given}, GROUP one of ${groups.join(", ")}`, "The suite judges each group by numbers of its own.");
    const { requests } = await requestsIn(spec!, ctx, { ...(limit !== undefined && { limit }), ...(seed !== undefined && { seed }) });
    all.push(...requests.map((request) => sampleOf(request, named ?? groups[0] ?? "all")));
  }
  const seen = new Set<string>();
  for (const { id } of all)
    if (seen.size === seen.add(id).size) fail("--data", `two rows have the id "${id}"`, "each row once", "Name each file once.");
  const strange = all.find(({ group }) => groups.length > 0 && !groups.includes(group));
  if (strange) fail("--data", `the group "${strange.group}"`, `one of ${groups.join(", ")}`, "The suite has no other.");
  return all;
}

const sampleOf = ({ id, prompt, answer, restated, wrong }: ForgetRequest, group: string): Sample => ({
  id,
  group,
  question: prompt,
  answer,
  ...(restated !== undefined && { restated }),
  ...(wrong.length > 0 && { wrong }),
});

/** How many samples an earlier start of the same run has measured, in whole windows; what it left beyond them is taken away. */
function keptIn(out: string, about: string, total: number, { force = false, batch = BATCH }: EvalModelOptions): number {
  const [spec, path] = [join(out, "spec.json"), join(out, SAMPLES)];
  const isSame = existsSync(spec) && readFileSync(spec, "utf8") === about;
  if (!isSame && existsSync(path) && !force)
    fail("eval", `${out} holds samples of another run`, "a folder of its own", "Name another with -o, or begin anew with --force.");
  if (!isSame) for (const file of [path, join(out, RECORD)]) rmSync(file, { force: true });
  writeAtomic(spec, about);
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
