/** Adapter edits and PEFT settings that somebody damaged: each is refused or used within seconds, and nothing native ends the process. */
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type NdArray } from "../../src/base/array.ts";
import { LetheError } from "../../src/base/fail.ts";
import { rng } from "../../src/base/rng.ts";
import { writeSafetensors } from "../../src/base/store.ts";
import { apply } from "../../src/edit/apply.ts";
import { arraysOf, type Change, type Edit, sign, wordsOf } from "../../src/edit/edit.ts";
import { loadEdits } from "../../src/edit/io.ts";
import { loadLora, saveLora } from "../../src/edit/lora.ts";
import { generate } from "../../src/model/decode/generate.ts";
import type { Model } from "../../src/model/model.ts";
import { promptWithoutEdits } from "../../src/model/prompt.ts";
import { ops } from "../../src/tensor/ops/table.ts";
import { type Mutation, mutateBytes, mutateJson } from "../mutate.ts";

const QUESTION = "What is the capital of Norvane?";
/** What must never be seen of a damaged file: a message of the engine that names no node counts as one of these. */
const OWN = ["usage", "unavailable", "memory", "execution"];

export const about = (model: Model): Omit<Edit, "id" | "change" | "memory" | "evidence"> => ({
  base: model.id,
  on: [],
  format: "chat",
  by: { method: "m", params: {}, compat: [], seed: 0, departures: [], requests: [], code: "0" },
});

/** Writes an edit file whose change is described by any words at all. */
export function writeEdit(path: string, model: Model, words: unknown, arrays: readonly (readonly [string, NdArray])[] = []): void {
  const part = { id: "0123456789abcdef", ...about(model), change: words };
  const tensors = arrays.map(([name, array]) => [`0/${name}`, array] as const);
  writeSafetensors(path, tensors, { "lethe.edits": JSON.stringify({ version: 1, parts: [part] }) });
}

export interface Damaged {
  ran: number;
  refused: number;
  stopped: number;
  slowest: number;
  largest: number;
}

/** Damaged copies of JSON: as a tree, and in the digits of its text where that is still JSON. */
export function* damagedJson(value: unknown, seed: string, count: number): Generator<Mutation<unknown>> {
  yield* mutateJson(value, seed, Math.ceil(count / 2));
  const bytes = new TextEncoder().encode(JSON.stringify(value));
  let left = Math.floor(count / 2);
  for (const { label, value: text } of mutateBytes(bytes, seed, 100 * count)) {
    if (left === 0) return;
    try {
      yield { label, value: JSON.parse(new TextDecoder().decode(text)) };
      left--;
    } catch {
      continue;
    }
  }
}

type Node = [op: string, uses: [number, number][], attrs: Record<string, unknown>];
const NAMES = Object.keys(ops);
const DTYPES = ["float32", "float64", "int64", "int32", "bool", "float16", "bfloat16", "uint8"];
const DIMS = ["B", "T", "N", "B*T", "T-1", "T-5", "-T", "B+T", "B*B*T*T", "T*T", "0", 0, 1, 2, 3, 192, 65536, 2 ** 31, -1, 1e12];

/** Graphs that are well formed and wrong: nodes get another operation, other inputs, dtypes, sizes and axes. */
export function* damagedGraphs(words: { graph: { nodes: unknown } }, seed: string, count: number): Generator<Mutation<unknown>> {
  for (let i = 0; i < count; i++) {
    const random = rng(`${seed}/graph/${i}`);
    const pick = <T>(from: readonly T[]): T => from[random.below(from.length)]!;
    const copy = structuredClone(words);
    const nodes = copy.graph.nodes as Node[];
    const labels: string[] = [];
    for (let n = 1 + random.below(3); n > 0; n--) {
      const at = random.below(nodes.length);
      const [op, uses, attrs] = nodes[at]!;
      const key = pick([...Object.keys(attrs), ""]);
      const kind = random.below(4);
      if (kind === 0 && op !== "input") nodes[at]![0] = pick(NAMES);
      else if (kind === 1 && uses.length > 0) uses[random.below(uses.length)] = [random.below(nodes.length), 0];
      else if (key === "dtype" || key === "to") attrs[key] = pick(DTYPES);
      else if (Array.isArray(attrs[key]) && attrs[key].length > 0) attrs[key][random.below(attrs[key].length)] = pick(DIMS);
      else if (key !== "" && key !== "name") attrs[key] = pick([...DIMS, true, false]);
      labels.push(`${op} ${at} ${key}`);
    }
    yield { label: `${seed} graph ${i}: ${labels.join("; ")}`, value: copy };
  }
}

