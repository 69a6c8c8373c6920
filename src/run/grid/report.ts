/** The record of a grid from its finished steps: tables with their tests, figures, and what they were made with. */
import { breather, type Context } from "../../base/context.ts";
import { given } from "../fields.ts";
import { testsOf, verdictsOf } from "./compare.ts";
import { figureOf } from "./curves.ts";
import type { AllDone } from "./gather.ts";
import { Here, type Path } from "./here.ts";
import { madeOf, metricsIn } from "./made.ts";
import { Published } from "./published.ts";
import type { ReadGrid } from "./read.ts";
import type { GridRecord, TableRecord } from "./record.ts";
import type { Table } from "./report-schema.ts";
import { answersOf } from "./said.ts";
import type { GridFile, Json } from "./schema.ts";
import { isAdded, type MeasuredRow, rowsOf, shapeOf } from "./table.ts";
import { topOf } from "./top.ts";
import type { Unfolded } from "./unfold.ts";

/** Every table and figure, from the finished steps. Refuses a title that no evaluation has. */
export async function recordOf(
  { grid: written, unfolded, placeOf }: ReadGrid & { readonly unfolded: Unfolded },
  done: AllDone,
  ctx: Context,
): Promise<GridRecord> {
  const grid = withVariables(written, placeOf);
  const all = unfolded.units.map((unit) => ({ unit, ...done.get(unit.key)! }));
  const published = new Published();
  const measured = Object.fromEntries(
    Object.entries(grid.tables).map(([name, table]) => [
      name,
      withPublished(table, rowsOf(table, unfolded.tables[name]!, done), published),
    ]),
  );
  const tables: TableRecord[] = [];
  for (const [name, table] of Object.entries(grid.tables)) {
    const made = await tableOf(name, table, measured[name]!, ctx);
    tables.push(made, ...(table.top ? [topOf(table.top, made)] : []));
  }
  const answers = Object.entries(grid.answers).map(([name, wanted]) => answersOf(name, wanted, unfolded.tables[wanted.table]!, done));
  const figures = Object.entries(grid.figures).map(([name, figure]) => {
    const { columns } = grid.tables[figure.table]!;
    const rows = measured[figure.table]!;
    return figureOf(name, figure, { rows, nameOf: namer(grid.tables[figure.table]!), titles: columns.map(({ title }) => title), done });
  });
  return {
    name: grid.name,
    doc: grid.doc ?? "",
    tables,
    figures,
    answers,
    observations: grid.observations,
    steps: { total: all.length, finished: all.filter(({ finished }) => finished).length },
    failed: all.flatMap(({ unit, state, reason }) => (state === "failed" ? [{ step: unit.name, at: unit.at, reason: reason! }] : [])),
    ...madeOf(unfolded.units, done, ctx),
    metrics: metricsIn(tables, ctx),
  };
}

/** The grid with its variables in the words and orders of its tables and figures, and in the rows that its figures draw. */
function withVariables(grid: GridFile, placeOf: ReadGrid["placeOf"]): GridFile {
  const here = new Here(grid.vars, grid, placeOf, () => ({}));
  const filled = <T>(value: T, path: Path): T => here.filled(value as Json, path) as T;
  const worded = (text: string | undefined, path: Path): string | undefined =>
    text === undefined ? undefined : String(filled(text, path));
  const tables = Object.entries(grid.tables).map(([name, table]) => [
    name,
    {
      ...table,
      ...given({ title: worded(table.title, ["tables", name, "title"]), caption: worded(table.caption, ["tables", name, "caption"]) }),
      differs: filled(table.differs, ["tables", name, "differs"]),
      orders: filled(table.orders, ["tables", name, "orders"]),
    },
  ]);
  const figures = Object.entries(grid.figures).map(([name, figure]) => [
    name,
    {
      ...figure,
      ...given({ title: worded(figure.title, ["figures", name, "title"]) }),
      ...(figure.only && { only: filled(figure.only, ["figures", name, "only"]) }),
    },
  ]);
  return { ...grid, tables: Object.fromEntries(tables) as GridFile["tables"], figures: Object.fromEntries(figures) as GridFile["figures"] };
}

/** The rows with the published figure of each cell. */
const withPublished = (table: Table, rows: readonly MeasuredRow[], published: Published): MeasuredRow[] =>
  rows.map((row) => ({
    ...row,
    cells: row.cells.map((measured, i) => {
      const found = isAdded(row) ? undefined : published.of(row.points[0]!, table.columns[i]!.title);
      return found ? { ...measured, cell: { ...measured.cell, published: found } } : measured;
    }),
  }));

/** The name of a row: its texts with commas between them. */
const namer =
  ({ columns }: Table) =>
  ({ cells, at }: MeasuredRow, without: ReadonlySet<string> = new Set()): string =>
    columns
      .flatMap(({ title, sample }, i) =>
        sample !== undefined || without.has(title) || ["", "-", undefined].includes(cells[i]!.cell.text) ? [] : [cells[i]!.cell.text!],
      )
      .join(", ") || Object.values(at).join(", ");

async function tableOf(name: string, table: Table, rows: readonly MeasuredRow[], ctx: Context): Promise<TableRecord> {
  const breathe = breather(ctx, "grid");
  const shapes = table.columns.map((column, i) => shapeOf(column, rows.map(({ cells }) => cells[i]!.number).find(Boolean)));
  const cells = rows.map((row) => row.cells.map(({ cell }) => cell));
  if (table.compare)
    for (const [i, { metric }] of shapes.entries()) {
      if (metric === undefined) continue;
      ctx.log({ kind: "progress", stage: `testing the rows of ${name}`, done: i + 1, total: shapes.length, unit: "columns" });
      for (const [row, tests] of await testsOf(table, rows, i, breathe)) cells[row]![i] = { ...cells[row]![i]!, ...tests };
    }
  return {
    name,
    title: table.title ?? "",
    caption: table.caption ?? "",
    columns: shapes,
    rows: rows.map(({ at, isBase, collapsed }, i) => ({
      at,
      cells: cells[i]!,
      ...(isBase && { isBase }),
      ...(collapsed && { collapsed }),
    })),
    isCompared: table.compare,
    differs: table.differs,
    verdicts: verdictsOf(table, rows, namer(table)),
  };
}
