/** Hashes the content of inputs: it replaces a path or an id in the identity of a run. */
import { existsSync, readdirSync, statSync } from "node:fs";
import { join } from "node:path";
import { breather } from "../base/context.ts";
import { fail } from "../base/fail.ts";
import { hash, type Hash } from "../base/hash.ts";
import { complain, readBytes } from "../base/store.ts";
import { openCheckpoint } from "../checkpoint/checkpoint.ts";
import { resolveModel } from "../hub/hub.ts";
import { identify } from "../model/load.ts";
import { storedWeights } from "../model/arch/arch.ts";
import type { Edit } from "../edit/edit.ts";
import type { StatisticsSpec } from "../locate/covariance.ts";
import { isLora } from "../edit/lora.ts";
import { readEdits } from "./open.ts";
import type { ModelInput } from "./shared.ts";
import { type Lent, sourceOf } from "./step.ts";

export type { ModelInput } from "./shared.ts";

/** Reads the headers of a model's files. The content hash covers config, tokenizer, chat template and the stored weights. */
export async function modelInput(spec: string, { ctx, madeBy, shared }: Lent): Promise<ModelInput> {
  const known = shared.models.get(spec);
  if (known) return known;
  const path = await resolveModel(spec, ctx);
  const checkpoint = openCheckpoint(path);
  try {
    const { arch, config } = identify(checkpoint, ctx);
    const { config: file, kv, generation, tokenizerJson, tokenizerConfig, chatTemplate } = checkpoint;
    const made = madeBy(spec);
    const weightsHash = made === undefined ? await checkpoint.hashWeightsBreathing(breather(ctx, "model")) : undefined;
    const content = made ?? hash({ file, kv, generation, tokenizerJson, tokenizerConfig, chatTemplate }, weightsHash).slice(0, 32);
    const shape = { arch, config, weights: storedWeights({ arch, config }) };
    const uses = sourceOf("arch", arch.name, ctx);
    const input: ModelInput = { spec, path, content, ...(weightsHash !== undefined && { weightsHash }), shape, uses };
    shared.models.set(spec, input);
    return input;
  } finally {
    checkpoint.close();
  }
}

/** SHA-256 of a file, or of every file of a folder with its name. */
export function contentAt(path: string, who: string): Hash {
  if (!existsSync(path)) fail(who, `there is no ${path}`, "a file or a folder", "Check the path.", "usage");
  try {
    if (!statSync(path).isDirectory()) return hash(readBytes(path, who, { most: 2 ** 32 })).slice(0, 32);
    const files = readdirSync(path, { recursive: true, withFileTypes: true })
      .filter((entry) => entry.isFile())
      .map((entry) => join(entry.parentPath, entry.name))
      .sort();
    return hash(...files.flatMap((file) => [file.slice(path.length + 1), readBytes(file, who, { most: 2 ** 32 })])).slice(0, 32);
  } catch (error) {
    return complain(who, path, error);
  }
}

/** A spec of statistics with its text by content; "self" stays. */
export const namedByContent = (spec: StatisticsSpec, who: string): StatisticsSpec => ({
  ...spec,
  text: spec.text === "self" ? spec.text : contentAt(spec.text, who),
});

/** Edits by their ids, folders with an adapter by their files. Wrong files are refused. */
export function editInputs(paths: readonly string[]): { readonly content: readonly string[]; readonly edits: readonly Edit[] } {
  const parts = paths.map((path) => {
    if (isLora(path)) return { content: [contentAt(path, "edit")], edits: [] };
    const edits = readEdits(path);
    return { content: edits.map(({ id }) => id), edits };
  });
  return { content: parts.flatMap(({ content }) => content), edits: parts.flatMap(({ edits }) => edits) };
}
