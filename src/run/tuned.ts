/** What is settled for everyone: the table of tuned values, and the version that goes into every record. */
import { readFileSync } from "node:fs";

export interface Tuned {
  readonly method: string;
  readonly target: string;
  readonly attack: string;
  /** By family ("architecture/LAYERSxWIDTH") and method: values that measurements chose over the sourced defaults. */
  readonly families: Readonly<Record<string, Readonly<Record<string, Readonly<Record<string, unknown>>>>>>;
}

const read = (path: string): unknown => JSON.parse(readFileSync(new URL(path, import.meta.url), "utf8"));

export const tuned = read("../methods/tuned.json") as Tuned;
export const version = (read("../../package.json") as { version: string }).version;
