/** Prompt edits at work: which of an edit's entries a question brings up. */
import type { NdArray } from "../base/array.ts";
import type { Context } from "../base/context.ts";
import { fail } from "../base/fail.ts";
import { hash } from "../base/hash.ts";
import { namedEncoder } from "../model/encoders.ts";
import { cosine, type Encoder } from "../text/encoder.ts";
import type { Model, Rewrite } from "../model/model.ts";
import { arraysOf, type PromptChange, type PromptEntry, wordsOf } from "./edit.ts";

/** What an edit puts before a question; its encoder is looked for when the first question comes, and opened once. */
export function rewriteOf(model: Model, change: PromptChange, ctx: Context): Rewrite {
  let opening: Promise<Encoder> | undefined;
  const encoder = (): Promise<Encoder> => {
    opening ??= namedEncoder(model, change.encoder, ctx).catch((error: unknown) => {
      opening = undefined; // it may be there by the next question
      throw error;
    });
    return opening;
  };
  const before: Rewrite["before"] = async (question) => {
    const { select } = change;
    const entries = select === "all" ? change.entries : await nearestOf(change.entries, select.nearest, question, await encoder(), ctx);
    if (entries.length === 0) return undefined;
    return { shown: entries.flatMap((e) => e.shown), context: entries.map((e) => e.context).join(""), frame: change.frame };
  };
  return { id: hash(wordsOf(change), ...arraysOf({ change }).flat()), before };
}

async function nearestOf(
  entries: readonly PromptEntry[],
  most: number,
  question: string,
  encoder: Encoder,
  ctx: Context,
): Promise<readonly PromptEntry[]> {
  const asked = await encoder.embed([question], ctx);
  const found = entries.flatMap((entry, i) => {
    const near = similarity(asked, entry);
    return near >= entry.above! ? [{ i, near }] : [];
  });
  // of two equally near the later one speaks: it was made knowing the other
  const best = found.sort((a, b) => b.near - a.near || b.i - a.i).slice(0, most);
  return best.sort((a, b) => a.i - b.i).map(({ i }) => entries[i]!);
}

/** The cosine of a question with the nearest of an entry's keys. */
function similarity(question: NdArray, { key }: PromptEntry): number {
  const [rows, width] = key!.shape as [number, number];
  if (width !== question.shape[1])
    fail(
      "edit",
      `keys of width ${width} for an encoder of width ${question.shape[1]}`,
      "the same",
      "The edit file is damaged.",
      "unavailable",
    );
  return Math.max(...Array.from({ length: rows }, (_, r) => cosine(key!, r, question, 0)));
}
