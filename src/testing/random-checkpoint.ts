/** A small checkpoint of an architecture with random weights, for tests: a config, drawn weights, and the bundled model's tokenizer. */
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { sizeOf } from "../base/array.ts";
import type { Context } from "../base/context.ts";
import { type Rng, rng } from "../base/rng.ts";
import { writeSafetensors } from "../base/store.ts";
import { openCheckpoint } from "../checkpoint/checkpoint.ts";
import { resolveModel } from "../hub/hub.ts";
import { type Arch, storedWeights } from "../model/arch/arch.ts";

/**
 * Writes a folder with this config.json. Linear maps and biases have a standard deviation of 0.25, embeddings of 0.5, and norms are 1 + 0.3 n,
 * where n is standard normal. The vocabulary must be as large as the bundled model's.
 */
export async function writeRandomCheckpoint(
  folder: string,
  arch: Arch,
  config: Readonly<Record<string, unknown>>,
  ctx: Context,
): Promise<void> {
  const source = openCheckpoint(await resolveModel("bundled", ctx));
  try {
    const weights = [...storedWeights({ arch, config: arch.config(config) })];
    mkdirSync(folder, { recursive: true });
    writeFileSync(join(folder, "config.json"), JSON.stringify(config));
    writeFileSync(join(folder, "tokenizer.json"), JSON.stringify(source.tokenizerJson));
    writeFileSync(join(folder, "tokenizer_config.json"), JSON.stringify(source.tokenizerConfig));
    const draws = rng(`checkpoint ${arch.name}`);
    writeSafetensors(
      join(folder, "model.safetensors"),
      weights.map(([ours, { name, shape, transposed }]) => {
        const stored = transposed ? [...shape].reverse() : shape;
        return [
          name,
          { dtype: "float32", shape: stored, read: () => ({ dtype: "float32", shape: stored, data: drawn(ours, stored, draws) }) },
        ];
      }),
      { format: "pt" },
    );
  } finally {
    source.close();
  }
}

function drawn(name: string, shape: readonly number[], draws: Rng): Float32Array {
  const own = draws.split(name);
  const isNorm = shape.length === 1 && !name.endsWith("bias");
  const [mean, deviation] = isNorm ? [1, 0.3] : [0, name.includes("embed") ? 0.5 : 0.25];
  return Float32Array.from({ length: sizeOf(shape) }, () => mean + deviation * own.normal());
}
