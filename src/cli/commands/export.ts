/** `lethe export`: an edited model as others read it. */
import { exportSpec } from "../../run/specs/export.ts";
import type { Exported } from "../../run/steps/export.ts";
import { acts, declare, MODEL } from "../command.ts";
import { bytes, plural, table } from "../format.ts";
import { specFrom, withFields } from "../step-command.ts";

interface Flags {
  readonly output: string;
  readonly force?: boolean;
  readonly edit?: readonly string[];
  readonly dtype?: string;
}

export const exporting = acts<Flags>(
  withFields(
    declare("export <MODEL>", exportSpec.doc, MODEL, [
      ["lethe export ./model --edit edits/e1 -o exported", "a folder that transformers loads"],
      ["lethe export ./model --edit edits/e1 --format lora -o adapter", "an exact adapter in PEFT's format"],
      ["lethe export ./model.gguf -o unpacked --dtype bfloat16", "a GGUF file as safetensors"],
    ]),
    exportSpec,
  )
    .option("--force", "overwrite the output; run even if the estimate says that memory is too small")
    .requiredOption("-o, --output <folder>", "the output folder"),
  async ({ terminal, ctx }, { output: dir, force = false, ...flags }, model) => {
    const { run } = await import("../../run/run.ts");
    const { record } = await run<Exported>(specFrom(exportSpec, flags, model), ctx, { out: dir, force });
    const { format, files } = record.result;
    if (terminal.json) return terminal.object("export", { dir, format, files });
    const edits = plural(flags.edit?.length ?? 0, "edit file");
    const what =
      format === "lora"
        ? `${edits} as a LoRA adapter for ${model!}`
        : `${model!}${flags.edit ? ` with ${edits}` : ""} as a checkpoint in ${flags.dtype}`;
    terminal.line(`${dir}: ${what}`);
    terminal.line(
      table(
        files.map(({ name, bytes: size }) => [`  ${name}`, bytes(size)]),
        [1],
      ),
    );
  },
);
