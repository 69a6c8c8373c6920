/** The step `export`: writes an edited model as an ordinary checkpoint folder, or an edit as a LoRA adapter. */
import { readdirSync, rmSync, statSync } from "node:fs";
import { join } from "node:path";
import { deltasOf } from "../../edit/edit.ts";
import { saveLora } from "../../edit/lora.ts";
import { exportModel, type StoredDtype } from "../../model/save.ts";
import { editInputs, modelInput } from "../inputs.ts";
import { open } from "../open.ts";
import { exportSpec } from "../specs/export.ts";
import { defineStep } from "../step.ts";

export type ExportFormat = "safetensors" | "lora";

export interface Exported {
  readonly format: ExportFormat;
  readonly files: readonly { readonly name: string; readonly bytes: number }[];
}

/** The name of the result in the run's folder. */
const MODEL = "model";

export const exportStep = defineStep({ ...exportSpec, purpose: "ask" }, async ({ model, edit, format, dtype }, lent) => {
  const paths = edit as readonly string[];
  const { content, edits } = editInputs(paths);
  for (const one of edits) deltasOf(one);
  const input = await modelInput(model as string, lent);
  return {
    identity: { model: input.content, edit: content },
    uses: input.uses,
    work: async ({ folder, ctx, force }) => {
      const { base, model: edited, edits: parts, close } = await open(input.spec, { edits: paths, force }, ctx);
      try {
        const making = folder.work(MODEL);
        rmSync(making, { recursive: true, force: true });
        if (format === "lora") saveLora(making, base, parts);
        else exportModel(edited, making, { dtype: dtype as StoredDtype, force: true });
        folder.finish(MODEL, MODEL);
        const files = readdirSync(folder.at(MODEL)).map((name) => ({ name, bytes: statSync(join(folder.at(MODEL), name)).size }));
        return { result: { format, files } as Exported, layout: { folder: MODEL } };
      } finally {
        await close();
      }
    },
  };
});
