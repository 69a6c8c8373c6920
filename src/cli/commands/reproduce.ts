/** `lethe reproduce`: the experiments of a paper, from its recipe to its report. */
import type { Command } from "commander";
import { fail } from "../../base/fail.ts";
import type { GridRecord } from "../../run/grid/record.ts";
import type { Grid } from "../../run/grid.ts";
import type { Recipe } from "../../run/recipes.ts";
import { acts, declare } from "../command.ts";
import type { Door } from "../context.ts";
import { plural, table } from "../format.ts";
import { choosing, type GridFlags, opened, type RunFlags, running, runOptions, storeOf } from "../grid-options.ts";
import { tellFolder } from "./grid.ts";
import { tellRecords } from "./grid-keep.ts";
import { showStatus, tellPlan } from "./grid-look.ts";

interface Flags extends GridFlags, RunFlags {
  readonly scale?: string;
  readonly model?: string;
  readonly output?: string;
  readonly write?: string;
  readonly saveRecords?: string;
  readonly plan?: boolean;
  readonly status?: boolean;
  readonly report?: boolean;
}

/** The failed steps of a run, and the records of its grids. */
interface Reproduced {
  readonly failed: GridRecord["failed"];
  readonly records: readonly GridRecord[];
}

const options = (command: Command): Command =>
  running(choosing(command))
    .option("--scale <name>", "the scale: tiny (the bundled model, minutes), small (SmolLM2 on two cores), full (the paper's models)")
    .option("--model <model>", "another model for this scale")
    .option("--plan", "tell the steps, the time, the memory and the disk; run nothing")
    .option("--status", "tell how far it is; run nothing")
    .option(
      "--save-records <folder>",
      "copy the records of what is finished, without weights, into a folder that can be committed; run nothing",
    )
    .option("--report", "make the report of what is finished; run nothing")
    .option("-o, --output <folder>", "write the report into this folder (NAME-SCALE)")
    .option("--write <page>", "put what may be concluded into this page as well, between the markers <!-- NAME --> and <!-- /NAME -->");

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
        [
          "lethe reproduce editing-as-unlearning --scale small --report --write docs/results/editing-as-unlearning.md",
          "its conclusions into a page",
        ],
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
  const { copyGrid, gridStatus, planGrid, runGrid } = await import("../../run/grid.ts");
  const { joined } = await import("../../run/recipes.ts");
  const ctx = { ...own, runs: storeOf(flags) ?? own.runs };
  const { scale = recipe.scales[0] } = flags;
  const set = [...(flags.set ?? []), `scale=${scale}`, ...(flags.model === undefined ? [] : [`model=${JSON.stringify(flags.model)}`])];
  const grids = await Promise.all(recipe.files.map((file) => opened(file, { ...flags, set }, ctx)));
  const whole = joined(`${recipe.name}, ${scale}`, grids as [Grid, ...Grid[]]);
  if (flags.plan) {
    return tellPlan(terminal, await planGrid(whole, ctx, runOptions(flags)));
  }
  if (flags.saveRecords !== undefined) return tellRecords(terminal, await copyGrid(whole, ctx, flags.saveRecords));
  if (flags.status) {
    const found = await gridStatus(whole, ctx);
    if (terminal.json) terminal.object("grid-status", found);
    else showStatus(terminal, found, false);
    return 0;
  }
  const failed = await concluded(flags.write, recipe.name, async () => {
    const run = flags.report ? undefined : await runGrid(whole, ctx, runOptions(flags));
    const records = await tellFolder(terminal, flags.output ?? `${recipe.name}-${scale}`, ctx, async () => grids);
    return { failed: run?.failed ?? [], records };
  });
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

/** Work whose conclusions go into a page: a page that cannot take them is refused before. Returns the failed steps. */
async function concluded(page: string | undefined, name: string, work: () => Promise<Reproduced>): Promise<Reproduced["failed"]> {
  if (page === undefined) return (await work()).failed;
  const [{ holding }, { placesIn, writePlaces }, { conclusionsPage }] = await Promise.all([
    import("../../base/store.ts"),
    import("../../report/page.ts"),
    import("../../report/conclusions.ts"),
  ]);
  return holding(page, "reproduce", async () => {
    placesIn(page, [name]);
    const { failed, records } = await work();
    writePlaces(page, [[name, conclusionsPage(records)]]);
    return failed;
  });
}
