/** Edit files: one safetensors file holds a stack of edits in order, each with its description; saved whole or not at all. */
import { z } from "zod";
import { ndarray, type NdArray, packBits, unpackBits, zeros } from "../base/array.ts";
import { fail } from "../base/fail.ts";
import { DEEPEST } from "../base/json.ts";
import { canonical } from "../base/hash.ts";
import { openSafetensors, parseJson, writeSafetensors } from "../base/store.ts";
import type { BlockSite } from "../model/names.ts";
import { graphOf } from "../tensor/inline.ts";
import { Bounds } from "../tensor/untrusted.ts";
import { arraysOf, type Change, type Delta, type Edit, wordsOf } from "./edit.ts";
import { BY_WORDS, type WordGate } from "./word-gate.ts";

const VERSION = 1;
const texts = z.array(z.string());
const site = z.custom<BlockSite>((text) => typeof text === "string" && /^blocks\.(0|[1-9]\d{0,5})\.\w+$/.test(text), "a site of a block");
const place = z.tuple([z.number().int().nonnegative(), z.number().int().nonnegative()]);
const adapter = z.object({
  kind: z.literal("adapter"),
  reads: z.array(site),
  writes: site,
  route: z.enum(["prefill", "every-call"]),
  graph: z.object({
    nodes: z.array(z.tuple([z.string(), z.array(place), z.record(z.string(), z.unknown())])),
    outputs: z.record(z.string(), place),
  }),
});
const prompt = z.object({
  kind: z.literal("prompt"),
  entries: z
    .array(
      z.object({
        shown: z.array(z.object({ asked: z.string(), said: z.string() })),
        system: z.array(z.string()).optional(),
        context: z.string(),
        words: z
          .object({ question: z.string(), subject: z.string(), telling: z.record(z.string(), z.number().min(0).max(1)).optional() })
          .optional(),
        above: z.number().optional(),
      }),
    )
    .min(1),
  frame: z.string(),
  encoder: z.string(),
  select: z.union([z.literal("all"), z.object({ nearest: z.int().min(1) })]),
});
const question = z.object({ id: z.string(), prompt: z.string(), subject: z.string(), answer: z.string() });
const part = z.object({
  id: z.string().regex(/^[0-9a-f]{16}$/),
  base: z.string().regex(/^[0-9a-f]{64}$/),
  on: texts,
  format: z.enum(["chat", "plain"]),
  by: z.object({
    method: z.string(),
    params: z.record(z.string(), z.unknown()),
    compat: texts,
    seed: z.number(),
    departures: texts,
    requests: z.array(
      question.extend({ target: z.string().nullable(), note: z.string().optional(), merged: z.array(question).optional() }),
    ),
    code: z.string(),
  }),
  change: z.discriminatedUnion("kind", [z.object({ kind: z.literal("delta") }), adapter, prompt]),
  /** Arrays that are mostly zeros, stored as a mask and the other elements. */
  sparse: z.record(z.string(), z.array(z.number().int().nonnegative())).optional(),
  evidence: z.record(z.string(), z.unknown()).optional(),
});
const file = z.object({ version: z.literal(VERSION), parts: z.array(part).min(1) });

/** Writes edits, lowest first, as one file. */
export function saveEdits(path: string, edits: readonly Edit[]): void {
  if (edits.length === 0) fail("edit", "an empty stack", "at least one edit", "");
  const arrays = edits.map((edit) => arraysOf(edit).map(packed));
  const parts = edits.map(({ id, base, on, format, by, change, evidence }, i) => {
    const sparse = Object.fromEntries(arrays[i]!.flatMap(({ name, shape }) => (shape ? [[name, shape]] : [])));
    return {
      id,
      base,
      on,
      format,
      by,
      change: wordsOf(change),
      ...(Object.keys(sparse).length > 0 && { sparse }),
      ...(evidence && { evidence }),
    };
  });
  const tensors = arrays.flatMap((own, i) => own.flatMap(({ stored }) => stored.map(([name, array]) => [`${i}/${name}`, array] as const)));
  writeSafetensors(path, tensors, { "lethe.edits": canonical({ version: VERSION, parts }) });
}

