/** The runs of a step at some points of a grid. */
import type { Finished } from "../run.ts";
import type { Point } from "./unfold.ts";

/** The state of a step. */
export interface Done {
  readonly state: "finished" | "failed" | "begun" | "open";
  readonly finished?: Finished;
  /** Why there is no result. */
  readonly reason?: string;
}
export type AllDone = ReadonlyMap<string, Done>;

/** The results of a step's runs, each once, with the seed of the first point that has it. */
export interface Gathered {
  readonly runs: readonly (Finished & { readonly seed: string })[];
  readonly wanted: number;
  readonly absent: readonly string[];
}

export function gather(step: string, points: readonly Point[], done: AllDone): Gathered {
  const seeds = new Map<string, string>();
  for (const { units, seed } of points) {
    const key = units[step]; // none where the step is left out
    if (key !== undefined && !seeds.has(key)) seeds.set(key, seed);
  }
  const all = [...seeds].map(([key, seed]) => ({ ...done.get(key)!, seed }));
  return {
    runs: all.flatMap(({ finished, seed }) => (finished ? [{ ...finished, seed }] : [])),
    wanted: all.length,
    absent: [...new Set(all.flatMap(({ finished, reason }) => (finished ? [] : [reason!])))],
  };
}
