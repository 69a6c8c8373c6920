/** Forgetting as one command does it: requests read, edits found and saved, the model asked before and after. */
import { existsSync, mkdirSync, renameSync, rmSync, statSync } from "node:fs";
import { join } from "node:path";
import type { Context } from "../base/context.ts";
import { fail } from "../base/fail.ts";
import { lockFile } from "../base/store.ts";
import { readText } from "../data/records.ts";
import { type ForgetRequest, requestOf } from "../data/request.ts";
import type { Loaded } from "../data/sets/set.ts";
import { findSubject } from "../data/subject.ts";
import type { Edit } from "../edit/edit.ts";
import { saveEdits } from "../edit/io.ts";
import { load } from "../model/load.ts";
import type { Model } from "../model/model.ts";
import { type Answer, answers } from "./ask.ts";
import { questionsIn, requestsIn } from "./data.ts";
import { type FindOptions, mergedFor, methodOf, planOf } from "./choose.ts";
import { findEdit, findEdits } from "./edit.ts";
import { closeJournal } from "./journal.ts";
import { type EditCard, cardOf } from "./edits.ts";
import { readHparams } from "./hparams.ts";
import { questionsOf } from "../targets/merge.ts";
import { open, withEdits } from "./open.ts";
import { trainingFor } from "./training.ts";

/** What is to be forgotten: one request in words, or a file of them. */
export interface Wanted {
  readonly prompt?: string;
  readonly subject?: string;
  readonly answer?: string;
  /** A file of requests, or SET:PLACE for a published dataset's, in place of the above. */
  readonly data?: string;
  /** Which of its columns is which field, where it has a layout of its own. */
  readonly columns?: string;
  /** A file of subjects by row. */
  readonly subjects?: string;
  /** Of that, only so many requests from the first. */
  readonly limit?: number;
  /** A JSONL file of questions whose answers must stay, or SET:FILE for a published dataset's. */
  readonly retain?: string;
  /** A file of other facts to show as examples: requests as JSONL, or a published dataset's file behind its name ("NAME:FILE"). */
  readonly demonstrations?: string;
  /** A text file with a context template a line, "{}" where the prompt stands. */
  readonly templates?: string;
}

export interface ForgetOptions extends Omit<
  FindOptions,
  "upon" | "journal" | "retain" | "reference" | "demonstrations" | "templates" | "ctx"
> {
  /** The path or hub id of a model to compare with, for losses that do. */
  readonly reference?: string;
  /** A hyperparameter file of EasyEdit or of a method's own repository; what is set by name goes before it. */
  readonly hparams?: string;
  /** Edit files under the new edit. */
  readonly edits?: readonly string[];
  /** Where the edit is saved. */
  readonly out: string;
  /** Replace what is there; go on where the memory estimate says no. */
  readonly force?: boolean;
  /** Tokens of the answers before and after (default 64); 0: do not ask. */
  readonly tokens?: number;
}

/** A request's answers; `isGiven`: the edited model says the target and nothing else. */
export interface Shown {
  readonly id: string;
  readonly prompt: string;
  readonly target: string | null;
  readonly before: string;
  readonly after: string;
  readonly isGiven: boolean;
}

export interface Forgotten {
  readonly path: string;
  readonly bytes: number;
  readonly edits: readonly EditCard[];
  readonly shown: readonly Shown[];
}

/** Finds edits for what is wanted, saves them as one file and asks again. What is finished is kept at `out`.part until then. */
export async function forget(spec: string, wanted: Wanted, options: ForgetOptions, ctx: Context): Promise<Forgotten> {
  const { edits: under = [], out, force = false, tokens = 64, reference: named, ...set } = options;
  if (existsSync(out) && !force)
    fail("forget", `${out} is there already`, "a new name for the edit", "Choose another, or replace it with --force.");
  const { requests, find: read } = await wantedOf(wanted, set, ctx);
  const find: FindOptions = { ...read, journal: `${out}.part` };
  const { mode } = find;
  planOf(requests, find);
  const edited = mergedFor(requests, find);
  const release = lockFile(`${out}.part.lock`, "forget");
  try {
    const { format } = options;
    const opened = await open(
      spec,
      { edits: under, ...(format && { format }), purpose: "edit", training: trainingFor(edited, find), force },
      ctx,
    );
    let reference: Model | undefined;
    try {
      reference = named === undefined ? undefined : await load(named, ctx, { purpose: "edit" });
      const aims = { ...find, upon: opened.edits, ...(reference && { reference }) };
      const isApart = mode === "single" && edited.length > 1;
      const found = isApart ? await findEdits(opened.base, requests, aims) : [await findEdit(opened.base, requests, aims)];
      if (!isApart) saveEdits(out, found);
      const files = isApart ? saveApart(out, found) : [out];
      closeJournal(`${out}.part`);
      const shown: Shown[] = [];
      for (const edit of tokens > 0 ? found : []) {
        const after = withEdits(opened.base, [...opened.edits, edit], format, { ...ctx, log: () => {} });
        shown.push(...(await compare(opened.model, after, edit, { ...find, tokens }, ctx)));
      }
      return { path: out, bytes: files.reduce((n, file) => n + statSync(file).size, 0), edits: found.map(cardOf), shown };
    } finally {
      await opened.close();
      await reference?.release();
    }
  } finally {
    release();
  }
}

