/** Checks the tables and figures of a grid file: what they name is there, and each column says one thing. */
import { fail } from "../../base/fail.ts";
import { isRecord } from "../../base/store.ts";
import { type Place, unknownIn } from "./place.ts";
import { type Column, type Figure, PROVEN, RECOVERED, type Table, topName } from "./report-schema.ts";
import type { GridFile } from "./schema.ts";

const [CONTENTS, STEPS_OF] = [
  ["text", "sample", "number", "seconds", "bytes", "rows", "proof", "recovered"],
  ["of", "before", "seconds", "per", "bytes", "rows", "proof", "recovered"],
] as const;

/** The steps that the tables and figures name, or the variables that hold them. */
export function stepsNamed({ tables, figures, answers }: GridFile): string[] {
  const inTables = Object.values(tables).flatMap(({ base, columns }) => [
    ...columns.flatMap((column) => STEPS_OF.flatMap((key) => column[key] ?? [])),
    ...(typeof base === "string" ? [base] : []),
  ]);
  const inFigures = Object.values(figures).flatMap((figure) => ("of" in figure ? [figure.of] : []));
  return [...inTables, ...inFigures, ...Object.values(answers).flatMap(({ before, after }) => [before, after])];
}

/** The names of steps, and the others that may hold one: variables, and the members of the entries of axes. */
interface Known {
  readonly steps: readonly string[];
  readonly holders: ReadonlySet<string>;
}

function knownIn({ steps, vars, axes }: GridFile): Known {
  const lists = Object.values(axes).map((axis) => listOf(axis, vars));
  const members = lists.flatMap((list) => (Array.isArray(list) ? list.filter(isRecord).flatMap((entry) => Object.keys(entry)) : []));
  return { steps: Object.keys(steps), holders: new Set([...Object.keys(vars), ...members]) };
}

/** The entries of an axis, also where a variable holds them. */
function listOf(axis: GridFile["axes"][string], vars: GridFile["vars"]): unknown {
  let value: unknown = axis;
  for (const seen = new Set<string>(); typeof value === "string" && seen.size < seen.add(value).size;)
    value = vars[value.slice(2, -1).trim()];
  return value;
}

/** Refuses a name that is no step and holds none. */
function checkStep(name: string, { steps, holders }: Known, placeOf: () => string): void {
  if (!steps.includes(name) && !holders.has(name)) unknownIn(placeOf(), `there is no step "${name}"`, name, steps);
}

/** Refuses a table, a figure or a file of answers that names a step, a column, a variable or a table that is not there. */
export function checkReport(grid: GridFile, placeOf: Place): void {
  const { tables, figures, answers } = grid;
  const known = knownIn(grid);
  for (const [name, table] of Object.entries(tables)) {
    checkTable(table, known, (path) => placeOf(["tables", name, ...path]));
    for (const [i, { shows }] of table.orders.entries())
      if (shows !== undefined && !Object.hasOwn(grid.observations, shows))
        unknownIn(
          placeOf(["tables", name, "orders", i, "shows"]),
          `there is no observation "${shows}"`,
          shows,
          Object.keys(grid.observations),
        );
  }
  for (const [name, figure] of Object.entries(figures)) {
    const table = tables[figure.table];
    const place: Place = (path) => placeOf(["figures", name, ...path]);
    if (!table) unknownIn(place(["table"]), `there is no table "${figure.table}"`, figure.table, Object.keys(tables));
    checkFigure(figure, table!, known, place);
  }
  for (const [name, { table, before, after }] of Object.entries(answers)) {
    const place: Place = (path) => placeOf(["answers", name, ...path]);
    if (!tables[table]) unknownIn(place(["table"]), `there is no table "${table}"`, table, Object.keys(tables));
    checkStep(before, known, () => place(["before"]));
    checkStep(after, known, () => place(["after"]));
  }
  for (const name of Object.keys(tables))
    if (tables[name]!.top && tables[topName(name)])
      fail(
        placeOf(["tables", topName(name)]),
        `the table "${topName(name)}"`,
        "another name",
        `The counts of the table "${name}" have this name.`,
      );
}

