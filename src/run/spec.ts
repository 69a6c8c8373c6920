/** Specs as JSON: their schema, and their values checked against a step's fields. */
import { z } from "zod";
import { fail, nearest } from "../base/fail.ts";
import type { Field, Fields, Kind, Values } from "./fields.ts";

const nestedSchema = z.looseObject({ step: z.string() });
const refSchema = z.union([z.string(), nestedSchema]);
const groupedSchema = z.strictObject({ group: z.string().optional(), data: refSchema });

/** What a field's value may be as JSON. */
export function schemaOf({ kind, choices, min, max, whole, doc }: Field): z.ZodType {
  const oneText = choices ? z.enum(choices as [string, ...string[]]) : z.string();
  let oneNumber = whole ? z.int() : z.number();
  if (min !== undefined) oneNumber = oneNumber.min(min);
  if (max !== undefined) oneNumber = oneNumber.max(max);
  const byKind: Readonly<Record<Kind, z.ZodType>> = {
    text: oneText,
    number: oneNumber,
    switch: z.boolean(),
    texts: z.array(z.string()),
    names: z.array(oneText),
    numbers: z.array(oneNumber),
    map: z.record(z.string(), z.unknown()),
    model: refSchema,
    edits: z.array(refSchema),
    pathOrSpec: refSchema,
    grouped: z.array(z.union([z.string(), groupedSchema])),
  };
  return byKind[kind].describe(doc);
}

/** JSON Schema of a step's spec. */
export function jsonSchemaOf(step: string, fields: Fields): Record<string, unknown> {
  const shape = Object.fromEntries(
    Object.entries(fields).map(([key, field]) => {
      const own = schemaOf(field);
      if (field.default !== undefined) return [key, own.default(field.default)];
      return [key, field.required ? own : own.optional()];
    }),
  );
  return z.toJSONSchema(z.strictObject({ step: z.literal(step), ...shape }), { io: "input" }) as Record<string, unknown>;
}

/**
 * The values of a spec: defaults filled in, everything checked. Refuses a key that the step does not have with the nearest one, a value of
 * the wrong kind with what is allowed, and a required field that is absent. `nameOf` says how an error calls a field.
 */
export function readValues<F extends Fields>(
  step: string,
  fields: F,
  spec: Readonly<Record<string, unknown>>,
  nameOf: (key: string) => string = (key) => key,
): Values<F> {
  const known = Object.keys(fields);
  for (const key of Object.keys(spec))
    if (key !== "step" && !Object.hasOwn(fields, key)) {
      const near = nearest(key, known);
      fail(step, `the spec has a key "${key}"`, `keys among ${known.join(", ")}`, near ? `Did you mean "${near}"?` : "");
    }
  const values = Object.entries(fields).map(([key, field]) => {
    const given = Object.hasOwn(spec, key) ? spec[key] : undefined;
    if (given === undefined || given === null) {
      if (field.required) fail(step, `no ${nameOf(key)}`, field.doc, `lethe ${step} --help has examples.`);
      return [key, field.default] as const;
    }
    if (!schemaOf(field).safeParse(given).success) fail(step, `${nameOf(key)} is ${brief(given)}`, wantedOf(field), `${field.doc}.`);
    return [key, given] as const;
  });
  return Object.fromEntries(values) as Values<F>;
}

const brief = (value: unknown): string => {
  const shown = JSON.stringify(value) ?? String(value);
  return shown.length > 80 ? `${shown.slice(0, 77)}...` : shown;
};

/** The allowed values of a field, in words. */
export function wantedOf({ kind, choices, min, max, whole }: Field): string {
  const from = min === undefined ? "" : max === undefined ? ` of at least ${min}` : ` from ${min} to ${max}`;
  const numeric = `${whole ? "whole number" : "number"}`;
  const words: Readonly<Record<Kind, string>> = {
    text: choices ? `one of ${choices.join(", ")}` : "a text",
    number: `a ${numeric}${from}`,
    switch: "true or false",
    texts: "a list of texts",
    names: choices ? `a list of ${choices.join(", ")}` : "a list of names",
    numbers: `a list of ${numeric}s${from}`,
    map: "a table of names and values",
    model: "a model's path or id, or the spec of a finetuning",
    edits: "a list of edit files, or of specs of forgetting",
    pathOrSpec: "a path or id, or a spec",
    grouped: "a list of [GROUP=]SPEC, or of objects with group and data",
  };
  return words[kind];
}
