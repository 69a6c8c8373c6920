/** How much memory a model will take and how much there is, asked before a weight is read. */
import { readFileSync } from "node:fs";
import { freemem } from "node:os";
import { dirname, join } from "node:path";
import { bytesPer, sizeOf } from "../base/array.ts";
import { fail } from "../base/fail.ts";
import type { TensorInfo } from "../base/store.ts";

/** What the model is loaded for. */
export type Purpose = "ask" | "statistics" | "edit" | "train";

/** What a training keeps, beside the model that it begins from. */
export interface Training {
  /** Numbers that are trained. */
  readonly numbers: number;
  /** Bytes that a pass keeps for the way back. */
  readonly pass: number;
}

export interface MemoryNeed {
  readonly purpose: Purpose;
  /** The weights as they will be resident, in bytes: halves stay halves, everything quantised becomes float32. */
  readonly weights: number;
  /** What the work takes on top: packed copies, gradients, activations, the runtime. */
  readonly work: number;
  readonly total: number;
}

export interface MemoryHave {
  readonly bytes: number;
  /** Who sets the limit. */
  readonly limit: "the system" | "the control group" | "the address space (ulimit -v)" | "the setting";
}

const MB = 1e6;

/** Per purpose: copies of the float32 weights beside themselves, float32 numbers kept a trained one, and a fixed allowance for runtime and activations. */
const WORK: Readonly<Record<Purpose, { readonly copies: number; readonly perTrained: number; readonly fixed: number }>> = {
  ask: { copies: 1, perTrained: 0, fixed: 300 * MB },
  statistics: { copies: 1, perTrained: 0, fixed: 500 * MB },
  edit: { copies: 1, perTrained: 0, fixed: 700 * MB },
  train: { copies: 0, perTrained: 4, fixed: 300 * MB }, // its gradient in the engine and out of it, two moments; itself is in the place of the one loaded
};

/**
 * Estimates bytes for a checkpoint's tensors and a purpose; an upper guess, not a promise. Halves become float32 where all weights
 * as float32 take at most `widenUpTo` bytes. A training of which nothing is known trains every weight, on short rows.
 */
export function estimateMemory(
  checkpoint: { readonly tensors: ReadonlyMap<string, Pick<TensorInfo, "dtype" | "shape">> },
  about: { readonly purpose: Purpose; readonly training?: Training; readonly widenUpTo?: number },
): MemoryNeed {
  const { copies, perTrained, fixed } = WORK[about.purpose];
  const tensors = [...checkpoint.tensors.values()];
  const parameters = tensors.reduce((sum, { shape }) => sum + sizeOf(shape), 0);
  const least = 4 * parameters <= (about.widenUpTo ?? 0) ? 4 : 0; // bytes a number takes at least
  let weights = 0;
  let full = 0; // of them held in float32
  for (const { dtype, shape } of tensors) {
    const each = Math.max(least, bytesPer(dtype));
    weights += each * sizeOf(shape);
    if (each === 4) full += each * sizeOf(shape);
  }
  const { numbers, pass } = about.training ?? { numbers: parameters, pass: 400 * MB };
  const work = copies * full + (perTrained > 0 ? 4 * perTrained * numbers + pass : 0) + fixed;
  return { purpose: about.purpose, weights, work, total: weights + work };
}

/** Bytes this process may still take: the given setting (such as "8GB"), else the least of what the system and its control groups leave. */
export function availableMemory(given: { readonly setting?: string | undefined; readonly root?: string } = {}): MemoryHave {
  if (given.setting) return { bytes: parseBytes(given.setting, "LETHE_MEMORY"), limit: "the setting" };
  const root = given.root ?? "/";
  const meminfo = readText(join(root, "proc/meminfo"))?.match(/^MemAvailable:\s+(\d+) kB/m)?.[1];
  const system = meminfo ? Number(meminfo) * 1024 : freemem();
  const group = groupMemory(root);
  const limits: MemoryHave[] = [
    { bytes: system, limit: "the system" },
    { bytes: group ?? Infinity, limit: "the control group" },
    { bytes: addressesLeft(root) ?? Infinity, limit: "the address space (ulimit -v)" },
  ];
  return limits.reduce((least, one) => (one.bytes < least.bytes ? one : least));
}

