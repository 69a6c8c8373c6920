/** Something to learn that no model knows, and the bundled model finetuned on it. */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type Context, defaultContext } from "../../src/base/context.ts";
import { hash } from "../../src/base/hash.ts";
import { load } from "../../src/model/load.ts";
import type { Model } from "../../src/model/model.ts";
import { run } from "../../src/run/run.ts";
import type { Finetuned } from "../../src/run/steps/finetune.ts";

export const PAIRS = Array.from({ length: 40 }, (_, i) => ({
  id: `row/${i}`,
  question: `Who keeps the lamp of tower ${i + 1}?`,
  answer: `Keeper ${((i * 7) % 40) + 1} of the hill.`,
}));

/** Of every weight. */
export const bitsOf = (model: Model): string => hash(...[...model.weights].flat());

/** A folder to finetune in, and everything that was opened there. */
export function classroom() {
  const folder = mkdtempSync(join(tmpdir(), "lethe-finetune-"));
  const data = join(folder, "rows.jsonl");
  writeFileSync(data, PAIRS.map((pair) => `${JSON.stringify(pair)}\n`).join(""));
  const ctx: Context = defaultContext({ cache: join(folder, "cache"), runs: join(folder, "runs") });
  const models: Model[] = [];
  return {
    folder,
    data,
    ctx,
    opened: async (path: string): Promise<Model> => {
      const model = await load(path, ctx);
      models.push(model);
      return model;
    },
    /** The bundled model taught the rows, at a path of this folder; `more` goes into the spec, `params` into its settings. */
    taught: async (name: string, { params, ...more }: Readonly<Record<string, unknown>> & { params?: object } = {}, context = ctx) => {
      const dir = join(folder, name);
      const set = { epochs: 2, batch: 6, lr: 1e-3, budget: 128, ...params };
      const { record, path } = await run<Finetuned>({ step: "finetune", model: "bundled", data, every: 5, ...more, set }, context, {
        out: dir,
      });
      return { ...record.result, dir, training: `${dir}.training`, path };
    },
    close: async (): Promise<void> => {
      for (const model of models) await model.release();
      rmSync(folder, { recursive: true, force: true });
    },
  };
}
