/** A training run's state on disk: one safetensors file per checkpoint with weights and moments, written atomically; the last two are kept. */
import { existsSync, readdirSync, rmSync } from "node:fs";
import { dirname, join } from "node:path";
import type { NdArray } from "../base/array.ts";
import { fail } from "../base/fail.ts";
import type { Hash } from "../base/hash.ts";
import { discard, isRecord, openSafetensors, parseJson, writeSafetensors } from "../base/store.ts";

/** The state of a run after a step; the step determines data order and learning rate. */
export interface State {
  /** Steps done. */
  readonly step: number;
  /** Weights by name, and moments as `MOMENT:NAME`. */
  readonly tensors: ReadonlyMap<string, NdArray>;
  /** The objective's scalars at each step so far, before its update; empty for a skipped step. */
  readonly outputs: readonly Outputs[];
}

/** An objective's scalars by name, "loss" among them. */
export type Outputs = Readonly<Record<string, number>>;

const VERSION = 2;
const KEPT = 2;
const NAME = /^step-(\d{8})\.safetensors$/;
const WHO = "train";

/** The checkpoints of a folder, newest last. */
export function checkpointsIn(folder: string): { step: number; path: string }[] {
  if (!existsSync(folder)) return [];
  return readdirSync(folder)
    .flatMap((name) => {
      const found = NAME.exec(name);
      return found ? [{ step: Number(found[1]), path: join(folder, name) }] : [];
    })
    .sort((a, b) => a.step - b.step);
}

/** Writes the state of run `run` and, unless all are kept, removes all but the last two; returns the path. */
export function saveState(folder: string, run: Hash, { step, tensors, outputs }: State, keepsAll = false): string {
  const path = join(folder, `step-${String(step).padStart(8, "0")}.safetensors`);
  writeSafetensors(path, tensors, { lethe: JSON.stringify({ version: VERSION, run, step, outputs }) });
  const older = checkpointsIn(folder).filter((c) => c.step <= step);
  for (const old of keepsAll ? [] : older.slice(0, -KEPT)) rmSync(old.path, { force: true });
  return path;
}

/** The newest state of run `run`; undefined if the folder has no checkpoints. Refuses those of another run. */
export function loadState(folder: string, run: Hash): State | undefined {
  const newest = checkpointsIn(folder).at(-1);
  return newest && read(newest, run, folder);
}

/** As {@link loadState}; a state that cannot be read is told to `lost` and removed, and the one before it is read. */
export function loadStateOr(folder: string, run: Hash, lost: (error: unknown) => void): State | undefined {
  for (const checkpoint of checkpointsIn(folder).reverse())
    try {
      return read(checkpoint, run, folder);
    } catch (error) {
      lost(error);
      discard(checkpoint.path);
    }
  return undefined;
}

/** The state in one file of a run, whichever it is. */
export function stateAt(path: string): State {
  const found = checkpointsIn(dirname(path)).find((c) => c.path === path);
  return read(
    found ?? fail(WHO, `${path} is not a checkpoint`, "a checkpoint of a training run", "", "unavailable"),
    undefined,
    dirname(path),
  );
}

function read(newest: { readonly step: number; readonly path: string }, run: Hash | undefined, folder: string): State {
  const file = openSafetensors(newest.path);
  try {
    const state = parseJson(file.metadata["lethe"] ?? "null", `the state in ${newest.path}`, WHO);
    if (!isRecord(state) || state["version"] !== VERSION || state["step"] !== newest.step || !Array.isArray(state["outputs"]))
      return fail(
        WHO,
        `${newest.path} is not a checkpoint of this version`,
        `a checkpoint of version ${VERSION}`,
        "Remove the folder to start again.",
        "unavailable",
      );
    if (run !== undefined && state["run"] !== run)
      return fail(
        WHO,
        `${folder} contains checkpoints of another run`,
        "checkpoints of this recipe, data and model",
        "Choose another folder, or remove this one to start again.",
      );
    return {
      step: newest.step,
      outputs: state["outputs"] as Outputs[],
      tensors: new Map([...file.tensors].map(([name, info]) => [name, info.read()])),
    };
  } finally {
    file.close();
  }
}