/** Half of what a limit of the address space leaves: threads and allocators reserve about as much as they use. */
function addressesLeft(root: string): number | undefined {
  const most = Number(/^Max address space\s+(\d+)/m.exec(readText(join(root, "proc/self/limits")) ?? "")?.[1] ?? NaN);
  const used = Number(/^VmSize:\s+(\d+) kB/m.exec(readText(join(root, "proc/self/status")) ?? "")?.[1] ?? NaN);
  const left = (most - 1024 * used) / 2;
  return Number.isNaN(left) ? undefined : Math.max(0, left);
}

/** Throws (`memory`) with advice when the need is more than there is, unless forced. */
export function refuseIfTooLarge(who: string, need: MemoryNeed, have: MemoryHave, force = false): void {
  if (force || need.total <= have.bytes) return;
  const parts = `${showBytes(need.weights)} of weights and ${showBytes(need.work)} to work in`;
  fail(
    who,
    `about ${showBytes(need.total)} of memory are needed to ${VERBS[need.purpose]} (${parts}) and ${showBytes(have.bytes)} are left by ${have.limit}`,
    "more memory or a smaller model",
    `${ADVICE[need.purpose] ?? ""}Take a smaller model or one stored in F16 or BF16, close other programs, or go on regardless with --force.`,
    "memory",
  );
}

const VERBS: Readonly<Record<Purpose, string>> = {
  ask: "ask the model",
  statistics: "gather statistics",
  edit: "edit the model",
  train: "train the model",
};

const ADVICE: Readonly<Partial<Record<Purpose, string>>> = {
  train: "Train fewer blocks (--set layers=), low-rank factors (--set rank=8) or fewer tokens at once (--set budget=512). ",
};

/** Bytes for people, in powers of ten. */
export function showBytes(bytes: number): string {
  const [unit, name] = bytes >= 1e9 ? [1e9, "GB"] : bytes >= 1e6 ? [1e6, "MB"] : [1e3, "kB"];
  const value = bytes / Number(unit);
  return `${value >= 10 ? Math.round(value) : value.toFixed(1)} ${name}`;
}

const UNITS: Readonly<Record<string, number>> = {
  "": 1,
  k: 1e3,
  m: 1e6,
  g: 1e9,
  t: 1e12,
  ki: 2 ** 10,
  mi: 2 ** 20,
  gi: 2 ** 30,
  ti: 2 ** 40,
};

/** Reads "8GB", "8 GiB", "512M" or plain bytes; refuses anything else, naming `what`. */
export function parseBytes(text: string, what: string): number {
  const match = text.trim().match(/^(\d+(?:\.\d+)?)\s*([kmgt]?i?)b?$/i);
  const unit = match && UNITS[match[2]!.toLowerCase()];
  return unit ? Math.floor(Number(match[1]) * unit) : fail(what, `"${text}"`, "an amount such as 8GB, 512MiB or 4000000000", "");
}

/** What the tightest control group above this process leaves, version 2 or 1; undefined where none limits memory. */
function groupMemory(root: string): number | undefined {
  let least: number | undefined;
  const consider = (limit: string | undefined, usage: string | undefined, stat: string | undefined): void => {
    const max = Number(limit?.trim() || NaN); // version 2 writes "max", version 1 a number near 2^63, for none
    if (!(max < 2 ** 53)) return;
    const cache = Number(stat?.match(/^(?:total_)?inactive_file (\d+)/m)?.[1] ?? 0); // page cache, given back on demand
    const left = Math.max(0, max - Math.max(0, Number(usage?.trim() ?? 0) - cache));
    least = Math.min(least ?? Infinity, left);
  };
  for (const line of (readText(join(root, "proc/self/cgroup")) ?? "").split("\n")) {
    const [, controllers, path] = line.match(/^\d+:([^:]*):(.*)$/) ?? [];
    if (path === undefined || (controllers !== "" && !controllers!.split(",").includes("memory"))) continue;
    const base = join(root, "sys/fs/cgroup", controllers ? "memory" : "");
    for (let at = path; ; at = dirname(at)) {
      const read = (name: string): string | undefined => readText(join(base, at, name));
      if (controllers) consider(read("memory.limit_in_bytes"), read("memory.usage_in_bytes"), read("memory.stat"));
      else consider(read("memory.max"), read("memory.current"), read("memory.stat"));
      if (at === "/" || at === "." || at === "") break;
    }
  }
  return least;
}

function readText(path: string): string | undefined {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return undefined;
  }
}
