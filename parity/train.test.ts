/** Training on the real model: loss, gradient norm and the first AdamW steps of the reference's trajectory. */
import { afterAll, describe, expect, it } from "vitest";
import { defaultContext } from "../src/base/context.ts";
import { loadFrom } from "../src/model/load.ts";
import type { LabelledRow } from "../src/train/batches.ts";
import { type Recipe, train } from "../src/train/loop.ts";
import { absent, all, readJson, relative, shared } from "./shared.ts";

interface Batch {
  readonly input_ids: number[][];
  readonly labels: number[][];
  readonly attention_mask: number[][];
}
interface Trajectory {
  readonly f64: {
    readonly steps: { readonly loss: number; readonly grad_norm_global: number }[];
    readonly final: { readonly "layers.15.mlp.down_proj[0,0:8]": number[] };
  };
}

/** The reference's rows: the text, then the end token that the last text position is to predict. */
const rowsOf = (name: string, { input_ids, labels, attention_mask }: Batch): LabelledRow[] =>
  input_ids.map((ids, i) => ({
    id: `${name}/${i}`,
    ids: [...ids.slice(0, attention_mask[i]!.filter(Boolean).length), 2],
    labels: labels[i]!.flatMap((label, at) => (label === -100 ? [] : [at])),
  }));

const RECIPE: Recipe = {
  steps: all ? 8 : 2,
  batch: 8,
  budget: 1024,
  together: 1,
  seed: 0,
  executor: "graph",
  optimizer: { name: "adamw", betas: [0.9, 0.999], eps: 1e-8, decay: 0.01 },
  schedule: { lr: 1e-5, warmup: 0, shape: "constant", floor: 0 },
};

describe.skipIf(absent)(`AdamW on the real model${absent && ` (skipped: ${absent})`}`, () => {
  const model = absent ? undefined! : loadFrom(shared("models/smollm2-135m-instruct"), defaultContext());
  afterAll(() => model?.release());

  it(`${RECIPE.steps} steps`, { timeout: 1_200_000 }, async () => {
    const batch = readJson<Record<string, Batch>>("golden/losses/batch.json");
    const { f64: golden } = readJson<Record<string, Trajectory>>("golden/losses/trajectory.json")["idk"]!;
    const rows = [...rowsOf("idk", batch["idk"]!), ...rowsOf("retain", batch["retain"]!)];
    const events = train(model, rows, RECIPE, defaultContext());
    for (let step = 0; ; step++) {
      const { value, done } = await events.next();
      if (done) {
        const row = (value.weights.get("blocks.15.mlp.out")!.data as Float32Array).slice(0, 8);
        if (RECIPE.steps === 8) expect(relative(row, golden.final["layers.15.mlp.down_proj[0,0:8]"])).toBeLessThan(1e-5);
        return;
      }
      if (value.kind !== "step") continue;
      expect(Math.abs(value.loss / golden.steps[step]!.loss - 1)).toBeLessThan(3e-5);
      expect(Math.abs(value.norm / golden.steps[step]!.grad_norm_global - 1)).toBeLessThan(2e-4);
    }
  });
});
