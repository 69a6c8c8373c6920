/** What filters, tests and functions see of the rendering that calls them. */
import type { Members } from "./members.ts";
import type { Meter } from "./meter.ts";
import type { Kwargs, Value } from "./values.ts";

export interface Env {
  readonly meter: Meter;
  readonly members: Members;
  /** Calls a filter by its name. */
  filter(name: string, value: Value, args: readonly Value[], kwargs: Kwargs): Value;
  /** Calls a test by its name. */
  test(name: string, value: Value, args: readonly Value[], kwargs: Kwargs): boolean;
}

export type FilterFunction = (env: Env, value: Value, args: readonly Value[], kwargs: Kwargs) => Value;
