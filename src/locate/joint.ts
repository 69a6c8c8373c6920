/**
 * Joint sequences: an edit keeps its sought values, so that a later edit can write all of them anew on the base. An edit on top is written
 * on the model that the earlier ones changed.
 */
import { ints, type NdArray } from "../base/array.ts";
import { fail } from "../base/fail.ts";
import type { Declared } from "../base/schema.ts";
import type { Carried } from "../edit/edit.ts";
import type { Config } from "../model/arch/arch.ts";
import type { Model } from "../model/model.ts";
import type { Matrix } from "../onnx/linalg.ts";
import type { Earlier, TokenPlace } from "./batch-values.ts";

export interface SequenceParam {
  sequence: string;
}

/** How the edits of a sequence are written. Declared once; each method includes it in its own parameters. */
export const SEQUENCE: Declared<SequenceParam, Config> = {
  sequence: {
    default: "on-top",
    choices: ["on-top", "joint"],
    doc: "how a later request of a sequence is written. on-top: on the model that the earlier ones changed; joint: its value is sought on the base, and all values so far are written anew",
    source: "docs/methods/sequences.md",
  },
};

export interface EveryParam {
  every: number;
}

/** How often a joint sequence is written anew. Declared once; each method that writes batches includes it in its own parameters. */
export const EVERY: Declared<EveryParam, Config> = {
  every: {
    default: 1,
    doc: "with sequence=joint: all values are written anew whenever their number is a multiple of this; in between, a request is written on top",
    source: "docs/methods/sequences.md",
    min: 1,
    whole: true,
  },
};

/** The model that a joint sequence is written on: without the drafts of this sequence. */
export const baseOf = (who: string, { model, previous }: { readonly model: Model; readonly previous?: Carried | undefined }): Model =>
  previous ? (previous.under ?? fail(who, "a later edit without the base of its sequence", "the base", "", "internal")) : model;

/** The arrays of earlier edits by name, with "joint." before it. Refuses edits that were written on top, because they keep no values. */
export function arraysIn<K extends string>(who: string, { memory = {} }: Carried, names: readonly K[]): Readonly<Record<K, NdArray>> {
  if (names.some((name) => !memory[`joint.${name}`]))
    fail(
      who,
      "sequence=joint after edits that keep no values, because they were written on top",
      "edits that were made with sequence=joint from the first one on",
      "Go on with --set sequence=on-top, or make the whole sequence anew with --set sequence=joint.",
      "unavailable",
    );
  return Object.fromEntries(names.map((name) => [name, memory[`joint.${name}`]!])) as Record<K, NdArray>;
}

/** Arrays as {@link arraysIn} finds them. */
export const asCarried = (arrays: Readonly<Record<string, NdArray>>): Record<string, NdArray> =>
  Object.fromEntries(Object.entries(arrays).map(([name, array]) => [`joint.${name}`, array]));

/** The requests of a joint sequence so far, with what was found for them; undefined before the first. */
export function earlierOf(who: string, previous: Carried | undefined): Earlier | undefined {
  if (!previous) return undefined;
  const { z, shifts, rows, tokens } = arraysIn(who, previous, ["z", "shifts", "rows", "tokens"]);
  const all: TokenPlace[][] = Array.from({ length: z.shape[1]! }, () => []);
  let from = 0;
  for (let r = 0; r < rows.shape[0]!; r++) {
    const [request, length, subject, first] = Array.from({ length: 4 }, (_, i) => Number(rows.data[4 * r + i])) as [
      number,
      number,
      number,
      number,
    ];
    const ids = Array.from({ length }, (_, i) => Number(tokens.data[from + i]));
    all[request]!.push({ ids, subject, first });
    from += length;
  }
  return { rows: all, z: z as Matrix, shifts: shifts as Matrix };
}

/**
 * What an edit of a joint sequence keeps: z [D, n], shifts [D, n], tokens int64 [T] of all rows one after the other, and rows int64 [R, 4]:
 * the index of the request, the number of tokens, the place of the subject, the place of the target.
 */
export const earlierAsArrays = ({ rows, z, shifts }: Earlier): Record<string, NdArray> => {
  const all = rows.flatMap((own, request) => own.map((row) => ({ ...row, request })));
  return asCarried({
    z,
    shifts,
    tokens: ints(all.flatMap(({ ids }) => ids)),
    rows: ints(
      all.flatMap(({ request, ids, subject, first }) => [request, ids.length, subject, first]),
      [all.length, 4],
    ),
  });
};
