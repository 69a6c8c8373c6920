/** `lethe export`: an edited model as others read it. */
import { existsSync } from "node:fs";
import { basename } from "node:path";
import { fail } from "../../base/fail.ts";
import { readUtf8, refuseTaken, writeAtomic } from "../../base/store.ts";
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
  readonly format?: string;
}

/** Refuses an output of another ending than .gguf: programs that read GGUF go by it. */
function refuseEnding(out: string): void {
  if (!out.endsWith(".gguf")) fail("export", `-o ${out}`, "the name of a file that ends in .gguf", `Try -o ${out}.gguf.`);
}

/** Where the Modelfile of a GGUF file is. */
const modelfileOf = (out: string): string => out.replace(/gguf$/, "Modelfile");

/** What ollama makes a model of: the file, and the tokens that end an answer. */
const modelfile = (out: string, stop: readonly string[]): string =>
  [`FROM ./${basename(out)}`, ...stop.map((token) => `PARAMETER stop ${JSON.stringify(token)}`), ""].join("\n");

/** Writes the Modelfile beside a GGUF file; its name. */
function writeModelfile(out: string, { gguf }: Exported, force: boolean): string {
  const [path, text] = [modelfileOf(out), modelfile(out, gguf!.stop)];
  if (!force && existsSync(path) && readUtf8(path, "export") !== text) refuseTaken(path, "export");
  writeAtomic(path, text);
  return path;
}

const told = ({ format, gguf }: Exported, { edit, dtype }: Flags, model: string): string => {
  const edits = plural(edit?.length ?? 0, "edit file");
  if (format === "lora") return `${edits} as a LoRA adapter for ${model}`;
  const all = `${model}${edit ? ` with ${edits}` : ""}`;
  if (format === "safetensors") return `${all} as a checkpoint in ${dtype!}`;
  const counts = Object.entries(gguf!.stored).map(([type, count]) => `${count} as ${type}`);
  return `${all} as GGUF, tensors: ${counts.join(", ")}`;
};

export const exporting = acts<Flags>(
  withFields(
    declare("export <MODEL>", exportSpec.doc, MODEL, [
      ["lethe export ./model --edit edits/e1 -o exported", "a folder that transformers loads"],
      ["lethe export ./model -e edits/e1 --format gguf --dtype q8_0 -o model.gguf", "a file for llama.cpp, and a Modelfile for ollama"],
      ["lethe export ./model --edit edits/e1 --format lora -o adapter", "an exact adapter in PEFT's format"],
      ["lethe export ./model.gguf -o unpacked --dtype bfloat16", "a GGUF file as safetensors"],
    ]),
    exportSpec,
  )
    .option("--force", "overwrite the output; run even if the estimate says that memory is too small")
    .requiredOption("-o, --output <path>", "the output folder; for GGUF the output file, which ends in .gguf"),
  async ({ terminal, ctx }, { output: out, force = false, ...flags }, model) => {
    if (flags.format === "gguf") refuseEnding(out);
    const { run } = await import("../../run/run.ts");
    const { record } = await run<Exported>(specFrom(exportSpec, flags, model), ctx, { out, force });
    const { format, files: made, gguf } = record.result;
    const files = gguf ? made.map((file) => ({ ...file, name: basename(out) })) : made;
    const beside = gguf && { modelfile: writeModelfile(out, record.result, force), stored: gguf.stored };
    if (terminal.json) return terminal.object("export", { ...(gguf ? { file: out } : { dir: out }), format, files, ...beside });
    terminal.line(`${out}: ${told(record.result, { ...flags, output: out }, model!)}`);
    terminal.line(
      table(
        files.map(({ name, bytes: size }) => [`  ${name}`, bytes(size)]),
        [1],
      ),
    );
    if (beside) terminal.line(`  ${basename(beside.modelfile)}: ollama create NAME -f ${beside.modelfile}`);
  },
);