/** Reads an edit file; refuses one that is damaged, of another kind, or whose numbers are not finite. */
export function loadEdits(path: string): Edit[] {
  const opened = openSafetensors(path);
  try {
    const { parts } = describe(path, opened.metadata["lethe.edits"]);
    checkNodes(path, parts);
    const arrays = new Map([...opened.tensors].map(([name, t]) => [name, t.read()] as const));
    for (const [name, a] of arrays)
      if (a.dtype.startsWith("float") && !(a.data as Float32Array).every(Number.isFinite))
        fail("edit", `${path}: "${name}" holds NaN or infinity`, "finite numbers", "Make the edit again.", "unavailable");
    const stored = byPart([...arrays], parts.length);
    return parts.map(({ change, evidence, sparse = {}, ...about }, i) => {
      const own = unpacked(path, stored[i]!, sparse);
      const memory = under("memory", own);
      return {
        ...about,
        change: changeOf(path, change, own),
        ...(Object.keys(memory).length > 0 && { memory }),
        ...(evidence && { evidence }),
      };
    });
  } finally {
    opened.close();
  }
}

/** The largest number of graph nodes in all adapters of a file. Each node is compiled into every program of the edited model. */
const NODES = 3_000;

function checkNodes(path: string, parts: z.infer<typeof file>["parts"]): void {
  for (const { change } of parts) if (change.kind === "adapter") Bounds.checkLength(change.graph.nodes.length);
  const count = parts.reduce((sum, { change }) => sum + (change.kind === "adapter" ? change.graph.nodes.length : 0), 0);
  if (count > NODES) fail("edit", `${path} has adapters of ${count} nodes together`, `${NODES} at most`, "Apply fewer edits at a time.");
}

function describe(path: string, text: string | undefined): z.infer<typeof file> {
  const refuse = (what: string): never =>
    fail("edit", `${path} ${what}`, "an edit file that Lethe wrote", "Name the file that `lethe forget -o` made.", "unavailable");
  if (text === undefined) return refuse("holds tensors but no edit");
  const json = parseJson(text, `the description of ${path}`, "edit", { deepest: DEEPEST });
  const result = file.safeParse(json);
  return result.success
    ? result.data
    : refuse(`has a description that does not fit (${result.error.issues[0]!.path.join(".")}: ${result.error.issues[0]!.message})`);
}

type Stored = readonly (readonly [name: string, array: NdArray])[];

/** The arrays of each part, by their names in it; an array of no part is passed over. */
function byPart(arrays: Stored, count: number): Stored[] {
  const parts = Array.from({ length: count }, (): (readonly [string, NdArray])[] => []);
  for (const [name, array] of arrays) {
    const [, part, own] = /^(0|[1-9]\d*)\/([^]*)$/.exec(name) ?? [];
    if (own !== undefined) parts[Number(part)]?.push([own, array]);
  }
  return parts;
}

const under = (folder: string, arrays: Stored): Record<string, NdArray> =>
  Object.fromEntries(arrays.filter(([name]) => name.startsWith(`${folder}/`)).map(([name, a]) => [name.slice(folder.length + 1), a]));

/** A change from its plain data (`wordsOf`) and its arrays (`arraysOf`). Refuses parts that do not fit together. */
export function changeFrom(path: string, words: unknown, arrays: Stored): Change {
  const result = part.shape.change.safeParse(words);
  if (result.success) return changeOf(path, result.data, arrays);
  return fail("edit", `${path}: a change that is none`, "a change that Lethe wrote", "It is damaged: make the edit again.", "unavailable");
}

function changeOf(path: string, words: z.infer<typeof part>["change"], own: Stored): Change {
  if (words.kind === "adapter") {
    const state = under("state", own);
    return { ...words, graph: graphOf(words.graph, (name) => state[name.replace(/^state\./, "")]?.shape), state };
  }
  const rest = own.filter(([name]) => !name.startsWith("memory/"));
  return words.kind === "prompt" ? prompts(path, words, new Map(rest)) : { kind: words.kind, weights: deltas(path, rest) };
}

/**
 * How an array is stored: unchanged, or, if this is smaller, as NAME/mask (one bit for each element) and NAME/values. `shape` is the shape
 * of the original array.
 */
interface Packed {
  readonly name: string;
  readonly stored: Stored;
  readonly shape?: readonly number[];
}

function packed([name, a]: readonly [string, NdArray]): Packed {
  const isFloat = a.dtype === "float32" || a.dtype === "float64";
  if (!isFloat || a.data.length < 1024) return { name, stored: [[name, a]] };
  const data = a.data as Float32Array;
  const mask = new Uint8Array(data.length);
  let count = 0;
  for (let i = 0; i < data.length; i++) count += mask[i] = Number(!Object.is(data[i], 0));
  if (count >= 0.9 * data.length) return { name, stored: [[name, a]] };
  const values = data.filter((_, i) => mask[i]);
  const bits = packBits(mask);
  return {
    name,
    shape: a.shape,
    stored: [
      [`${name}/mask`, ndarray("uint8", [bits.length], bits)],
      [`${name}/values`, ndarray(a.dtype, [values.length], values)],
    ],
  };
}

