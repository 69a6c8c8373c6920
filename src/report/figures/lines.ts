/** Lines with bands: a number by a variable, losses by step, or what an attack recovers by its attempts. */
import type { FigureRecord } from "../../run/grid/record.ts";
import { loose, seriesOf, type Spec, whole } from "./spec.ts";

/** Points of a line that are marked; a longer line has none, because its marks would cover it. */
const MARKED = 30;

/** The figure of some series. */
export function lines({ title, x, y, series }: Extract<FigureRecord, { kind: "lines" }>): Spec {
  const values = series.flatMap(({ label, points }) => points.map((point) => ({ row: label, ...point })));
  const { color, shape, strokeDash } = seriesOf(series.map(({ label }) => label));
  const [across, up] = [loose("x", x), loose("y", y)];
  const isMarked = series.every(({ points }) => points.length <= MARKED);
  const hasBands = values.some(({ low }) => low !== undefined);
  return whole(title, {
    width: 440,
    height: 300,
    data: { values },
    encoding: { x: across, color },
    layer: [
      ...(hasBands ? [{ mark: { type: "area", opacity: 0.16 }, encoding: { y: { ...up, field: "low" }, y2: { field: "high" } } }] : []),
      { mark: { type: "line", strokeWidth: 2 }, encoding: { y: up, ...(!isMarked && { strokeDash }) } },
      ...(isMarked ? [{ mark: { type: "point", filled: true, size: 60, opacity: 1 }, encoding: { y: up, shape } }] : []),
    ],
  });
}
