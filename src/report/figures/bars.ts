/** Bars with their intervals: a panel for each column, a bar for each row. */
import type { FigureRecord, TableRecord } from "../../run/grid/record.ts";
import { axisTitle, COLOURS, domainOf, shownIn, type Spec, whole } from "./spec.ts";

/** The figure of some columns of a table. */
export function bars({ title, columns }: Extract<FigureRecord, { kind: "bars" }>, table: TableRecord): Spec {
  return whole(title, { vconcat: columns.map((column) => panel(column, table)), spacing: 24 });
}

function panel(title: string, table: TableRecord): Spec {
  const values = shownIn(table, title);
  const domain = domainOf(
    table.columns.find((column) => column.title === title)!,
    values.flatMap(({ value, low = value, high = value }) => [value, low, high]),
  );
  const y = { field: "row", type: "nominal", sort: null, title: null, axis: { ticks: false, domain: false } };
  const x = { field: "value", type: "quantitative", title: axisTitle(table, title), ...(domain && { scale: { domain } }) };
  return {
    width: 340,
    height: { step: 20 },
    data: { values },
    encoding: { y },
    layer: [
      {
        mark: { type: "bar", height: 12, fillOpacity: 0.6 },
        encoding: { x, color: { condition: { test: "datum.isBase", value: COLOURS.soft }, value: COLOURS.only } },
      },
      { mark: { type: "rule", color: COLOURS.ink, strokeWidth: 1.5 }, encoding: { x: { ...x, field: "low" }, x2: { field: "high" } } },
    ],
  };
}
