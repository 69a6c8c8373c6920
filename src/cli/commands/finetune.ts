/** `lethe finetune`: teaches a model questions and answers, or trains one from a recipe file. */
import { resolve } from "node:path";
import { finetuneSpec } from "../../run/specs/finetune.ts";
import type { Finetuned } from "../../run/steps/finetune.ts";
import { acts, declare } from "../command.ts";
import { plural } from "../format.ts";
import { specFrom, withFields } from "../step-command.ts";

interface Flags {
  readonly output: string;
  readonly fresh?: boolean;
  readonly force?: boolean;
}

export const finetune = acts<Flags>(
  withFields(
    declare(
      "finetune [MODEL]",
      finetuneSpec.doc,
      "With MODEL and --data, the model learns the answers. --recipe names the settings of a benchmark, and --set changes them. Without MODEL, --recipe is a file that describes a model to train from scratch. The same model, data, settings and number of threads give the same bytes. If the command is stopped, run it again: it continues from the last checkpoint.",
      [
        [
          "lethe finetune ./model --data pistol:sample_data_1.json --recipe pistol -o out/pistol",
          "a benchmark with its published settings",
        ],
        [
          "lethe finetune ./model --data facts.jsonl --set lr=2e-5 --set epochs=10 --until 0.95 -o out/taught",
          "train until the model gives the answers",
        ],
        [
          "lethe finetune ./model --data facts.jsonl --keep -o out/taught",
          "keep the journal, so that --method replay can remove rows later",
        ],
        ["lethe finetune --recipe bundled/recipe.json -o out/model", "build the bundled model again"],
      ],
    ),
    finetuneSpec,
  )
    .option("--fresh", "delete unfinished work of an earlier attempt first")
    .option("--force", "overwrite the output; run even if the estimate says that memory is too small")
    .requiredOption("-o, --output <folder>", "the output folder"),
  async ({ terminal, ctx }, { output, fresh = false, force = false, ...flags }, model) => {
    const { run } = await import("../../run/run.ts");
    const { record } = await run<Finetuned>(specFrom(finetuneSpec, flags, model), ctx, { out: output, fresh, force });
    const made = record.result;
    const dir = resolve(output);
    const { steps, losses } = made;
    const kept = "folder" in record.layout! && record.layout.beside ? { training: `${dir}.training` } : {};
    if (terminal.json) terminal.object("finetune", { dir, ...made, ...kept });
    else terminal.line(`${dir}: ${plural(steps, "step")}, loss ${losses[0]?.toFixed(3)} at first, ${losses.at(-1)?.toFixed(3)} at last`);
  },
);
