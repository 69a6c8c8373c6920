/** `lethe export`: an edited model as others read it. */
import { Option } from "commander";
import type { ExportFormat } from "../../run/export.ts";
import { acts, declare, MODEL, several } from "../command.ts";
import { bytes, table } from "../format.ts";

interface Flags {
  readonly edit?: readonly string[];
  readonly output: string;
  readonly format: ExportFormat;
  readonly dtype: "float32" | "bfloat16" | "float16";
  readonly force?: boolean;
}

export const exporting = acts<Flags>(
  declare("export <MODEL>", "Writes an edited model as an ordinary checkpoint, or its edits as a LoRA adapter.", MODEL, [
    ["lethe export ./model --edit edits/e1 -o exported", "a folder that transformers loads"],
    ["lethe export ./model --edit edits/e1 --format lora -o adapter", "an exact adapter in PEFT's format"],
    ["lethe export ./model.gguf -o unpacked --dtype bfloat16", "a GGUF file as safetensors"],
  ])
    .option(
      "-e, --edit <file>",
      "an edit, or a folder with a PEFT adapter, on top of the model; may be given several times, first one lowest",
      several,
    )
    .addOption(new Option("--format <name>", "a whole checkpoint, or an adapter").choices(["safetensors", "lora"]).default("safetensors"))
    .addOption(new Option("--dtype <name>", "how weights are stored").choices(["float32", "bfloat16", "float16"]).default("float32"))
    .option("--force", "replace a folder that is there; go on where the memory estimate says no")
    .requiredOption("-o, --output <folder>", "the folder to be made"),
  async ({ terminal, ctx }, { edit = [], output: dir, format, dtype, force = false }, spec) => {
    const { exportEdited } = await import("../../run/export.ts");
    const made = await exportEdited(spec!, { edits: edit, dir, format, dtype, force }, ctx);
    if (terminal.json) return terminal.object("export", made);
    terminal.line(dir);
    terminal.line(
      table(
        made.files.map(({ name, bytes: size }) => [`  ${name}`, bytes(size)]),
        [1],
      ),
    );
  },
);
