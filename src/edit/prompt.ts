/** Applies prompt edits: chooses an edit's entries for a question. */
import type { NdArray } from "../base/array.ts";
import type { Context } from "../base/context.ts";
import { fail } from "../base/fail.ts";
import { hash } from "../base/hash.ts";
import { namedEncoder } from "../model/encoders.ts";
import { cosine, type Encoder } from "../text/encoder.ts";
import type { Model, Rewrite } from "../model/model.ts";
import { arraysOf, type PromptChange, type PromptEntry, wordsOf } from "./edit.ts";
import { BY_WORDS, nearness } from "./word-gate.ts";

/** The text that an edit puts before a question. Its encoder is searched for at the first question and opened once. */
export function rewriteOf(model: Model, change: PromptChange, ctx: Context): Rewrite {
  let opening: Promise<Encoder> | undefined;
  const encoder = (): Promise<Encoder> => {
    opening ??= namedEncoder(model, change.encoder, ctx).catch((error: unknown) => {
      opening = undefined; // it may be available at the next question
      throw error;
    });
    return opening;
  };
  const before: Rewrite["before"] = async (question) => {
    const { select, encoder: by } = change;
    const near = async (): Promise<Near> => (by === BY_WORDS ? inWords(question) : byEncoder(question, await encoder(), ctx));
    const entries = select === "all" ? change.entries : nearestOf(change.entries, select.nearest, await near());
    if (entries.length === 0) return undefined;
    const system = entries.flatMap((e) => e.system ?? []);
    return {
      shown: entries.flatMap((e) => e.shown),
      ...(system.length > 0 && { system }),
      context: entries.map((e) => e.context).join(""),
      frame: change.frame,
    };
  };
  return { id: hash(wordsOf(change), ...arraysOf({ change }).flat()), before };
}

/** The similarity of a question to an entry's own question. */
type Near = (entry: PromptEntry) => number;

const inWords =
  (question: string): Near =>
  ({ words }) =>
    nearness(words!, question);

async function byEncoder(question: string, encoder: Encoder, ctx: Context): Promise<Near> {
  const asked = await encoder.embed([question], ctx);
  return (entry) => similarity(asked, entry);
}

function nearestOf(entries: readonly PromptEntry[], most: number, nearTo: Near): readonly PromptEntry[] {
  const found = entries.flatMap((entry, i) => {
    const near = nearTo(entry);
    return near >= entry.above! ? [{ i, near }] : [];
  });
  // of two equally similar entries the later one is used: it was made on top of the other
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
