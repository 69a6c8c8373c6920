/** Edit files: one safetensors file holds a stack of edits in order, each with its description; saved whole or not at all. */
import { z } from "zod";
import type { NdArray } from "../base/array.ts";
import { fail } from "../base/fail.ts";
import { canonical } from "../base/hash.ts";
import { openSafetensors, writeSafetensors } from "../base/store.ts";
import { arraysOf, type Change, type Delta, type Edit, wordsOf } from "./edit.ts";

const VERSION = 1;
const texts = z.array(z.string());
const prompt = z.object({
  entries: z
    .array(
      z.object({
        shown: z.array(z.object({ asked: z.string(), said: z.string() })),
        context: z.string(),
        above: z.number().optional(),
      }),
    )
    .min(1),
  frame: z.string(),
  encoder: z.string(),
  select: z.union([z.literal("all"), z.object({ nearest: z.int().min(1) })]),
});
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
      z.object({ id: z.string(), prompt: z.string(), subject: z.string(), answer: z.string(), target: z.string().nullable() }),
    ),
    code: z.string(),
  }),
  kind: z.enum(["delta", "prompt"]),
  prompt: prompt.optional(),
  evidence: z.record(z.string(), z.unknown()).optional(),
});
const file = z.object({ version: z.literal(VERSION), parts: z.array(part).min(1) });

/** Writes edits, lowest first, as one file. */
export function saveEdits(path: string, edits: readonly Edit[]): void {
  if (edits.length === 0) fail("edit", "an empty stack", "at least one edit", "");
  const parts = edits.map(({ id, base, on, format, by, change, evidence }) => ({
    id,
    base,
    on,
    format,
    by,
    kind: change.kind,
    prompt: wordsOf(change),
    ...(evidence && { evidence }),
  }));
  const tensors = edits.flatMap((edit, i) => arraysOf(edit).map(([name, array]) => [`${i}/${name}`, array] as const));
  writeSafetensors(path, tensors, { "lethe.edits": canonical({ version: VERSION, parts }) });
}

/** Reads an edit file; refuses one that is damaged, of another kind, or whose numbers are not finite. */
export function loadEdits(path: string): Edit[] {
  const opened = openSafetensors(path);
  try {
    const { parts } = describe(path, opened.metadata["lethe.edits"]);
    const arrays = new Map([...opened.tensors].map(([name, t]) => [name, t.read()] as const));
    for (const [name, a] of arrays)
      if (a.dtype.startsWith("float") && !(a.data as Float32Array).every(Number.isFinite))
        fail("edit", `${path}: "${name}" holds NaN or infinity`, "finite numbers", "Make the edit again.", "unavailable");
    return parts.map(({ kind, evidence, prompt: words, ...about }, i) => {
      const own = [...arrays].filter(([name]) => name.startsWith(`${i}/`)).map(([name, a]) => [name.slice(`${i}/`.length), a] as const);
      const memory = Object.fromEntries(
        own.filter(([name]) => name.startsWith("memory/")).map(([name, a]) => [name.slice("memory/".length), a]),
      );
      const rest = own.filter(([name]) => !name.startsWith("memory/"));
      const change: Change = kind === "delta" ? { kind, weights: deltas(path, rest) } : prompts(path, words, new Map(rest));
      return { ...about, change, ...(Object.keys(memory).length > 0 && { memory }), ...(evidence && { evidence }) };
    });
  } finally {
    opened.close();
  }
}

function describe(path: string, text: string | undefined): z.infer<typeof file> {
  const refuse = (what: string): never =>
    fail("edit", `${path} ${what}`, "an edit file that Lethe wrote", "Name the file that `lethe forget -o` made.", "unavailable");
  if (text === undefined) return refuse("holds tensors but no edit");
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch (error) {
    return refuse(`has a damaged description (${String(error)})`);
  }
  const result = file.safeParse(json);
  return result.success
    ? result.data
    : refuse(`has a description that does not fit (${result.error.issues[0]!.path.join(".")}: ${result.error.issues[0]!.message})`);
}

function prompts(path: string, words: z.infer<typeof prompt> | undefined, keys: ReadonlyMap<string, NdArray>): Change {
  const refuse = (what: string): never =>
    fail("edit", `${path}: ${what}`, "contexts with a key and a gate each", "The file is damaged: make the edit again.", "unavailable");
  if (!words) return refuse("a prompt edit without its contexts");
  const entries = words.entries.map(({ above, ...entry }, i) => {
    const key = keys.get(`entries/${i}`);
    if (words.select !== "all" && (above === undefined || key?.dtype !== "float32" || key.shape.length !== 2 || key.data.length === 0))
      return refuse(`context ${i + 1} has ${above === undefined ? "no gate" : "no key"}`);
    return { ...entry, ...(key && { key }), ...(above !== undefined && { above }) };
  });
  return { kind: "prompt", ...words, entries };
}

function deltas(path: string, arrays: readonly (readonly [string, NdArray])[]): Record<string, Delta> {
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
