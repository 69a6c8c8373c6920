/** What is forgotten against what is kept: a mark for each row, with the intervals of both numbers. */
import type { FigureRecord, TableRecord } from "../../run/grid/record.ts";
import { axisTitle, loose, seriesOf, shownIn, type Spec, whole } from "./spec.ts";

/** The figure of two columns of a table. */
export function frontier({ title, x, y }: Extract<FigureRecord, { kind: "frontier" }>, table: TableRecord): Spec {
  const others = new Map(shownIn(table, y).map((one) => [one.row, one]));
  const values = shownIn(table, x).flatMap(({ row, value, low, high }) => {
    const other = others.get(row);
    return other ? [{ row, x: value, xLow: low, xHigh: high, y: other.value, yLow: other.low, yHigh: other.high }] : [];
  });
  const { color, shape } = seriesOf(values.map(({ row }) => row));
  const [across, up] = [loose("x", axisTitle(table, x)), loose("y", axisTitle(table, y))];
  const rule = { type: "rule", opacity: 0.55, strokeWidth: 1.5 };
  return whole(title, {
    width: 400,
    height: 320,
    data: { values },
    encoding: { color },
    layer: [
      { mark: rule, encoding: { x: { ...across, field: "xLow" }, x2: { field: "xHigh" }, y: up } },
      { mark: rule, encoding: { x: across, y: { ...up, field: "yLow" }, y2: { field: "yHigh" } } },
      { mark: { type: "point", filled: true, size: 80, opacity: 1 }, encoding: { x: across, y: up, shape } },
    ],
  });
}
