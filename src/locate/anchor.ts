/** The anchor: values that are longer than usual are shortened (NAS, arXiv:2602.02543). */
import { floats, mean, type NdArray } from "../base/array.ts";
import type { Context } from "../base/context.ts";
import type { Declared } from "../base/schema.ts";
import type { Carried } from "../edit/edit.ts";
import type { Config } from "../model/arch/arch.ts";
import { type Matrix, matrix } from "../onnx/linalg.ts";

export interface AnchorParam {
  anchor: number;
}

/** The anchor of values. Declared once; each method includes it in its own parameters. */
export const ANCHOR: Declared<AnchorParam, Config> = {
  anchor: {
    default: 0,
    doc: "a sought value that is longer than the mean norm of the values of the first so many requests is shortened to it; 0: no value is",
    source: "docs/methods/sequences.md (NAS, arXiv:2602.02543: the mean of 1000 other requests)",
    min: 0,
    whole: true,
  },
};

/** A value longer than this multiple of the mean is reported. */
const FAR = 2;

/** The name under which an edit stores the norms. */
const NORMS = "anchor";

interface AnchorJob {
  readonly params: AnchorParam;
  readonly requests: readonly { readonly id: string }[];
  readonly previous?: Carried;
  readonly ctx: Context;
}

/** The norms that earlier edits found, if they were written on top. */
export const earlierNorms = ({ previous }: Pick<AnchorJob, "previous">): readonly number[] =>
  Array.from((previous?.memory?.[NORMS]?.data as Float64Array | undefined) ?? []);

/**
 * The values [D, n] with long columns shortened. The last columns belong to the job's requests. A column that is longer than the mean norm
 * is rescaled to the mean norm. The mean is over the first `anchor` norms: `before`, then the norms of the columns. Also returns these norms
 * as an edit stores them. A warning names
 * each of the job's requests whose value was more than twice as long. If the anchor is 0, the values are returned as they are.
 */
export function anchored(
  who: string,
  { params: { anchor }, requests, ctx }: AnchorJob,
  values: Matrix,
  before: readonly number[] = [],
): { readonly values: Matrix; readonly memory: Readonly<Record<string, NdArray>> } {
  if (anchor === 0) return { values, memory: {} };
  const [D, n] = values.shape as [number, number];
  const own = Array.from({ length: n }, (_, i) => Math.hypot(...Array.from({ length: D }, (_, d) => values.data[d * n + i]!)));
  const first = [...before, ...own].slice(0, anchor);
  const usual = mean(first);
  const out = matrix(D, n, values.data.slice());
  for (const [i, length] of own.entries()) {
    if (length <= usual) continue;
    for (let d = 0; d < D; d++) out.data[d * n + i]! *= usual / length;
    const request = requests[i - (n - requests.length)];
    if (request && length > FAR * usual)
      ctx.log({
        kind: "warning",
        who,
        text: `${request.id}: the value (norm ${length.toFixed(1)}) is more than twice as long as usual (${usual.toFixed(1)}); it was shortened, and the request may stay as it was`,
      });
  }
  return { values: out, memory: { [NORMS]: floats(first, [first.length], "float64") } };
}
