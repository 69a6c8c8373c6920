/** Applying edits: a new model that shares every weight that no edit touches. */
import { asFloats, type NdArray } from "../base/array.ts";
import { type Context, defaultContext } from "../base/context.ts";
import { fail } from "../base/fail.ts";
import { type Model, withAdapter, withRewrites, withWeights } from "../model/model.ts";
import { type Format, formatOf } from "../model/prompt.ts";
import type { WeightName } from "../model/names.ts";
import { type Change, type Delta, type Edit, type Outer, strangersIn } from "./edit.ts";
import { rewriteOf } from "./prompt.ts";

export interface ApplyOptions {
  /** The format of prompts. A warning is given if an edit was made for another format. */
  readonly format?: Format;
  readonly warn?: (text: string) => void;
  /** The folder in which a prompt edit's encoder is searched for. */
  readonly ctx?: Context;
}

/** The model with one edit on top. */
export const apply = (model: Model, edit: Edit, options: ApplyOptions = {}): Model => applyAll(model, [edit], options);

/**
 * The model with edits applied in order. Refuses an edit that was made for another model. Warns if an edit was made on top of other edits than
 * here, or if it was made for chat prompts and is used with plain ones (or the reverse).
 */
export function applyAll(model: Model, edits: readonly Edit[], options: ApplyOptions = {}): Model {
  const { format = formatOf(model), warn = () => {}, ctx = defaultContext() } = options;
  const stack = new Stack(model);
  for (const text of strangersIn(edits)) warn(text);
  const others = edits.filter((edit) => edit.format !== format);
  for (const { id, format: own } of others.slice(0, 3))
    warn(`edit ${id} was made for ${own} prompts and is used with ${format} ones, where it may do little`);
  if (others.length > 3) warn(`${others.length - 3} more edits were not made for ${format} prompts`);
  for (const edit of edits) {
    if (edit.base !== model.id)
      fail(
        "edit",
        `edit ${edit.id} was made for model ${edit.base.slice(0, 12)}`,
        `an edit for this one, ${model.id.slice(0, 12)}`,
        "Load the model it was made for, or make the edit again for this one.",
      );
    stack.put(edit, ctx);
  }
  return stack.whole();
}

/** The model with a change on top. */
export function withChange(model: Model, change: Change, ctx: Context): Model {
  const stack = new Stack(model);
  stack.put({ id: "", change }, ctx);
  return stack.whole();
}

/** A model with changes put on in order. Matrices that several of them change are kept once, and not one view of the model for each. */
class Stack {
  private model: Model;
  private matrices = new Map<WeightName, NdArray>();

  constructor(model: Model) {
    this.model = model;
  }

  put({ id, change }: Pick<Edit, "id" | "change">, ctx: Context): void {
    if (change.kind === "adapter") this.model = withAdapter(this.whole(), change);
    else if (change.kind === "prompt") this.model = withRewrites(this.whole(), [rewriteOf(this.model, change, ctx)]);
    else
      for (const [name, delta] of Object.entries(change.weights)) {
        const before =
          this.matrices.get(name) ??
          this.model.weights.get(name) ??
          fail("edit", `edit ${id} changes "${name}"`, "a weight of this model", "", "unavailable");
        this.matrices.set(name, changed(name, before, delta));
      }
  }

  /** The model with everything that was put on. */
  whole(): Model {
    if (this.matrices.size > 0) this.model = withWeights(this.model, this.matrices);
    this.matrices = new Map();
    return this.model;
  }
}

/** A matrix plus a change: summed in float64, stored in float32 (in float64 if the change or the matrix is float64). */
export function changed(name: string, before: NdArray, delta: Delta): NdArray {
  const { shape } = before;
  if ("value" in delta) return delta.value.shape.join() === shape.join() ? delta.value : misfit(name, shape, delta.value, shape);
  const isWide = isWideWith(before, "dense" in delta ? [delta.dense] : delta.outer);
  const out = numbersOf(before);
  if ("outer" in delta) addOuters(name, shape, out, [delta.outer]);
  else {
    if (delta.dense.shape.join() !== shape.join()) misfit(name, shape, delta.dense, shape);
    const d = asFloats(delta.dense, "float64").data;
    for (let i = 0; i < out.length; i++) out[i]! += d[i]!;
  }
  return isWide ? { dtype: "float64", shape, data: out } : { dtype: "float32", shape, data: Float32Array.from(out) };
}

/** A matrix's numbers in float64, to be added to. */
export const numbersOf = (matrix: NdArray): Float64Array =>
  Float64Array.from(asFloats(matrix, matrix.dtype === "float64" ? "float64" : "float32").data);

/** Whether a matrix is stored in float64 once these arrays are added to it. */
export const isWideWith = (before: NdArray, added: readonly NdArray[]): boolean => [before, ...added].some((a) => a.dtype === "float64");

/** Adds outer products to a matrix in place, one after the other. Each row is read once for all of them. */
export function addOuters(name: string, shape: readonly number[], numbers: Float64Array, outers: readonly Outer[]): void {
  const [rows, columns] = shape as [number, number];
  const parts = outers.map(([left, right]) => {
    const rank = left.shape[1] ?? 0;
    if (left.shape.join() !== [rows, rank].join()) misfit(name, shape, left, [rows, rank]);
    if (right.shape.join() !== [rank, columns].join()) misfit(name, shape, right, [rank, columns]);
    return { rank, l: asFloats(left, "float64").data, r: asFloats(right, "float64").data };
  });
  for (let i = 0; i < rows; i++)
    for (const { rank, l, r } of parts)
      for (let k = 0; k < rank; k++) {
        const factor = l[i * rank + k]!;
        if (factor !== 0) for (let j = 0; j < columns; j++) numbers[i * columns + j]! += factor * r[k * columns + j]!;
      }
}

const misfit = (name: string, shape: readonly number[], a: NdArray, wanted: readonly number[]): never =>
  fail(
    "edit",
    `a change of shape [${a.shape.join(", ")}] for "${name}" of shape [${shape.join(", ")}]`,
    `[${wanted.join(", ")}]`,
    "The edit file is damaged, or of another model.",
    "unavailable",
  );
