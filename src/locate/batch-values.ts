/** The values of a batch: searched a few at a time, each beginning where earlier searches ended, and kept in the cache. */
import { floats, type NdArray } from "../base/array.ts";
import { arrays } from "../base/codec.ts";
import { checkAbort } from "../base/context.ts";
import { hash } from "../base/hash.ts";
import { kept } from "../base/kept.ts";
import type { Declared } from "../base/schema.ts";
import type { Config } from "../model/arch/arch.ts";
import { type Model, stateOf } from "../model/model.ts";
import { type Matrix, matrix, sideBySide } from "../onnx/linalg.ts";
import { rowOf } from "./keys.ts";
import type { TokenizedRequest } from "./tokenized-requests.ts";
import { findValues, type Sought, type ValueOptions } from "./values.ts";

export interface ApartParam {
  apart: number;
}

/** The penalty that keeps shifts apart. Declared once; each method includes it in its own parameters. */
export const APART: Declared<ApartParam, Config> = {
  apart: {
    default: 0,
    doc: "weight of the penalty cos² between a shift and the mean of the earlier shifts of its batch or joint sequence; above 0, searches begin at zero",
    source: "docs/methods/sequences.md",
    min: 0,
  },
};

/** What is kept of a request so that its value can be written again: its rows, and what was found for it. */
export interface Earlier {
  /** The rows of each request; the first is the question alone. */
  readonly rows: readonly (readonly TokenPlace[])[];
  /** The sought values z [D, n] and their shifts [D, n]. */
  readonly z: Matrix;
  readonly shifts: Matrix;
}

/** The part of a row that a layer writes: its tokens, the subject's last one, and the target's first one. */
export type TokenPlace = Pick<TokenizedRequest, "ids" | "subject" | "first">;

/** Requests whose values are searched together: enough to keep the cores busy, few enough that a slow search delays few others. */
const TOGETHER = 8;

export interface BatchSearch extends Omit<ValueOptions, "site"> {
  /** What the values depend on besides model and rows. */
  readonly about: Readonly<Record<string, unknown>>;
  /** Begin at the mean of earlier shifts. */
  readonly isWarm: boolean;
  /** The requests before these, in the order in which they were found. */
  readonly earlier?: Earlier;
}

export interface BatchValues {
  /** The sought values [D, n] and their shifts [D, n], one column for each of `sought`. */
  readonly z: Matrix;
  readonly shifts: Matrix;
  readonly likelihood: readonly number[];
  readonly evaluations: number;
}

/**
 * The values z [D, n], one column for each request: the last layer's output at the subject of the question alone, plus the shift that was
 * found. With `isWarm`, a later search begins at the mean of the earlier shifts for the same target, or for any target: the shift towards a
 * refusal is similar for all subjects. Earlier requests count as if they stood before these in one batch. The cache keeps each group, so
 * that a stopped run continues to the same bytes.
 */
export async function batchValues(model: Model, sought: readonly Sought[], options: BatchSearch): Promise<BatchValues> {
  const { ctx, layer, about, isWarm, apart = 0, earlier } = options;
  const D = model.config.width;
  const [z, shifts] = [matrix(D, sought.length), matrix(D, sought.length)];
  const likelihood: number[] = [];
  let evaluations = 0;
  const base = stateOf(model);
  const means = meansFor(D, earlier);
  for (let from = 0; from < sought.length;) {
    checkAbort(ctx, "values");
    const place = (earlier?.rows.length ?? 0) + from;
    means.learnTo(place - (place % TOGETHER));
    const group = sought.slice(from, from + TOGETHER - (place % TOGETHER));
    const part = group.map((s): Sought => {
      const mean = means.of(s.rows);
      return mean ? { ...s, ...(apart > 0 ? { away: mean } : isWarm && { start: mean }) } : s;
    });
    const rows = part.map(({ rows, klRow }) => [...rows, ...(klRow ? [klRow] : [])].map((r) => [r.ids, r.subject, r.first]));
    const begun = hash(...part.map(({ start, away }) => ((start ?? away) ? floats((start ?? away)!, [D], "float64") : null)));
    const found = await kept(ctx, VALUES, [base, about, rows, begun, ctx.threads], FOUND, () => seek(model, part, options));
    for (const [i, own] of part.entries()) {
      const shift = rowOf(found.shift, i);
      for (let d = 0; d < D; d++) {
        z.data[d * sought.length + from + i] = Number(found.z.data[i * D + d]);
        shifts.data[d * sought.length + from + i] = shift[d]!;
      }
      likelihood.push(Number(found.nll.data[i]));
      means.add(own.rows, shift);
    }
    evaluations += Number(found.evaluations.data[0]);
    from += part.length;
    if (sought.length > TOGETHER)
      ctx.log({ kind: "progress", stage: "requests", done: from, total: sought.length, detail: `layer ${layer}` });
  }
  return { z, shifts, likelihood, evaluations };
}

