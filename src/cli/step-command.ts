/** A command from a step's declaration: its flags and their help come from the fields, and the spec from the flags. */
import { type Command, InvalidArgumentError, Option } from "commander";
import { type Declaration, type Field, flagName, type Fields, given, type NestedSpec } from "../run/fields.ts";
import { names, number, several } from "./command.ts";

/** Adds a flag for each field that has one, in the order of the fields. */
export function withFields(command: Command, { fields }: Declaration): Command {
  for (const [key, field] of Object.entries(fields)) if (field.flag !== false) command.addOption(optionOf(key, field));
  return command;
}

function optionOf(key: string, field: Field): Option {
  const { flag, kind, doc, choices, default: fallback } = field;
  const { short, value, shown } = flag || {};
  const placeholder = kind === "switch" ? "" : ` ${value ?? PLACEHOLDERS[kind] ?? "<text>"}`;
  const text = shown === undefined ? doc : `${doc} (${shown})`;
  const option = new Option(`${short ? `-${short}, ` : ""}--${flagName(key, field)}${placeholder}`, text);
  if (choices && kind === "text") option.choices([...choices]);
  else option.argParser(parserOf(field));
  if (kind !== "switch" && (typeof fallback === "string" || typeof fallback === "number")) option.default(fallback);
  return option;
}

const PLACEHOLDERS: Readonly<Record<string, string>> = {
  number: "<n>",
  numbers: "<n>",
  names: "<names>",
  map: "<key=value>",
  pathOrSpec: "<path>",
};

/** How a flag's text becomes the field's value; a flag that is given again adds to what it had. */
function parserOf({ kind, min, max, whole }: Field): (text: string, before: unknown) => unknown {
  const one = number(given({ min, max, whole }));
  switch (kind) {
    case "number":
      return one;
    case "numbers":
      return (text, before) => [...((before as readonly number[] | undefined) ?? []), ...text.split(",").map(one)];
    case "texts":
    case "grouped":
    case "edits":
      return (text, before) => several(text, before as readonly string[] | undefined);
    case "names":
      return (text, before) => names(text, before as readonly string[] | undefined).filter(Boolean);
    case "map":
      return (text, before) => ({ ...(before as object | undefined), ...pairOf(text) });
    default:
      return (text) => text;
  }
}

function pairOf(text: string): Readonly<Record<string, string>> {
  const at = text.indexOf("=");
  if (at < 1) throw new InvalidArgumentError("Wanted key=value, such as lr=1e-3.");
  return { [text.slice(0, at).trim()]: text.slice(at + 1).trim() };
}

/** The spec that a command line gives: the flags that belong to fields, and the model. */
export function specFrom({ name, fields }: Declaration, flags: Readonly<Record<string, unknown>>, model?: string): NestedSpec {
  const values = Object.entries(fields as Fields).map(([key, field]) => [key, flags[attributeOf(key, field)]]);
  return { step: name, ...given(Object.fromEntries(values) as Record<string, unknown>), ...(model !== undefined && { model }) };
}

/** How commander names a flag's value. */
const attributeOf = (key: string, field: Field): string =>
  flagName(key, field).replaceAll(/-(.)/g, (_, letter: string) => letter.toUpperCase());

/** How errors of a spec call a field on the command line. */
export const nameOnCommandLine =
  ({ fields }: Declaration) =>
  (key: string): string => {
    const field = (fields as Fields)[key];
    return field === undefined || field.flag === false ? key : `--${flagName(key, field)}`;
  };