function unpacked(path: string, stored: Stored, shapes: Readonly<Record<string, readonly number[]>>): Stored {
  const byName = new Map(stored);
  const dense = Object.entries(shapes).map(([name, shape]) => {
    const [mask, values] = [byName.get(`${name}/mask`), byName.get(`${name}/values`)];
    const size = shape.reduce((a, b) => a * b, 1);
    if (mask?.dtype !== "uint8" || mask.data.length !== Math.ceil(size / 8) || !values?.dtype.startsWith("float"))
      return fail(
        "edit",
        `${path}: "${name}" is incomplete`,
        "its mask and its values",
        "The file is damaged: make the edit again.",
        "unavailable",
      );
    const out = zeros(values.dtype, shape);
    let next = 0;
    unpackBits(mask.data as Uint8Array, size).forEach((bit, i) => {
      if (bit) (out.data as Float32Array)[i] = Number(values.data[next++] ?? 0);
    });
    if (next !== values.data.length)
      fail(
        "edit",
        `${path}: "${name}" has ${values.data.length} values for ${next} places`,
        "as many",
        "The file is damaged: make the edit again.",
        "unavailable",
      );
    for (const part of ["mask", "values"]) byName.delete(`${name}/${part}`);
    return [name, out] as const;
  });
  return [...byName, ...dense];
}

function prompts(path: string, words: z.infer<typeof prompt>, keys: ReadonlyMap<string, NdArray>): Change {
  const refuse = (what: string): never =>
    fail(
      "edit",
      `${path}: ${what}`,
      "contexts with a key, or words, and a gate each",
      "The file is damaged: make the edit again.",
      "unavailable",
    );
  const entries = words.entries.map(({ above, words: inWords, system, ...entry }, i) => {
    const key = keys.get(`entries/${i}`);
    if (words.select !== "all") {
      if (above === undefined) return refuse(`context ${i + 1} has no gate`);
      if (words.encoder === BY_WORDS && !inWords) return refuse(`context ${i + 1} has no words`);
      if (words.encoder !== BY_WORDS && (key?.dtype !== "float32" || key.shape.length !== 2 || key.data.length === 0))
        return refuse(`context ${i + 1} has no key`);
    }
    return {
      ...entry,
      ...(system && { system }),
      ...(key && { key }),
      ...(inWords && { words: wordGate(inWords) }),
      ...(above !== undefined && { above }),
    };
  });
  return { ...words, entries };
}

const wordGate = ({ telling, ...gate }: NonNullable<z.infer<typeof prompt>["entries"][number]["words"]>): WordGate => ({
  ...gate,
  ...(telling && { telling }),
});

function deltas(path: string, arrays: Stored): Record<string, Delta> {
  const parts = new Map<string, Record<string, NdArray>>();
  for (const [name, array] of arrays) {
    const at = name.lastIndexOf("/");
    parts.set(name.slice(0, at), { ...parts.get(name.slice(0, at)), [name.slice(at + 1)]: array });
  }
  return Object.fromEntries(
    [...parts].map(([weight, { left, right, dense, value }]) => {
      const delta: Delta | undefined = left && right ? { outer: [left, right] } : dense ? { dense } : value ? { value } : undefined;
      return [
        weight,
        delta ??
          fail(
            "edit",
            `${path}: the change of "${weight}" is incomplete`,
            "left and right, dense, or value",
            "The file is damaged: make the edit again.",
            "unavailable",
          ),
      ];
    }),
  );
}

/** The stack without its last `count` edits, or without one named by (the beginning of) its id. */
export function without(edits: readonly Edit[], which: { readonly last: number } | { readonly id: string }): Edit[] {
  if ("last" in which) {
    if (!(which.last >= 1 && which.last <= edits.length)) fail("edits undo", `--last ${which.last}`, `1 to ${edits.length}`, "");
    return edits.slice(0, edits.length - which.last);
  }
  const found = edits.filter((e) => e.id.startsWith(which.id));
  if (found.length !== 1)
    fail("edits undo", `"${which.id}" names ${found.length} edits`, `one of ${edits.map((e) => e.id).join(", ")}`, "");
  return edits.filter((e) => e !== found[0]);
}