/** Earlier requests and those found now, in their order. */
export const withEarlier = (earlier: Earlier | undefined, { z, shifts }: BatchValues, sought: readonly Sought[]): Earlier => ({
  rows: [...(earlier?.rows ?? []), ...sought.map((s) => s.rows)],
  z: earlier ? sideBySide(earlier.z, z) : z,
  shifts: earlier ? sideBySide(earlier.shifts, shifts) : shifts,
});

/** The means of the shifts that were learnt: of those for the same target; if there are none, of all; if there are none, none. */
interface Means {
  of(rows: Sought["rows"]): Float64Array | undefined;
  /** The next shift in order. */
  add(rows: readonly TokenPlace[], shift: Float64Array): void;
  /** Learns the shifts before the place `end`, which means then contain. */
  learnTo(end: number): void;
}

function meansFor(width: number, earlier: Earlier | undefined): Means {
  const known: { readonly target: string; readonly shift: Float64Array }[] = [];
  const found = new Map<string, { readonly sum: Float64Array; readonly count: number }>();
  const targetOf = ([alone]: readonly TokenPlace[]): string => alone!.ids.slice(alone!.first).join(" ");
  const ANY = "";
  let learnt = 0;
  const means: Means = {
    of: (rows) => {
      const seen = found.get(targetOf(rows)) ?? found.get(ANY);
      return seen?.sum.map((x) => x / seen.count);
    },
    add: (rows, shift) => void known.push({ target: targetOf(rows), shift }),
    learnTo: (end) => {
      for (; learnt < end; learnt++) {
        const { target, shift } = known[learnt]!;
        for (const name of [target, ANY]) {
          const { sum, count } = found.get(name) ?? { sum: new Float64Array(width), count: 0 };
          for (let d = 0; d < width; d++) sum[d]! += shift[d]!;
          found.set(name, { sum, count: count + 1 });
        }
      }
    },
  };
  const n = earlier?.rows.length ?? 0;
  earlier?.rows.forEach((rows, i) =>
    means.add(
      rows,
      Float64Array.from({ length: width }, (_, d) => earlier.shifts.data[d * n + i]!),
    ),
  );
  return means;
}

/** The name of the values in the cache. */
export const VALUES = "values";
const FOUND = arrays({ z: "float64", shift: "float64", nll: "float64", evaluations: "float64" });

async function seek(
  model: Model,
  part: readonly Sought[],
  options: Omit<ValueOptions, "site">,
): Promise<Record<"z" | "shift" | "nll" | "evaluations", NdArray>> {
  const values = await findValues(model, part, { ...options, site: "resid_post" });
  const D = model.config.width;
  return {
    z: floats(
      values.flatMap(({ h0, shift }) => Array.from(h0, (h, d) => h + shift[d]!)),
      [part.length, D],
      "float64",
    ),
    shift: floats(
      values.flatMap(({ shift }) => Array.from(shift)),
      [part.length, D],
      "float64",
    ),
    nll: floats(
      values.map((v) => v.evaluations.at(-1)!.rows[0]!),
      [part.length],
      "float64",
    ),
    evaluations: floats([values.reduce((n, v) => n + v.evaluations.length, 0)], [1], "float64"),
  };
}
