/** An edited model as others read it: an ordinary checkpoint folder, or a LoRA adapter. */
import { readdirSync, rmSync, statSync } from "node:fs";
import { join } from "node:path";
import type { Context } from "../base/context.ts";
import { deltasOf } from "../edit/edit.ts";
import { isLora, saveLora } from "../edit/lora.ts";
import { exportModel, refuseOccupied, type StoredDtype } from "../model/save.ts";
import { open, readEdits } from "./open.ts";

export type ExportFormat = "safetensors" | "lora";

export interface Exported {
  readonly dir: string;
  readonly format: ExportFormat;
  readonly files: readonly { readonly name: string; readonly bytes: number }[];
}

/** Writes the model with its edits to a new folder. */
export async function exportEdited(
  spec: string,
  { edits, dir, format, dtype, force }: { edits: readonly string[]; dir: string; format: ExportFormat; dtype: StoredDtype; force: boolean },
  ctx: Context,
): Promise<Exported> {
  refuseOccupied(dir, force);
  for (const edit of edits.filter((path) => !isLora(path)).flatMap(readEdits)) deltasOf(edit);
  const { base, model, edits: parts, close } = await open(spec, { edits, force }, ctx);
  try {
    if (format === "lora") {
      if (force) rmSync(dir, { recursive: true, force: true });
      saveLora(dir, base, parts);
    } else exportModel(model, dir, { dtype, force });
    return { dir, format, files: readdirSync(dir).map((name) => ({ name, bytes: statSync(join(dir, name)).size })) };
  } finally {
    await close();
  }
}
