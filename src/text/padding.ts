/** Rows of token ids as input arrays of programs: padded, with positions and masks. */
import { floats, ints, type NdArray } from "../base/array.ts";

export interface Rows {
  readonly tokens: NdArray; // int64 [B, T]
  readonly positions: NdArray; // int64 [B, T], counted from each row's first token
  readonly real: NdArray; // bool [B, T]
}

export interface Padding {
  /** Each row's first position; by default 0. */
  readonly starts?: readonly number[];
  /** Minimal length of the padded rows. */
  readonly atLeast?: number;
  /** Pads after a row get increasing positions instead of 0. */
  readonly counted?: boolean;
}

/** Pads rows to the longest, on one side; pads are masked. */
export function padded(rows: readonly (readonly number[])[], pad: number, side: "left" | "right", options: Padding = {}): Rows {
  const { starts = [], atLeast = 1, counted = false } = options;
  const T = Math.max(atLeast, ...rows.map((r) => r.length));
  const tokens = new Array<number>(rows.length * T).fill(pad);
  const positions = new Array<number>(rows.length * T).fill(0);
  const real = new Uint8Array(rows.length * T);
  rows.forEach((row, b) => {
    const start = b * T + (side === "left" ? T - row.length : 0);
    row.forEach((id, i) => {
      tokens[start + i] = id;
      positions[start + i] = (starts[b] ?? 0) + i;
      real[start + i] = 1;
    });
    if (counted) for (let i = row.length; i < T; i++) positions[start + i] = (starts[b] ?? 0) + i;
  });
  const shape = [rows.length, T];
  return { tokens: ints(tokens, shape), positions: ints(positions, shape), real: { dtype: "bool", shape, data: real } };
}

/** A predicted token: its position in the flattened rows of a batch, and its weight in the loss. */
export interface Label {
  readonly at: number;
  readonly label: number;
  readonly weight: number;
}

/** The label inputs of a program: "rows" and "labels" (int64 [M]) and "weights" [M]. */
export const labelFeeds = (places: readonly Label[], dtype: "float32" | "float64"): Record<"rows" | "labels" | "weights", NdArray> => ({
  rows: ints(places.map((p) => p.at)),
  labels: ints(places.map((p) => p.label)),
  weights: floats(
    places.map((p) => p.weight),
    [places.length],
    dtype,
  ),
});

/** Divides items into groups of similar length with at most `budget` padded tokens and at most `most` items. */
export function grouped<T>(items: readonly T[], lengthOf: (item: T) => number, budget: number, most = 64): T[][] {
  const groups: T[][] = [];
  let [group, longest]: [T[], number] = [[], 0];
  for (const item of [...items].sort((a, b) => lengthOf(b) - lengthOf(a))) {
    longest ||= lengthOf(item);
    if (group.length > 0 && ((group.length + 1) * longest > budget || group.length >= most)) {
      groups.push(group);
      [group, longest] = [[], lengthOf(item)];
    }
    group.push(item);
  }
  if (group.length > 0) groups.push(group);
  return groups;
}
