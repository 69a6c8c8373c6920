/** Cells of a table while it is made: of text, of the values of some runs, and of nothing. */
import type { Gathered } from "./gather.ts";
import type { TableCell } from "./record.ts";

const EMPTY = { values: [], before: [], wanted: 0, absent: [], lacks: [], interval: null, questions: 0, seeds: 0 } as const;

/** There is no such value. */
export const NOTHING: TableCell = EMPTY;

export const textCell = (text: string): TableCell => ({ ...EMPTY, text });

/** The values of some runs, and why others have none. */
export const cellWith = ({ wanted, absent }: Pick<Gathered, "wanted" | "absent">, values: readonly number[]): TableCell => ({
  ...EMPTY,
  values,
  wanted,
  absent,
});
