/** Cells of a table with shares: of questions whose target was proven, and of answers that an attack recovers. */
import { mean } from "../../base/array.ts";
import { fail } from "../../base/fail.ts";
import { isRecord } from "../../base/store.ts";
import { rng } from "../../base/rng.ts";
import { layeredInterval, agreedShare, layerOf } from "../../eval/layers.ts";
import type { AttackRecord } from "../attack.ts";
import type { EditCard } from "../edits.ts";
import type { Proof } from "../proof.ts";
import { cellWith } from "./cell.ts";
import type { Gathered } from "./gather.ts";
import type { TableCell } from "./record.ts";
import type { Column } from "./report-schema.ts";

/** A value for each question of a run; a text says why there is none. */
type Shares = Readonly<Record<string, number>> | string;

/** The cell of a column `proof` or `recovered`: the mean over the questions of each run, with the interval over all of them. */
export function shareCell({ title, proof, share }: Column, of: Gathered): TableCell {
  const all = of.runs.map(({ record, seed }) => ({
    seed,
    shares: proof !== undefined ? provenIn(record.result, share!, title) : recoveredIn(record.result, share!, title),
  }));
  const found = all.flatMap(({ seed, shares }) => (typeof shares === "string" ? [] : [{ seed, shares }]));
  const seeds = new Map<string, Readonly<Record<string, number>>[]>();
  for (const { seed, shares } of found) seeds.set(seed, [...(seeds.get(seed) ?? []), shares]);
  const layers = new Map([...seeds].map(([seed, runs]) => [seed, layerOf(runs)]));
  const exact = proof !== undefined && found.length > 0 ? agreedShare(found.map(({ shares }) => shares)) : undefined;
  return {
    ...cellWith(
      of,
      found.map(({ shares }) => mean(Object.values(shares))),
    ),
    lacks: [...new Set(all.flatMap(({ shares }) => (typeof shares === "string" ? [shares] : [])))],
    interval: found.length === 0 ? null : (exact ?? layeredInterval(layers, rng(`table/${share!}`))),
    questions: new Set(found.flatMap(({ shares }) => Object.keys(shares))).size,
    seeds: seeds.size,
  };
}

/** Whether each question of some edits has the share; the ids of a merged request are those of its questions. */
function provenIn(result: unknown, share: string, title: string): Shares {
  const { proof, edits } = resultOf<{ proof: Proof | null; edits: readonly EditCard[] }>(result, "proof", title);
  if (proof === null) return "the method promises no target, or nothing was proven";
  const [again, unsaid] = [new Set(proof.again), new Set(proof.unsaid)];
  const stateOf = (request: string, question: string): string => (unsaid.has(question) ? "failed" : again.has(request) ? "again" : "first");
  return Object.fromEntries(
    edits.flatMap(({ requests }) =>
      requests.flatMap(({ id, merged }) =>
        (merged ?? [{ id }]).map((question) => [question.id, stateOf(id, question.id) === share ? 1 : 0] as const),
      ),
    ),
  );
}

/** The recovered part of each answer. */
function recoveredIn(result: unknown, share: string, title: string): Shares {
  const { requests } = resultOf<Pick<AttackRecord, "sweep" | "requests">>(result, "sweep", title);
  if (requests.length === 0) return "no request could be attacked";
  return Object.fromEntries(
    requests.map(({ id, recall, variants }) => {
      const recalls = variants.map((one) => one.recall);
      if (share === "direct") return [id, recall];
      if (share === "worst") return [id, Math.max(recall, ...recalls)];
      return [id, recalls.length > 0 ? mean(recalls) : recall];
    }),
  );
}

const resultOf = <T>(result: unknown, key: string, title: string): T =>
  isRecord(result) && key in result
    ? (result as T)
    : fail(
        "grid",
        `the step of "${title}" has no ${key}`,
        key === "proof" ? "a forgetting" : "an attack",
        "Name another step in the table.",
      );
