/** Applying edits: a new model that shares every weight that no edit touches. */
import { asFloats, type NdArray } from "../base/array.ts";
import { type Context, defaultContext } from "../base/context.ts";
import { fail } from "../base/fail.ts";
import { type Model, withAdapter, withRewrites, withWeights } from "../model/model.ts";
import { type Format, formatOf } from "../model/prompt.ts";
import type { Delta, Edit } from "./edit.ts";
import { rewriteOf } from "./prompt.ts";

export interface ApplyOptions {
  /** How the model will be asked; another format than an edit's own warns. */
  readonly format?: Format;
  readonly warn?: (text: string) => void;
  /** Where a prompt edit's encoder is looked for. */
  readonly ctx?: Context;
}

/** The model with one edit on top. */
export const apply = (model: Model, edit: Edit, options: ApplyOptions = {}): Model => applyAll(model, [edit], options);

/**
 * The model with edits applied in order. Refuses an edit made for another model; warns where an edit was made upon others
 * than those under it here, or was made for chat and is used plain (or the other way).
 */
export function applyAll(model: Model, edits: readonly Edit[], options: ApplyOptions = {}): Model {
  const { format = formatOf(model), warn = () => {}, ctx = defaultContext() } = options;
  let out = model;
  const under: string[] = [];
  for (const edit of edits) {
    if (edit.base !== model.id)
      fail(
        "edit",
        `edit ${edit.id} was made for model ${edit.base.slice(0, 12)}`,
        `an edit for this one, ${model.id.slice(0, 12)}`,
        "Load the model it was made for, or make the edit again for this one.",
      );
    if (edit.on.join() !== under.join())
      warn(
        `edit ${edit.id} was made upon ${edit.on.length ? edit.on.join(", ") : "the unedited model"} and lies upon ${under.length ? under.join(", ") : "the unedited model"}`,
      );
    if (edit.format !== format)
      warn(`edit ${edit.id} was made for ${edit.format} prompts and is used with ${format} ones, where it may do little`);
    out = withChange(out, edit, ctx);
    under.push(edit.id);
  }
  return out;
}

function withChange(model: Model, { id, change }: Edit, ctx: Context): Model {
  if (change.kind === "adapter") return withAdapter(model, change);
  if (change.kind === "prompt") return withRewrites(model, [rewriteOf(model, change, ctx)]);
  const arrays = Object.entries(change.weights).map(([name, delta]) => {
    const before = model.weights.get(name) ?? fail("edit", `edit ${id} changes "${name}"`, "a weight of this model", "", "unavailable");
    return [name, changed(name, before, delta)] as const;
  });
  return withWeights(model, new Map(arrays));
}

/** A matrix with a change: summed in float64, stored in float32 (float64 where the change or the matrix is). */
export function changed(name: string, before: NdArray, delta: Delta): NdArray {
  const shape = before.shape;
  const misfit = (a: NdArray, wanted: readonly number[]): never =>
    fail(
      "edit",
      `a change of shape [${a.shape.join(", ")}] for "${name}" of shape [${shape.join(", ")}]`,
      `[${wanted.join(", ")}]`,
      "The edit file is damaged, or of another model.",
      "unavailable",
    );
  if ("value" in delta) return delta.value.shape.join() === shape.join() ? delta.value : misfit(delta.value, shape);
  const parts = "dense" in delta ? [delta.dense] : delta.outer;
  const isWide = before.dtype === "float64" || parts.some((a) => a.dtype === "float64");
  const out = Float64Array.from(asFloats(before, isWide ? "float64" : "float32").data);
  if ("dense" in delta) {
    if (delta.dense.shape.join() !== shape.join()) misfit(delta.dense, shape);
    const d = asFloats(delta.dense, "float64").data;
    for (let i = 0; i < out.length; i++) out[i]! += d[i]!;
  } else {
    const [left, right] = delta.outer;
    const [rows, columns] = shape as [number, number];
    const rank = left.shape[1] ?? 0;
    if (left.shape.join() !== [rows, rank].join()) misfit(left, [rows, rank]);
    if (right.shape.join() !== [rank, columns].join()) misfit(right, [rank, columns]);
    const [l, r] = [asFloats(left, "float64").data, asFloats(right, "float64").data];
    for (let i = 0; i < rows; i++)
      for (let k = 0; k < rank; k++) {
        const factor = l[i * rank + k]!;
        if (factor !== 0) for (let j = 0; j < columns; j++) out[i * columns + j]! += factor * r[k * columns + j]!;
      }
  }
  return isWide ? { dtype: "float64", shape, data: out } : { dtype: "float32", shape, data: Float32Array.from(out) };
}
