/** Edit files: shows their content, stacks them, and removes edits from a stack. */
import { existsSync, readdirSync, statSync } from "node:fs";
import { join } from "node:path";
import type { Context } from "../base/context.ts";
import { fail, LetheError } from "../base/fail.ts";
import { bytesOf, type Delta, type Edit, type MadeFor, type PromptChange, strangersIn } from "../edit/edit.ts";
import { saveEdits, without } from "../edit/io.ts";
import { holdOutput, refuseTaken } from "../base/store.ts";
import { readEdits } from "./open.ts";

/** The description of an edit, without its arrays. */
export interface EditCard {
  readonly id: string;
  readonly method: string;
  readonly base: string;
  readonly on: readonly string[];
  readonly format: "chat" | "plain";
  readonly requests: readonly MadeFor[];
  readonly params: Readonly<Record<string, unknown>>;
  readonly compat: readonly string[];
  readonly departures: readonly string[];
  readonly seed: number;
  readonly code: string;
  /** Bytes of its arrays. */
  readonly bytes: number;
  /** What it changes, such as "blocks.12.mlp.out by rank 1". */
  readonly changes: readonly string[];
  readonly evidence: Readonly<Record<string, unknown>>;
}

export interface Listed {
  readonly path: string;
  readonly bytes: number;
  readonly edits: readonly EditCard[];
}

/** The card of an edit. */
export function cardOf(edit: Edit): EditCard {
  const { id, base, on, format, by, evidence = {}, change } = edit;
  const { method, params, compat, departures, seed, code, requests } = by;
  const changes =
    change.kind === "prompt"
      ? [howAsked(change)]
      : change.kind === "adapter"
        ? [`${change.writes} rewritten while the model runs`]
        : Object.entries(change.weights).map(([name, delta]) => `${name} ${howOf(delta)}`);
  return { id, method, base, on, format, requests, params, compat, departures, seed, code, bytes: bytesOf(edit), changes, evidence };
}

function howAsked({ entries, encoder, select }: PromptChange): string {
  const what = `questions by ${entries.length} context${entries.length === 1 ? "" : "s"}`;
  if (select === "all") return `${what}, before every question`;
  return `${what}, the ${select.nearest === 1 ? "nearest" : `${select.nearest} nearest`} within its gate by ${encoder}`;
}

function howOf(delta: Delta): string {
  if ("outer" in delta) return `by rank ${delta.outer[0].shape[1]}`;
  return "dense" in delta ? "by a full difference" : "replaced";
}

/** The cards of a file, lowest first. */
export const showEdits = (path: string): EditCard[] => readEdits(path).map(cardOf);

/** The edit files of a folder; other files are left out. */
export function listEdits(folder: string): Listed[] {
  if (!existsSync(folder))
    fail("edits list", `there is no folder ${folder}`, "a folder with edits", "Make an edit: lethe forget MODEL ... -o edits/first.");
  const paths = readdirSync(folder, { withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(folder, entry.name))
    .sort();
  return paths.flatMap((path) => {
    try {
      return [{ path, bytes: statSync(path).size, edits: readEdits(path).map(cardOf) }];
    } catch (error) {
      if (error instanceof LetheError) return [];
      throw error;
    }
  });
}

/**
 * Writes a stack: the edits of several files in order, as one file. Refuses edits of different models. Warns if an edit was made on top of
 * other edits than here.
 */
export function stackEdits(paths: readonly string[], out: string, force: boolean, ctx: Context): EditCard[] {
  const edits = paths.flatMap(readEdits);
  const other = edits.find((edit) => edit.base !== edits[0]!.base);
  if (other)
    fail(
      "edits stack",
      `edit ${other.id} was made for model ${other.base.slice(0, 12)}, edit ${edits[0]!.id} for ${edits[0]!.base.slice(0, 12)}`,
      "edits of one model",
      "",
    );
  const ids = new Set<string>();
  const twin = edits.find(({ id }) => ids.size === ids.add(id).size);
  if (twin) fail("edits stack", `edit ${twin.id} twice`, "every edit once", "A stack that holds it need not be given with it.");
  warnOfOrder(edits, ctx);
  return write(edits, out, force);
}

/** Writes a stack without its last edits, or without one named by (the beginning of) its id. */
export function undoEdits(
  path: string,
  which: { readonly last: number } | { readonly id: string },
  out: string,
  force: boolean,
  ctx: Context,
): EditCard[] {
  const edits = readEdits(path);
  const left = without(edits, which);
  if (left.length === 0)
    fail(
      "edits undo",
      `${path} holds ${edits.length === 1 ? "one edit" : `${edits.length} edits`}`,
      "a stack of which something is left",
      "Without any edit the model is as it was: leave out --edit.",
    );
  warnOfOrder(left, ctx);
  return write(left, out, force);
}

function write(edits: readonly Edit[], out: string, force: boolean): EditCard[] {
  const output = holdOutput(out, "edits");
  try {
    if (existsSync(out) && !force) refuseTaken(out, "edits");
    output.put((making) => saveEdits(making, edits));
  } finally {
    output.release();
  }
  return edits.map(cardOf);
}

function warnOfOrder(edits: readonly Edit[], ctx: Context): void {
  for (const text of strangersIn(edits)) ctx.log({ kind: "warning", who: "edits", text: `${text}; it may do something else there` });
}
