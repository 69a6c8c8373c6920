/** `lethe finetune`: trains a model from a recipe. */
import { acts, declare, number } from "../command.ts";
import { plural } from "../format.ts";

interface Flags {
  readonly recipe: string;
  readonly output: string;
  readonly fresh?: boolean;
  readonly every?: number;
  readonly force?: boolean;
}

export const finetune = acts<Flags>(
  declare(
    "finetune",
    "Trains a model from a recipe and writes it as an ordinary checkpoint.",
    "The same recipe, texts and thread count give the same bytes. Checkpoints lie in FOLDER.training until the end: after Ctrl-C, or a kill, the same command goes on from them.",
    [
      ["lethe finetune --recipe bundled/recipe.json -o out/model", "the bundled model again"],
      ["lethe finetune --recipe bundled/recipe.json -o out/model --fresh", "from the start, whatever was left"],
    ],
  )
    .requiredOption("--recipe <file>", "model, data and training as JSON, such as bundled/recipe.json")
    .requiredOption("-o, --output <folder>", "the folder to be made")
    .option("--every <n>", "steps from one checkpoint to the next (100)", number({ min: 1, whole: true }))
    .option("--fresh", "remove checkpoints of an earlier run first")
    .option("--force", "replace a folder that is there"),
  async ({ terminal, ctx }, { recipe, output, fresh = false, every, force = false }) => {
    const { finetune: run } = await import("../../run/finetune.ts");
    const { dir, steps, losses } = await run(recipe, output, ctx, { resume: !fresh, force, ...(every !== undefined && { every }) });
    if (terminal.json) terminal.object("finetune", { dir, steps, losses });
    else terminal.line(`${dir}: ${plural(steps, "step")}, loss ${losses[0]?.toFixed(3)} at first, ${losses.at(-1)?.toFixed(3)} at last`);
  },
);