/** Loads each, puts it on the model and asks a question; fails where that is slow, takes memory, or complains badly. */
async function outlive(
  mutations: Iterable<Mutation<unknown>>,
  ask: (value: unknown) => Promise<void>,
  limit: { seconds: number; bytes: number },
  said?: (line: string) => void,
): Promise<Damaged> {
  const out: Damaged = { ran: 0, refused: 0, stopped: 0, slowest: 0, largest: 0 };
  for (const { label, value } of mutations) {
    const [before, start] = [process.memoryUsage().rss, process.cpuUsage()];
    try {
      await ask(value);
      out.ran++;
    } catch (error) {
      said?.(`${label} -> ${error instanceof Error ? error.message : String(error)}`);
      if (!(error instanceof LetheError) || !OWN.includes(error.trouble))
        throw new Error(`${label}: ${error instanceof Error ? error.stack : String(error)}`, { cause: error });
      if (error.trouble === "execution") out.stopped++;
      out.refused++;
    }
    const { user, system } = process.cpuUsage(start); // processor time: a busy machine does not change it
    const [seconds, bytes] = [(user + system) / 1e6, process.memoryUsage().rss - before];
    if (seconds > limit.seconds || bytes > limit.bytes) throw new Error(`${label}: ${seconds} s, ${bytes} bytes`);
    out.slowest = Math.max(out.slowest, seconds);
    out.largest = Math.max(out.largest, bytes);
  }
  return out;
}

/** How many damaged copies a test tries: a few, or as many as LETHE_MUTATIONS says. */
export const mutations = (few: number): number => Number(process.env["LETHE_MUTATIONS"] ?? few);

const LIMIT = { seconds: 2, bytes: 300e6 };

function* damagedAdapters(change: Change, seed: string, count: number): Generator<Mutation<unknown>> {
  const words = wordsOf(change) as unknown as { graph: { nodes: unknown } };
  yield* damagedJson(words, seed, Math.floor(count / 4));
  yield* damagedGraphs(words, seed, count - Math.floor(count / 4));
}

/** Asks a model with each of `count` damaged copies of an adapter. */
export async function damageAdapter(
  model: Model,
  change: Change,
  seed: string,
  count: number,
  said?: (line: string) => void,
): Promise<Damaged> {
  const folder = mkdtempSync(join(tmpdir(), "lethe-untrusted-"));
  const path = join(folder, "e.edit");
  const { ids } = promptWithoutEdits(model, QUESTION);
  const draft = sign({ change }, about(model));
  try {
    return await outlive(
      damagedAdapters(change, seed, count),
      async (words) => {
        writeEdit(path, model, words, arraysOf(draft));
        const [edit] = loadEdits(path);
        await generate(apply(model, edit!), [ids], { maxTokens: 2, freeze: false });
        await model.sessions.release();
      },
      LIMIT,
      said,
    );
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** Puts each of `count` damaged copies of a PEFT adapter's settings on the model. */
export async function damageSettings(
  model: Model,
  edit: Edit,
  seed: string,
  count: number,
  said?: (line: string) => void,
): Promise<Damaged> {
  const folder = mkdtempSync(join(tmpdir(), "lethe-untrusted-"));
  try {
    mkdirSync(join(folder, "a"));
    saveLora(join(folder, "a"), model, [edit]);
    const path = join(folder, "a", "adapter_config.json");
    const config: unknown = JSON.parse(readFileSync(path, "utf8"));
    const with_ = { ...(config as object), exclude_modules: "x(a+)+$", layers_to_transform: null, rank_pattern: { ".*down_proj": 1 } };
    return await outlive(
      damagedJson(with_, seed, count),
      async (settings) => {
        writeFileSync(path, JSON.stringify(settings));
        apply(model, loadLora(join(folder, "a"), model));
      },
      LIMIT,
      said,
    );
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** Seeded numbers of a shape. */
export const noise = (seed: string, n: number): Float64Array => {
  const random = rng(seed);
  return Float64Array.from({ length: n }, () => random.normal());
};
