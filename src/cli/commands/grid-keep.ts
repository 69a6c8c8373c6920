/** `lethe grid accept`, `records` and `measured`: records of older builds, records to commit, and the table that methods are chosen by. */
import { Option } from "commander";
import { acts, declare, number } from "../command.ts";
import type { Copied } from "../../run/grid/records.ts";
import type { Door } from "../context.ts";
import { plural, table } from "../format.ts";
import { choosing, FILE, type GridFlags, opened } from "../grid-options.ts";

interface AcceptFlags extends GridFlags {
  readonly sample: number;
  readonly seed: number;
}

export const accept = acts<AcceptFlags>(
  choosing(
    declare(
      "accept <FILE>",
      "Runs a sample of an older build's records again; if every byte is the same, they count.",
      `${FILE} The sample is drawn by the seed, and it has at least one run of each kind of step. It runs in a folder of its own with an empty cache. If one file differs, nothing is accepted (exit code 4).`,
      [
        ["lethe grid accept studies/methods.yaml --sample 3", "three of the older records"],
        ["lethe grid accept studies/methods.yaml --sample 10 --seed 7", "ten others"],
      ],
    ),
  )
    .addOption(new Option("--sample <n>", "the number of records that are run again").default(3).argParser(number({ min: 1, whole: true })))
    .addOption(new Option("--seed <n>", "the seed of the sample").default(0).argParser(number({ min: 0, whole: true }))),
  async ({ terminal, ctx }, { sample, seed, ...flags }, file) => {
    const { acceptGrid } = await import("../../run/grid.ts");
    const found = await acceptGrid(await opened(file!, flags, ctx), ctx, { sample, seed });
    if (terminal.json) return terminal.object("grid-accept", { ...found, schema: undefined });
    const rows = found.codes.map(({ step, old, now, records }) => [step, old.slice(0, 12), now.slice(0, 12), String(records)]);
    terminal.line(table([["STEP", "OLD CODE", "THIS BUILD", "RECORDS"], ...rows], [3]));
    terminal.line(`\nAccepted: ${plural(found.samples.length, "run")} came out with the same bytes.`);
  },
);

interface RecordsFlags extends GridFlags {
  readonly output: string;
}

export const records = acts<RecordsFlags>(
  choosing(
    declare(
      "records <FILE>",
      "Copies the records of the finished steps, without weights, into a folder that can be committed.",
      `${FILE} A grid with records: FOLDER in its file, or with --records FOLDER, counts them as done.`,
      [["lethe grid records studies/methods.yaml -o docs/results/records", "JSON and samples of what is finished"]],
    ),
  ).requiredOption("-o, --output <folder>", "the folder; what is in it stays"),
  async ({ terminal, ctx }, { output, ...flags }, file) => {
    const { copyGrid } = await import("../../run/grid.ts");
    tellRecords(terminal, await copyGrid(await opened(file!, flags, ctx), ctx, output));
  },
);

export const measured = acts<Partial<RecordsFlags>>(
  choosing(
    declare(
      "measured <FILE>",
      "Makes the rows by which --method auto chooses from the records of a grid.",
      `${FILE} A row is a method in a mode with a number of requests, on one model. It needs an edit that an evaluation with the suite forgetting has judged. Records of every build count: a row tells its code and its date.`,
      [
        ["lethe grid measured studies/methods.yaml -o studies/measured.jsonl", "into the table that comes with Lethe"],
        ["lethe grid measured studies/methods.yaml --set facts=5", "the rows alone, as JSON"],
      ],
    ),
  ).option("-o, --output <file>", "put the rows into this table; a row about the same is replaced, the others stay"),
  async ({ terminal, ctx }, { output, ...flags }, file) => {
    const { measureGrid } = await import("../../run/grid.ts");
    const { rows, total } = await measureGrid(await opened(file!, flags, ctx), ctx, output);
    if (output === undefined || terminal.json) return terminal.object("grid-measured", { rows });
    terminal.line(`${output}: ${plural(rows.length, "row")} from this grid, ${total} in all`);
  },
);

/** Tells how many records were copied. Returns the exit code. */
export function tellRecords(terminal: Door["terminal"], copied: Copied): number {
  if (terminal.json) terminal.object("grid-records", copied);
  else terminal.line(`${copied.folder}: ${plural(copied.runs, "run")}, ${copied.added} of them new`);
  if (!terminal.json && copied.left > 0)
    terminal.line(`${plural(copied.left, "step")} left out: an input is a hub id without a fixed content.`);
  return 0;
}
