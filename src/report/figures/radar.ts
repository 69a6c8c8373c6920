/** A polygon for each row over axes that leave one centre. Vega-Lite has no such mark, so the corners are computed here. */
import type { FigureRecord, TableRecord } from "../../run/grid/record.ts";
import { COLOURS, domainOf, seriesOf, type Shown, shownIn, type Spec, whole } from "./spec.ts";

const RINGS = [0.25, 0.5, 0.75, 1];
/** Where the names of the axes stand, as a share of the radius. */
const NAMES_AT = 1.12;

interface Axis {
  readonly title: string;
  readonly most: number;
  readonly shown: readonly Shown[];
}

/** The figure of at least three columns of a table. A row that lacks a number of them has no polygon. */
export function radar({ title, columns }: Extract<FigureRecord, { kind: "radar" }>, table: TableRecord): Spec {
  const axes = columns.map((name): Axis => axisOf(name, table));
  const corner = (axis: number, share: number): { readonly x: number; readonly y: number } => {
    const angle = (2 * Math.PI * axis) / axes.length;
    return { x: rounded(share * Math.sin(angle)), y: rounded(share * Math.cos(angle)) };
  };
  const rows = axes[0]!.shown.map(({ row }) => row).filter((row) => axes.every(({ shown }) => shown.some((one) => one.row === row)));
  const values = rows.flatMap((row) =>
    axes.map(({ most, shown, title: axis }, i) => {
      const { value, low, high } = shown.find((one) => one.row === row)!;
      const [from, to] = [low, high].map((end) => (end === undefined ? undefined : corner(i, end / most)));
      return { row, axis, i, value, ...corner(i, value / most), ...(from && to && { x1: from.x, y1: from.y, x2: to.x, y2: to.y }) };
    }),
  );
  const rings = RINGS.flatMap((ring) => axes.map((_, i) => ({ ring, i, ...corner(i, ring) })));
  const spokes = axes.map((_, i) => ({ ...corner(i, 1), x2: 0, y2: 0 }));
  const names = axes.map(({ title: axis, most }, i) => ({
    ...corner(i, NAMES_AT),
    name: `${axis} (0 to ${most})`,
    side: sideOf(corner(i, 1).x),
  }));
  const { color, shape } = seriesOf(rows);
  const closed = { type: "line", interpolate: "linear-closed" };
  return whole(title, {
    width: 320,
    height: 320,
    encoding: { x: flat("x"), y: flat("y") },
    layer: [
      {
        data: { values: rings },
        mark: { ...closed, color: COLOURS.line, strokeWidth: 1 },
        encoding: { detail: { field: "ring" }, order: { field: "i" } },
      },
      { data: { values: spokes }, mark: { type: "rule", color: COLOURS.line }, encoding: { x2: { field: "x2" }, y2: { field: "y2" } } },
      {
        data: { values: values.filter(({ x1 }) => x1 !== undefined) },
        mark: { type: "rule", opacity: 0.45, strokeWidth: 2 },
        encoding: { x: flat("x1"), y: flat("y1"), x2: { field: "x2" }, y2: { field: "y2" }, color },
      },
      { data: { values }, mark: { ...closed, strokeWidth: 2 }, encoding: { color, order: { field: "i" } } },
      { data: { values }, mark: { type: "point", filled: true, size: 60, opacity: 1 }, encoding: { color, shape } },
      ...(["left", "center", "right"] as const).map((side) => ({
        data: { values: names.filter((one) => one.side === side) },
        mark: { type: "text", align: side, fontSize: 11 },
        encoding: { text: { field: "name" } },
      })),
    ],
  });
}

/** An axis goes from 0 to 1, or to 100 per cent, or to the largest value. */
function axisOf(title: string, table: TableRecord): Axis {
  const shown = shownIn(table, title);
  const values = shown.flatMap(({ value, high = value }) => [value, high]);
  const domain = domainOf(
    table.columns.find((column) => column.title === title)!,
    values,
  );
  return { title, shown, most: domain?.[1] ?? Number(Math.max(...values, Number.MIN_VALUE).toPrecision(3)) };
}

const rounded = (x: number): number => Math.round(x * 1e6) / 1e6;
const flat = (field: string): Spec => ({ field, type: "quantitative", axis: null, scale: { domain: [-1.25, 1.25], nice: false } });
/** How a name is aligned, so that it leads away from the centre. */
const sideOf = (x: number): "left" | "center" | "right" => (Math.abs(x) < 0.1 ? "center" : x > 0 ? "left" : "right");
