/** Counts how often each method is among the best of a column: a table that is made from another one. */
import { groupsBy, mean } from "../../base/array.ts";
import { canonical } from "../../base/hash.ts";
import { NOTHING, textCell } from "./cell.ts";
import { textOf } from "./here.ts";
import type { TableCell, TableColumn, TableRecord, TableRow } from "./record.ts";
import { type Table, topName } from "./report-schema.ts";
import type { Json } from "./schema.ts";

type Top = NonNullable<Table["top"]>;

/** How often a value took part, and how often it was among the best. */
interface Count {
  readonly of: number;
  readonly best: number;
}

/**
 * The table of counts. Rows that agree in all other variables compete in each column. The best `best` values count, and all that equal them. A
 * collapsed model takes part and never counts. The untouched model takes no part. A column in which no more than `best` rows compete is left
 * out, and so is one without a better side.
 */
export function topOf(top: Top, table: TableRecord): TableRecord {
  const { of, best, columns: titles, without, title = `Among the best ${best}` } = top;
  const isLeftOut = ({ at, isBase }: TableRow): boolean =>
    isBase === true || at[of] === undefined || without.some((value) => canonical(value) === canonical(at[of]));
  const rows = table.rows.filter((row) => !isLeftOut(row));
  const groups = [...groupsBy(rows, ({ at }) => canonical(Object.entries(at).filter(([name]) => name !== of))).values()];
  const nameOf = ({ at }: TableRow): string => textOf(at[of] as Json);
  const names = [...new Set(rows.map(nameOf))];
  const counts = titles.map((name) => {
    const place = table.columns.findIndex((column) => column.title === name);
    return countsIn(groups, place, table.columns[place]!, { best, nameOf });
  });
  const heading = table.columns.find(({ isText }, i) => isText && rows.every((row) => row.cells[i]!.text === nameOf(row)))?.title ?? of;
  const others = Object.keys(rows[0]?.at ?? {}).filter((name) => name !== of);
  return {
    name: topName(table.name),
    title,
    caption: `How often each is among the best ${best} of a column${others.length > 0 ? `, for each ${others.join(" and ")}` : ""}. Equal values count for all. A collapsed model is never among the best.`,
    columns: [{ ...SHAPE, title: heading, isText: true }, ...titles.map((name) => ({ ...SHAPE, title: name })), { ...SHAPE, title: "all" }],
    rows: names.map((name) => {
      const own = counts.map((count) => count.get(name) ?? { of: 0, best: 0 });
      const all = own.reduce((sum, one) => ({ of: sum.of + one.of, best: sum.best + one.best }));
      return { at: { [of]: name }, cells: [textCell(name), ...[...own, all].map(countCell)] };
    }),
    isCompared: false,
    differs: [],
    verdicts: [],
  };
}

const SHAPE = { isText: false, average: "sum", as: "count", decimals: 0 } as const satisfies Partial<TableColumn>;

const countCell = ({ of, best }: Count): TableCell => (of === 0 ? NOTHING : { ...NOTHING, values: [best], wanted: 1, of });

function countsIn(
  groups: readonly (readonly TableRow[])[],
  place: number,
  { better }: TableColumn,
  { best, nameOf }: { readonly best: number; readonly nameOf: (row: TableRow) => string },
): Map<string, Count> {
  const counts = new Map<string, Count>();
  if (better !== "higher" && better !== "lower") return counts;
  const sign = better === "higher" ? 1 : -1;
  for (const group of groups) {
    const taking = group.flatMap((row) => {
      const value = sign * mean(row.cells[place]!.values);
      return Number.isNaN(value) ? [] : [{ row, value }];
    });
    if (taking.length <= best) continue;
    const sound = taking.filter(({ row }) => !row.collapsed);
    for (const { row, value } of taking) {
      const isBest = !row.collapsed && sound.filter((other) => other.value > value).length < best;
      const known = counts.get(nameOf(row)) ?? { of: 0, best: 0 };
      counts.set(nameOf(row), { of: known.of + 1, best: known.best + (isBest ? 1 : 0) });
    }
  }
  return counts;
}