function checkTable(table: Table, known: Known, placeOf: Place): void {
  const titles = table.columns.map(({ title }) => title);
  const twice = titles.findIndex((title, i) => titles.indexOf(title) !== i);
  if (twice >= 0) fail(placeOf(["columns", twice]), `two columns are called "${titles[twice]}"`, "a title for each", "");
  for (const [i, column] of table.columns.entries()) checkColumn(column, known, (path) => placeOf(["columns", i, ...path]));
  const { base } = table;
  if (typeof base === "string") checkStep(base, known, () => placeOf(["base"]));
  for (const name of typeof base === "object" ? Object.keys(base) : [])
    if (!table.rows.includes(name)) unknownIn(placeOf(["base", name]), `"${name}" does not tell rows apart`, name, table.rows);
  const [numbers, shown] = [
    numbersOf(table),
    table.columns.flatMap(({ title, text, sample }) => (text === undefined && sample === undefined ? [title] : [])),
  ];
  for (const title of Object.keys(table.published?.columns ?? {}))
    if (!shown.includes(title)) unknownIn(placeOf(["published", "columns", title]), `there is no column "${title}"`, title, shown);
  if (table.top) checkTop(table.top, table.rows, numbers, (path) => placeOf(["top", ...path]));
  for (const [i, { column, a, b }] of table.orders.entries()) {
    if (!numbers.includes(column)) unknownIn(placeOf(["orders", i, "column"]), `there is no number "${column}"`, column, numbers);
    for (const [side, variables] of Object.entries({ a, b }))
      for (const name of Object.keys(variables))
        if (!table.rows.includes(name))
          unknownIn(placeOf(["orders", i, side, name]), `"${name}" does not tell rows apart`, name, table.rows);
  }
}

function checkTop({ of, columns }: NonNullable<Table["top"]>, rows: readonly string[], numbers: readonly string[], placeOf: Place): void {
  if (!rows.includes(of)) unknownIn(placeOf(["of"]), `"${of}" does not tell rows apart`, of, rows);
  for (const [i, title] of columns.entries())
    if (!numbers.includes(title)) unknownIn(placeOf(["columns", i]), `there is no number "${title}"`, title, numbers);
}

/** The titles of the columns of numbers. */
const numbersOf = ({ columns }: Table): string[] => columns.filter(({ number }) => number !== undefined).map(({ title }) => title);

/** Checks a column: it has one kind of content, and names existing steps. */
function checkColumn(column: Column, known: Known, placeOf: Place): void {
  const holds = CONTENTS.filter((key) => column[key] !== undefined);
  const place = placeOf([]);
  if (holds.length !== 1)
    fail(place, `"${column.title}" says ${holds.join(" and ") || "nothing of what it holds"}`, `one of ${CONTENTS.join(", ")}`, "");
  const isOf = column.number !== undefined || column.sample !== undefined;
  if (isOf !== (column.of !== undefined))
    fail(
      place,
      `"${column.title}" has ${isOf ? holds[0]! : "of"} alone`,
      `${isOf ? holds[0]! : "number"} and of`,
      "Say which step it is of.",
    );
  if (column.row !== undefined && column.sample === undefined)
    fail(place, `"${column.title}" has row alone`, "sample and row", "Say which text of the question is shown.");
  checkShare(column, place);
  if (column.facts !== undefined && column.number === undefined)
    fail(place, `"${column.title}" has facts alone`, "number and facts", "Say which number is shown.");
  for (const key of STEPS_OF) {
    const name: Column[typeof key] = column[key];
    if (name !== undefined) checkStep(name, known, () => placeOf([key]));
  }
}

/** Refuses a proof or an attack without a share of it, and a share of something else. */
function checkShare({ title, proof, recovered, share }: Column, place: string): void {
  const wanted = proof !== undefined ? PROVEN : recovered !== undefined ? RECOVERED : [];
  if (share === undefined ? wanted.length > 0 : !wanted.some((one) => one === share))
    fail(
      place,
      share === undefined ? `"${title}" has no share` : `"${title}" has the share ${share}`,
      wanted.length > 0 ? `one of ${wanted.join(", ")}` : "proof or recovered",
      "Say which share is shown.",
    );
}

function checkFigure(figure: Figure, table: Table, known: Known, placeOf: Place): void {
  const drawn = table.columns.filter(({ text, sample }) => text === undefined && sample === undefined).map(({ title }) => title);
  const named: (readonly [path: readonly (string | number)[], title: string])[] =
    figure.kind === "bars" || figure.kind === "radar"
      ? figure.columns.map((title, i) => [["columns", i], title])
      : figure.kind === "frontier"
        ? [
            [["x"], figure.x],
            [["y"], figure.y],
          ]
        : figure.kind === "curve"
          ? [[["y"], figure.y]]
          : [];
  for (const [path, title] of named)
    if (!drawn.includes(title)) unknownIn(placeOf(path), `there is no number "${title}" in the table`, title, drawn);
  for (const name of Object.keys(figure.only ?? {}))
    if (!table.rows.includes(name)) unknownIn(placeOf(["only", name]), `"${name}" does not tell rows apart`, name, table.rows);
  if (figure.kind === "curve" && !table.rows.includes(figure.x))
    unknownIn(placeOf(["x"]), `"${figure.x}" does not tell rows apart`, figure.x, table.rows);
  if ("of" in figure) checkStep(figure.of, known, () => placeOf(["of"]));
}
