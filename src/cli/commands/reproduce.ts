/** `lethe reproduce`: the experiments of a paper, from its recipe to its report. */
import type { Command } from "commander";
import { fail } from "../../base/fail.ts";
import type { Grid } from "../../run/grid.ts";
import type { Recipe } from "../../run/recipes.ts";
import { acts, declare } from "../command.ts";
import type { Door } from "../context.ts";
import { plural, table } from "../format.ts";
import { choosing, type GridFlags, opened, type RunFlags, running, runOptions, storeOf } from "../grid-options.ts";
import { tellFolder } from "./grid.ts";
import { showStatus, tellPlan } from "./grid-look.ts";

interface Flags extends GridFlags, RunFlags {
  readonly scale?: string;
  readonly model?: string;
  readonly output?: string;
  readonly plan?: boolean;
  readonly status?: boolean;
  readonly report?: boolean;
}

const options = (command: Command): Command =>
  running(choosing(command))
    .option("--scale <name>", "the scale: tiny (the bundled model, minutes), small (SmolLM2 on two cores), full (the paper's models)")
    .option("--model <model>", "another model for this scale")
    .option("--plan", "tell the steps, the time, the memory and the disk; run nothing")
    .option("--status", "tell how far it is; run nothing")
    .option("--report", "make the report of what is finished; run nothing")
    .option("-o, --output <folder>", "write the report into this folder (NAME-SCALE)");

export const reproduce = acts<Flags>(
  options(
    declare(
      "reproduce [NAME]",
      "Repeats the experiments of a paper, and makes the report.",
      "Without NAME, lists the recipes. A recipe is a folder of grids (docs/reproduce.md). Finished steps are not run again: if the command is stopped, run it again.",
      [
        ["lethe reproduce", "the recipes"],
        [
          "lethe reproduce editing-as-unlearning --scale tiny",
          "the whole path on the bundled model; open editing-as-unlearning-tiny/index.html",
        ],
        ["lethe reproduce editing-as-unlearning --scale small --plan", "what the real thing takes"],
        ["lethe reproduce editing-as-unlearning --scale small --report", "the report of what is finished"],
      ],
    ),
  ),
  async (door, flags, name) => {
    const { recipeOf, recipes } = await import("../../run/recipes.ts");
    if (name === undefined) return list(door, recipes());
    return reproduceOne(door, flags, recipeOf(name));
  },
);

function list({ terminal }: Door, all: readonly Recipe[]): number {
  if (terminal.json) terminal.object("recipes", { recipes: all.map(({ name, doc, scales }) => ({ name, doc, scales })) });
  else terminal.line(table([["RECIPE", "SCALES", ""], ...all.map(({ name, doc, scales }) => [name, scales.join(", "), doc])]));
  return 0;
}

async function reproduceOne({ terminal, ctx: own }: Door, flags: Flags, recipe: Recipe): Promise<number> {
  const { gridStatus, planGrid, runGrid } = await import("../../run/grid.ts");
  const { joined } = await import("../../run/recipes.ts");
  const ctx = { ...own, runs: storeOf(flags) ?? own.runs };
  const { scale = recipe.scales[0] } = flags;
  const set = [...(flags.set ?? []), `scale=${scale}`, ...(flags.model === undefined ? [] : [`model=${JSON.stringify(flags.model)}`])];
  const grids = await Promise.all(recipe.files.map((file) => opened(file, { ...flags, set }, ctx)));
  const whole = joined(`${recipe.name}, ${scale}`, grids as [Grid, ...Grid[]]);
  if (flags.plan) {
    return tellPlan(terminal, await planGrid(whole, ctx, runOptions(flags)));
  }
  if (flags.status) {
    const found = await gridStatus(whole, ctx);
    if (terminal.json) terminal.object("grid-status", found);
    else showStatus(terminal, found, false);
    return 0;
  }
  const failed = flags.report ? [] : (await runGrid(whole, ctx, runOptions(flags))).failed;
  await tellFolder(terminal, flags.output ?? `${recipe.name}-${scale}`, ctx, async () => grids);
  if (failed.length > 0)
    fail(
      "reproduce",
      `${plural(failed.length, "step")} of ${whole.unfolded.units.length} failed`,
      "",
      "The report says which. The same command with --retry tries these again.",
      "execution",
    );
  return 0;
}
