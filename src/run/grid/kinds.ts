/** Kinds of steps: steps of one kind take about the same time for a row. */
import { hash } from "../../base/hash.ts";
import { isRecord } from "../../base/store.ts";
import type { Field, NestedSpec } from "../fields.ts";
import { stepOf } from "../run.ts";

/** Whether a field's value says what kind of work a step does: names and switches do, inputs and numbers do not. */
const isOfKind = ({ kind, isInput }: Field): boolean => !isInput && ["text", "names", "switch"].includes(kind);

/** The kind of a step: its names and switches, and its model. */
export function kindOf(spec: NestedSpec): string {
  const { name, fields } = stepOf(spec.step);
  const own = Object.entries(fields).flatMap(([key, field]) => (isOfKind(field) && spec[key] !== undefined ? [[key, spec[key]]] : []));
  return hash(name, own, modelIn(spec) ?? null).slice(0, 16);
}

/** The model of a step as a path or an id; of a model that a step makes, the model that it begins with. */
export function modelIn(spec: NestedSpec): string | undefined {
  const { fields } = stepOf(spec.step);
  const key = Object.keys(fields).find((name) => fields[name]!.kind === "model");
  const model = key === undefined ? undefined : spec[key];
  if (isRecord(model)) return modelIn(model as unknown as NestedSpec);
  return typeof model === "string" ? model : undefined;
}
