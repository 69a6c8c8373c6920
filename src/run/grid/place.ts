/** Places in a grid file, and the refusal of a name that nothing has. */
import { fail, nearest } from "../../base/fail.ts";

/** The position of a part of the file: `FILE line 3 column 7`. */
export type Place = (path: readonly (string | number)[]) => string;

/** Refuses a name with the nearest known one. */
export function unknownIn(place: string, got: string, name: string, known: readonly string[]): never {
  const near = nearest(name, known);
  return fail(place, got, `one of ${known.join(", ")}`, near ? `Did you mean "${near}"?` : "");
}
