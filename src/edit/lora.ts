/** Edits as a LoRA adapter in PEFT's format: exact, because what they add to a matrix is of low rank already. */
import { join } from "node:path";
import { asFloats, floats, type NdArray } from "../base/array.ts";
import { fail } from "../base/fail.ts";
import { writeAtomic, writeSafetensors } from "../base/store.ts";
import type { Model } from "../model/model.ts";
import { atLayer } from "../model/names.ts";
import { type Edit, weightsOf } from "./edit.ts";
import { refusePrompts } from "./prompt.ts";

/** One matrix's addition: B [out, r] · A [r, in], of all edits together. */
interface Adapter {
  readonly module: string;
  readonly transposed: boolean;
  readonly a: NdArray;
  readonly b: NdArray;
  readonly rank: number;
}

/**
 * Writes adapter_config.json and adapter_model.safetensors to `dir`: float32, scaling 1, the rank of each matrix the sum of its edits' ranks.
 * Refuses a change that is not of low rank.
 */
export function saveLora(dir: string, model: Model, edits: readonly Edit[]): void {
  if (edits.length === 0) fail("export", "no edit", "at least one for an adapter", "Give --edit FILE.");
  const adapters = adaptersOf(model, edits);
  const rank = Math.max(...adapters.map((x) => x.rank));
  const odd = Object.fromEntries(adapters.filter((x) => x.rank !== rank).map((x) => [x.module, x.rank]));
  const config = {
    peft_type: "LORA",
    task_type: "CAUSAL_LM",
    base_model_name_or_path: null,
    inference_mode: true,
    r: rank,
    lora_alpha: rank,
    lora_dropout: 0,
    bias: "none",
    fan_in_fan_out: adapters.every((x) => x.transposed),
    target_modules: adapters.map((x) => x.module),
    rank_pattern: odd,
    alpha_pattern: odd,
  };
  const tensors = adapters.flatMap(
    ({ module, a, b }) =>
      [
        [`base_model.model.${module}.lora_A.weight`, a],
        [`base_model.model.${module}.lora_B.weight`, b],
      ] as const,
  );
  writeSafetensors(join(dir, "adapter_model.safetensors"), tensors, { format: "pt" });
  writeAtomic(join(dir, "adapter_config.json"), `${JSON.stringify(config, null, 2)}\n`);
}

function adaptersOf(model: Model, edits: readonly Edit[]): Adapter[] {
  refusePrompts(edits);
  const parts = new Map<string, (readonly [left: NdArray, right: NdArray])[]>();
  for (const edit of edits)
    for (const [weight, delta] of Object.entries(weightsOf(edit.change))) {
      if (!("outer" in delta))
        return fail(
          "export",
          `edit ${edit.id} changes "${weight}" in full`,
          "changes of low rank for an adapter",
          "Export a whole checkpoint: --format safetensors.",
        );
      parts.set(weight, [...(parts.get(weight) ?? []), delta.outer]);
    }
  const names = namesOf(model);
  return [...parts].map(([weight, outers]) => {
    const { name, transposed } = names.get(weight) ?? fail("export", `"${weight}"`, "a weight of this model", "", "unavailable");
    const [rows, columns] = [outers[0]![0].shape[0]!, outers[0]![1].shape[1]!];
    const rank = outers.reduce((sum, [left]) => sum + left.shape[1]!, 0);
    const [b, a] = [new Float32Array(rows * rank), new Float32Array(rank * columns)];
    let at = 0;
    for (const [left, right] of outers) {
      const own = left.shape[1]!;
      const l = asFloats(left, "float32").data;
      for (let i = 0; i < rows; i++) for (let k = 0; k < own; k++) b[i * rank + at + k] = l[i * own + k]!;
      a.set(asFloats(right, "float32").data, at * columns);
      at += own;
    }
    return { module: name.replace(/\.weight$/, ""), transposed, a: floats(a, [rank, columns]), b: floats(b, [rows, rank]), rank };
  });
}

/** Our names → the checkpoint's. */
function namesOf({ arch, config }: Model): Map<string, { name: string; transposed: boolean }> {
  return new Map(
    Object.entries(arch.weights(config)).flatMap(([template, stored]) =>
      Array.from(
        { length: template.includes("{i}") ? config.layers : 1 },
        (_, layer) => [atLayer(template, layer), { name: atLayer(stored.name, layer), transposed: stored.transposed ?? false }] as const,
      ),
    ),
  );
}
