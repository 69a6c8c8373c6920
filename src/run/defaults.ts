/** The defaults that a user may override: which method, target and attack run when none is named, and parameter values by model family. */
import { readFileSync } from "node:fs";

export interface Defaults {
  readonly method: string;
  readonly target: string;
  readonly attack: string;
  /** By family ("architecture/LAYERSxWIDTH") and method: values that our measurements chose; they replace the declared defaults. */
  readonly families: Readonly<Record<string, Readonly<Record<string, Readonly<Record<string, unknown>>>>>>;
}

export const defaults = JSON.parse(readFileSync(new URL("../methods/defaults.json", import.meta.url), "utf8")) as Defaults;
