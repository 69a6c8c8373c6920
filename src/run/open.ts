/** Opens what a command names: a model, and edits on top of it. */
import { existsSync, readdirSync, statSync } from "node:fs";
import { basename, dirname, join, resolve } from "node:path";
import type { Context } from "../base/context.ts";
import { fail, nearest } from "../base/fail.ts";
import { applyAll } from "../edit/apply.ts";
import type { Edit } from "../edit/edit.ts";
import { loadEdits } from "../edit/io.ts";
import { isLora, openLora } from "../edit/lora.ts";
import { load, type LoadOptions } from "../model/load.ts";
import type { Model } from "../model/model.ts";
import { type Format, formatOf, promptOf } from "../model/prompt.ts";

export type { Model } from "../model/model.ts";
export type { Edit } from "../edit/edit.ts";

export interface OpenOptions extends Omit<LoadOptions, "tokenizer"> {
  /** Edit files and folders with a PEFT adapter, lowest first; a file may hold several edits. */
  readonly edits?: readonly string[];
  readonly format?: Format;
}

export interface Opened {
  /** The model as stored on disk. */
  readonly base: Model;
  /** The model with every edit; `base` itself if there are none. */
  readonly model: Model;
  readonly edits: readonly Edit[];
  close(): Promise<void>;
}

/** Reads edits first, so that a wrong file is refused before a weight is read; warnings about edits go to the log. */
export async function open(spec: string, { edits: paths = [], format, ...loading }: OpenOptions, ctx: Context): Promise<Opened> {
  const found = paths.map(foundAt);
  const say = (done: number): void => ctx.log({ kind: "progress", stage: `loading ${spec}`, done, total: 1 });
  say(0);
  const base = await load(spec, ctx, loading);
  say(1);
  try {
    const edits = found.flatMap((of) => of(base, format));
    const model = edits.length ? withEdits(base, edits, format, ctx) : base;
    if (model.rewrites?.length) await promptOf(model, "?", format ? { format } : {}); // a missing encoder is reported before the first question
    return { base, model, edits, close: () => base.release() };
  } catch (error) {
    await base.release();
    throw error;
  }
}

/** The content of a path, read without a model. An adapter becomes an edit of the model that it is opened with later. */
function foundAt(path: string): (base: Model, format: Format | undefined) => readonly Edit[] {
  if (isLora(path)) {
    const adapter = openLora(path);
    return (base, format) => [adapter(base, formatOf(base, format ? { format } : {}))];
  }
  const edits = readEdits(path);
  return () => edits;
}

/** The edits of a file, lowest first. Refuses a folder, and a missing path with the most similar existing one. */
export function readEdits(path: string): Edit[] {
  if (existsSync(path) && statSync(path).isDirectory())
    fail(
      "edit",
      `${path} is a folder${isLora(path) ? " with a PEFT adapter, which does not say for which model it is" : ""}`,
      "an edit file",
      isLora(path) ? "Give it with --edit where a model is named." : "A folder with a PEFT adapter has adapter_config.json in it.",
    );
  if (existsSync(path)) return loadEdits(path);
  const folder = dirname(resolve(path));
  const near = existsSync(folder) ? nearest(basename(path), readdirSync(folder)) : undefined;
  return fail(
    "edit",
    `there is no file ${path}`,
    "an edit that `lethe forget -o` made",
    near ? `Did you mean ${join(dirname(path), near)}?` : "",
    "usage",
  );
}

/** The model with edits applied, lowest first. Possible conflicts are logged as warnings. */
export const withEdits = (base: Model, edits: readonly Edit[], format: Format | undefined, ctx: Context): Model =>
  applyAll(base, edits, {
    format: formatOf(base, format ? { format } : {}),
    ctx,
    warn: (text) => ctx.log({ kind: "warning", who: "edit", text }),
  });
