/** `lethe grid`: a file of steps and lists, run to its end, and the report of its records. */
import type { Command } from "commander";
import { fail } from "../../base/fail.ts";
import type { GridRecord } from "../../run/grid/record.ts";
import type { Grid } from "../../run/grid.ts";
import { acts, declare } from "../command.ts";
import type { Door } from "../context.ts";
import { plural } from "../format.ts";
import { choosing, FILE, type GridFlags, opened, type RunFlags, running, runOptions, storeOf } from "../grid-options.ts";
import { accept, measured, records } from "./grid-keep.ts";
import { plan, status } from "./grid-look.ts";

interface Flags extends GridFlags, RunFlags {
  readonly write?: string;
  readonly output?: string;
}

const runs = (command: Command): Command => running(settings(command));

const settings = (command: Command): Command =>
  choosing(command).option(
    "--write <page>",
    "put the table into this page, between the markers <!-- NAME --> and <!-- /NAME -->; of several tables each between <!-- NAME/TABLE --> and <!-- /NAME/TABLE -->",
  );

async function runFile({ terminal, ctx: own }: Door, flags: Flags, file: string): Promise<number> {
  const { write } = flags;
  const { runGrid } = await import("../../run/grid.ts");
  const ctx = { ...own, runs: storeOf(flags) ?? own.runs };
  const grid = await opened(file, flags, ctx);
  const record = await withPage(grid, write, async () => {
    const found = await runGrid(grid, ctx, runOptions(flags));
    await tell(terminal, found, write);
    return found;
  });
  if (record.failed.length > 0)
    fail(
      "grid",
      `${plural(record.failed.length, "step")} of ${record.steps.total} failed`,
      "",
      "The others are done. The same command with --retry tries these again.",
      "execution",
    );
  return 0;
}

/** Work whose table goes into a page: a page that cannot take it is refused before, and no other process writes it meanwhile. */
async function withPage<T>(grid: Grid, page: string | undefined, work: () => Promise<T>): Promise<T> {
  if (page === undefined) return work();
  const { holding } = await import("../../base/store.ts");
  return holding(page, "grid", async () => {
    await checkPage(grid, page);
    return work();
  });
}

/** Refuses a page that no table can go into, before anything is run. */
async function checkPage({ grid }: Grid, page: string): Promise<void> {
  const [{ placeNames, placesIn }, { tableNames }] = await Promise.all([
    import("../../report/page.ts"),
    import("../../run/grid/report-schema.ts"),
  ]);
  const tables = tableNames(grid.tables);
  if (tables.length === 0) fail("grid", `${grid.name} has no table`, "tables: in the file", "Leave out --write.");
  placesIn(page, placeNames(grid.name, tables));
}

/** The tables on standard output, or in a page. */
async function tell(terminal: Door["terminal"], record: GridRecord, page: string | undefined): Promise<void> {
  const [{ tableMarkdown }, { madeWith }, { placeNames, placesIn, writePlaces }] = await Promise.all([
    import("../../report/markdown.ts"),
    import("../../report/notes.ts"),
    import("../../report/page.ts"),
  ]);
  const { name, tables, steps } = record;
  const names = placeNames(
    name,
    tables.map((table) => table.name),
  );
  const wanted = page === undefined ? names : placesIn(page, names);
  const bodies = tables.flatMap((table, i) =>
    wanted.includes(names[i]!) ? [[names[i]!, table, tableMarkdown(table, madeWith(record))] as const] : [],
  );
  if (page !== undefined)
    writePlaces(
      page,
      bodies.map(([place, , body]) => [place, body]),
    );
  if (terminal.json) return terminal.object("grid", record);
  if (page !== undefined)
    return terminal.line(
      `${page}: ${plural(
        bodies.reduce((sum, [, { rows }]) => sum + rows.length, 0),
        "row",
      )}`,
    );
  for (const [, { title }, body] of bodies) terminal.line(title && tables.length > 1 ? `${title}\n\n${body}\n` : body);
  if (tables.length === 0) terminal.line(`${steps.finished} of ${steps.total} steps are done.`);
}

const runCommand = acts<Flags>(
  runs(
    declare("run <FILE>", "Runs what is not finished of a grid.", FILE, [
      ["lethe grid run studies/tiny.yaml", "the same as lethe grid studies/tiny.yaml"],
    ]),
  ),
  (door, flags, file) => runFile(door, flags, file!),
);

