/** The step `export`: writes an edited model as an ordinary checkpoint folder or as a GGUF file, or an edit as a LoRA adapter. */
import { readdirSync, rmSync, statSync } from "node:fs";
import { join } from "node:path";
import type { Context } from "../../base/context.ts";
import { deltasOf } from "../../edit/edit.ts";
import { saveLora } from "../../edit/lora.ts";
import { fail } from "../../base/fail.ts";
import { exportGguf, ggufHeader, type GgufDtype } from "../../model/save-gguf.ts";
import { exportModel, type StoredDtype } from "../../model/save.ts";
import { editInputs, modelInput } from "../inputs.ts";
import { type Model, open } from "../open.ts";
import { exportSpec } from "../specs/export.ts";
import type { RunFolder } from "../folder.ts";
import { defineStep, type Made } from "../step.ts";

export type ExportFormat = "safetensors" | "gguf" | "lora";

export interface Exported {
  readonly format: ExportFormat;
  readonly files: readonly { readonly name: string; readonly bytes: number }[];
  /** Of a GGUF file: the number of tensors of each type, and the texts of the tokens that end an answer. */
  readonly gguf?: { readonly stored: Readonly<Record<string, number>>; readonly stop: readonly string[] };
}

/** The name of the result in the run's folder: a folder, or a GGUF file. */
const [MODEL, GGUF] = ["model", "model.gguf"];

/** Refuses a type that only GGUF has in another format. */
function refuseDtype(format: string, dtype: string): void {
  if (format !== "gguf" && dtype.startsWith("q"))
    fail(
      "export",
      `--dtype ${dtype} with --format ${format}`,
      "float32, bfloat16 or float16",
      "Add --format gguf: only GGUF stores this type.",
    );
}

export const exportStep = defineStep({ ...exportSpec, purpose: "ask" }, async ({ model, edit, format, dtype }, lent) => {
  refuseDtype(format, dtype);
  const paths = edit as readonly string[];
  const { content, edits } = editInputs(paths);
  for (const one of edits) deltasOf(one);
  const input = await modelInput(model as string, lent);
  if (format === "gguf") ggufHeader(input.shape); // refuses before a weight is read
  return {
    identity: { model: input.content, edit: content },
    uses: input.uses,
    work: async ({ folder, ctx, force }) => {
      const { base, model: edited, edits: parts, close } = await open(input.spec, { edits: paths, force }, ctx);
      try {
        if (format === "gguf") return await asGguf(edited, dtype as GgufDtype, folder, ctx);
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

async function asGguf(model: Model, dtype: GgufDtype, folder: RunFolder, ctx: Context): Promise<Made<Exported>> {
  const { stored } = await exportGguf(model, folder.work(GGUF), { dtype, ctx });
  folder.finish(GGUF, GGUF);
  const { eos, tokenOf } = model.tokenizer;
  const result: Exported = {
    format: "gguf",
    files: [{ name: GGUF, bytes: statSync(folder.at(GGUF)).size }],
    gguf: { stored, stop: eos.map(tokenOf) },
  };
  return { result, layout: { file: GGUF } };
}