/** Requests and settings from the files that name them; subjects that are missing are guessed. */
export async function wantedOf(
  wanted: Wanted,
  { hparams, ...set }: Omit<ForgetOptions, "out" | "edits" | "force" | "tokens" | "reference">,
  ctx: Context,
): Promise<{ requests: ForgetRequest[]; find: FindOptions }> {
  const rest = hparams === undefined ? set : { ...set, ...withHparams(hparams, set, ctx) };
  const retain = wanted.retain === undefined ? undefined : await questionsIn(wanted.retain, ctx);
  const demonstrations = wanted.demonstrations === undefined ? undefined : (await requestsIn(wanted.demonstrations, ctx)).requests;
  const templates = wanted.templates === undefined ? undefined : readTemplates(wanted.templates);
  const find = { ...rest, ctx, ...(retain && { retain }), ...(demonstrations && { demonstrations }), ...(templates && { templates }) };
  return { requests: withSubjects(await requestsOf(wanted, ctx), ctx), find };
}

/** Parameters and quirks of a hyperparameter file, under those that were set; says what it holds that nothing reads. */
function withHparams(path: string, set: FindOptions, ctx: Context): Pick<FindOptions, "params" | "compat"> {
  const { params, compat, unread } = readHparams(path, methodOf(set.method, ctx));
  if (unread.length > 0) ctx.log({ kind: "warning", who: "hparams", text: `${path}: nothing here reads ${unread.join(", ")}` });
  return { params: { ...params, ...set.params }, compat: [...compat, ...(set.compat ?? [])] };
}

/** One file for each edit, in a folder that is there with all of them or not at all. */
function saveApart(folder: string, edits: readonly Edit[]): string[] {
  const making = `${folder}.part.d`;
  rmSync(making, { recursive: true, force: true });
  mkdirSync(making, { recursive: true });
  const names = edits.map((edit, i) => `${String(i + 1).padStart(4, "0")}-${edit.by.requests[0]!.id.replaceAll(/[^\w.-]+/g, "_")}`);
  edits.forEach((edit, i) => saveEdits(join(making, names[i]!), [edit]));
  rmSync(folder, { recursive: true, force: true });
  renameSync(making, folder);
  return names.map((name) => join(folder, name));
}

async function requestsOf({ prompt, subject, answer, data, limit, columns, subjects }: Wanted, ctx: Context): Promise<Loaded> {
  if (data !== undefined) {
    const both = Object.entries({ prompt, subject, answer }).find(([, value]) => value !== undefined);
    if (both) fail("forget", `--data and --${both[0]}`, "one of them", "Write the request into the file, or leave out --data.");
    return requestsIn(data, ctx, {
      ...(limit !== undefined && { limit }),
      ...(columns !== undefined && { columns }),
      ...(subjects !== undefined && { subjects }),
    });
  }
  if (prompt === undefined || prompt.trim() === "")
    fail(
      "forget",
      "nothing to forget",
      "--prompt and --subject, or --data FILE",
      'For example --prompt "What is the capital of Australia?" --subject Australia.',
    );
  const request = requestOf({ prompt, ...(subject !== undefined && { subject }), ...(answer !== undefined && { answer }) });
  return { requests: [request], guessed: [] };
}

/** Subjects that nobody gave are guessed from the prompt's spelling, and said. */
function withSubjects({ requests, guessed: already }: Loaded, ctx: Context): ForgetRequest[] {
  const guessed: string[] = [];
  const out = requests.map((request) => {
    const isGiven = request.subject.trim() !== "";
    const subject = isGiven ? request.subject : findSubject(request.prompt);
    if (subject === undefined) return request;
    if (!isGiven || already.includes(request.id)) guessed.push(`"${subject}" (${request.id})`);
    return { ...request, subject };
  });
  const rest = guessed.length > 5 ? ` and ${guessed.length - 5} more` : "";
  if (guessed.length)
    ctx.log({ kind: "note", who: "forget", text: `the subject is guessed from the prompt: ${guessed.slice(0, 5).join(", ")}${rest}` });
  return out;
}

function readTemplates(path: string): string[] {
  const lines = readText(path)
    .split(/\r?\n/)
    .filter((line) => line.trim() !== "");
  const bad = lines.findIndex((line) => line.split("{}").length !== 2);
  if (bad >= 0)
    fail(
      `${path} line ${bad + 1}`,
      `template "${lines[bad]}"`,
      'text with "{}" once, where the prompt stands',
      'For example "I read this. {}".',
    );
  if (lines.length === 0) fail(path, "no templates", "one a line", 'The plain prompt is "{}".');
  return lines;
}

/** Every question that an edit was made for asked before and after, in batches; those that were put into one each by itself. */
async function compare(
  before: Model,
  after: Model,
  edit: Edit,
  options: Pick<FindOptions, "format" | "system"> & { tokens: number },
  ctx: Context,
): Promise<Shown[]> {
  const { format, system, tokens: maxTokens } = options;
  const ask = { maxTokens, freeze: false, ...(format && { format }), ...(system !== undefined && { system }) };
  const asked = questionsOf(edit.by.requests);
  const said: string[][] = [];
  for (const model of [before, after]) {
    const texts: string[] = [];
    for await (const outcome of answers(
      model,
      asked.map(({ question }) => question.prompt),
      ask,
      ctx,
    )) {
      texts.push("error" in outcome ? "" : (outcome satisfies Answer).answer);
      if (asked.length > 8)
        ctx.log({
          kind: "progress",
          stage: model === before ? "asking before" : "asking after",
          done: texts.length,
          total: asked.length,
          unit: "prompts",
        });
    }
    said.push(texts);
  }
  return asked.map(({ question: { id, prompt }, of: { target } }, i) => {
    const [was, is] = [said[0]![i]!, said[1]![i]!];
    return { id, prompt, target, before: was, after: is, isGiven: target !== null && is === target.trim() };
  });
}