const resume = acts<Flags>(
  runs(
    declare("resume <FILE>", "Goes on with a grid that was stopped.", `${FILE} It is another name for lethe grid run.`, [
      ["lethe grid resume studies/methods.yaml", "what is not finished"],
      ["lethe grid resume studies/methods.yaml --retry", "what failed, too"],
    ]),
  ),
  (door, flags, file) => runFile(door, flags, file!),
);

const report = acts<Flags>(
  settings(
    declare(
      "report <FILE...>",
      "Makes the report of a grid from what is finished; runs nothing.",
      `${FILE} With -o, the report is a folder: index.html, report.md, a CSV, LaTeX and Markdown file for each table, and an SVG, PNG and Vega-Lite file for each figure. Several files make one page. Without -o, the tables are printed.`,
      [
        ["lethe grid report studies/tiny.yaml -o report", "a page with tables and figures; open report/index.html"],
        ["lethe grid report studies/methods.yaml", "the table, with n/a for what is not done"],
        ["lethe grid report studies/methods.yaml --write docs/methods/README.md", "into a page"],
      ],
    ),
  ).option("-o, --output <folder>", "write the report into this folder"),
  async ({ terminal, ctx }, { write, output, ...flags }, ...files) => {
    const { gridRecord } = await import("../../run/grid.ts");
    if (write !== undefined && (files.length > 1 || output !== undefined))
      fail("--write", files.length > 1 ? `${files.length} grids` : "-o as well", "one grid, and no -o", "Write one page at a time.");
    if (output !== undefined) {
      await tellFolder(terminal, output, ctx, async () => Promise.all(files.map((file) => opened(file, flags, ctx))));
      return;
    }
    for (const file of files) {
      const grid = await opened(file, flags, ctx);
      await withPage(grid, write, async () => tell(terminal, await gridRecord(grid, ctx), write));
    }
  },
);

/** Writes the report of some grids into a folder, which is taken first. Returns their records. */
export async function tellFolder(
  terminal: Door["terminal"],
  output: string,
  ctx: Door["ctx"],
  grids: () => Promise<readonly Grid[]>,
): Promise<readonly GridRecord[]> {
  const [{ writeReport }, { gridRecord }] = await Promise.all([import("../../report/folder.ts"), import("../../run/grid.ts")]);
  const records: GridRecord[] = [];
  const count = await writeReport(output, async () => {
    for (const grid of await grids()) records.push(await gridRecord(grid, ctx));
    return records;
  });
  if (terminal.json) for (const record of records) terminal.object("grid", record);
  else terminal.line(`${output}: ${plural(count, "file")}`);
  return records;
}

const schema = acts(
  declare("schema", "Prints the JSON Schema of a grid file, for editors.", "", [
    ["lethe grid schema > grid.schema.json", "a file that an editor can use"],
  ]),
  async ({ terminal }) => {
    const { gridJsonSchema } = await import("../../run/grid.ts");
    terminal.line(JSON.stringify(gridJsonSchema(), null, terminal.json ? 0 : 2));
  },
);

export const grid = acts<Flags>(
  runs(
    declare(
      "grid [FILE]",
      "Runs every step of a grid, and makes the tables of their records.",
      `${FILE} A finished step is not run again. If the grid is stopped, run it again: it continues where it stopped. A failed step is reported, and the other steps still run (exit code 4 at the end). It is tried again only with --retry. Several processes may run the same grid in the same folder: they share the work.`,
      [
        ["lethe grid studies/tiny.yaml", "a small one, on the bundled model"],
        ["lethe grid studies/methods.yaml --set facts=5", "with another value for a variable"],
        ["lethe grid studies/methods.yaml --set facts=5 --only method=rome,memit --only mode=single", "a part of it"],
        ["lethe grid plan studies/methods.yaml", "what it will take"],
        ["lethe grid status studies/methods.yaml", "how far it is"],
        ["lethe grid studies/methods.yaml --retry", "what failed, once more"],
        ["lethe grid report studies/methods.yaml --write docs/methods/README.md", "the table into a page"],
      ],
    ),
  ),
  async (door, flags, file) =>
    file === undefined ? fail("grid", "no FILE", "a grid file", "lethe grid --help has examples.") : runFile(door, flags, file),
);
for (const command of [runCommand, plan, status, resume, accept, records, measured, report, schema]) grid.addCommand(command);
