/**
 * Dropout whose masks are made inside the program from two short vectors. It is resumable, because a mask is a function of seed, step and
 * micro-batch. It is cheap, because a mask of T · D elements needs only T + D numbers as input.
 *
 * Element (t, d) is kept where frac(a[t] + b[d]) ≥ rate, with a and b independent and uniform. Then every element is dropped with
 * probability `rate`, and any two are independent of each other (frac(a + b) is uniform whatever one of the two is), as are any three.
 * The four corners of a rectangle are not independent, nor are longer cycles of rows and columns: only there it differs from a mask drawn
 * element by element.
 *
 * Fractions are int32 and the sum wraps around, which is exact and the same in every precision.
 */
import { ndarray, type NdArray, sizeOf } from "../base/array.ts";
import { fail } from "../base/fail.ts";
import { rng } from "../base/rng.ts";
import { type Env, evaluate } from "../tensor/dim.ts";
import { type Graph, inputOf } from "../tensor/graph.ts";
import type { Tensor } from "../tensor/tensor.ts";

const PREFIX = "dropout.";
const ALL = 2 ** 32;

/**
 * Sets a share `rate` of the elements of x [..., D] to zero; the caller divides by 1 − rate. `name` and the shape of x identify the mask:
 * one name with two shapes gives two masks, with one shape the same mask twice.
 */
export function dropout(x: Tensor, rate: number, name: string): Tensor {
  if (!(rate >= 0 && rate < 1)) fail("dropout", `a rate of ${rate}`, "a number from 0 up to, not including, 1", "");
  if (rate === 0) return x;
  const sizes = x.shape.slice(0, -1);
  const t = x.trace;
  // with the role "weight", so that all blocks of a model give equal graphs
  const a = t.input(`${PREFIX}${[...sizes, "rows", name].join(".")}`, "int32", sizes, "weight").unsqueeze(sizes.length);
  const b = t.input(`${PREFIX}${["columns", name].join(".")}`, "int32", [x.dim(-1)], "weight");
  const least = t.constant(Math.round(rate * ALL) - ALL / 2, "int32");
  return least.lessOrEqual(a.add(b)).where(x, t.constant(0, x.dtype));
}

/** The position of a micro-batch in a run. */
export interface PassAt {
  readonly seed: string | number;
  readonly step: number;
  /** The micro-batch within the step. */
  readonly pass: number;
}

/** The mask inputs of a program for one micro-batch; `env` has the values of its symbols. Empty without dropout. */
export function dropoutFeeds(graph: Graph, { seed, step, pass }: PassAt, env: Env): Record<string, NdArray> {
  const chance = rng(seed).split("dropout").split(step).split(pass);
  const masks = graph.inputs.map(inputOf).filter(({ name }) => name.startsWith(PREFIX));
  return Object.fromEntries(
    masks.map(({ name, shape }) => {
      const sizes = shape.map((d) => evaluate(d, env));
      const own = chance.split(name);
      return [
        name,
        ndarray(
          "int32",
          sizes,
          Int32Array.from({ length: sizeOf(sizes) }, () => own.below(ALL)),
        ),
      ];
    }),
  );
}
