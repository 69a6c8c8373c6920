/** The lines of a grid's figures: a number by a variable, losses by step, and what an attack recovers by its attempts. */
import { groupsBy, mean } from "../../base/array.ts";
import { canonical } from "../../base/hash.ts";
import { isRecord } from "../../base/store.ts";
import type { AttackRecord } from "../attack.ts";
import { type AllDone, gather } from "./gather.ts";
import type { FigureRecord, Series } from "./record.ts";
import type { Figure } from "./report-schema.ts";
import { isAdded, type MeasuredRow } from "./table.ts";

/** A table while its figures are made. */
export interface Drawn {
  readonly rows: readonly MeasuredRow[];
  /** The name of a row: its texts, without the columns that are left out. */
  readonly nameOf: (row: MeasuredRow, without?: ReadonlySet<string>) => string;
  /** The titles of its columns. */
  readonly titles: readonly string[];
  readonly done: AllDone;
}

type Lines = Extract<FigureRecord, { kind: "lines" }>;
type Of<K extends Figure["kind"]> = Extract<Figure, { kind: K }>;

/** A figure of the grid file as a record. Untouched models are drawn too. */
export function figureOf(name: string, figure: Figure, drawn: Drawn): FigureRecord {
  const { table, title = name, caption = "", only } = figure;
  const wanted = (row: MeasuredRow): boolean => Object.entries(only ?? {}).every(([variable, values]) => isOneOf(row.at[variable], values));
  const rows = drawn.rows.filter((row) => isAdded(row) || wanted(row));
  const about = { name, title, caption, table, ...(only && { rows: rows.map((row) => drawn.rows.indexOf(row)) }) };
  if (figure.kind === "bars" || figure.kind === "radar") return { ...about, kind: figure.kind, columns: figure.columns };
  if (figure.kind === "frontier") return { ...about, kind: figure.kind, x: figure.x, y: figure.y };
  const of = { ...drawn, rows };
  const lines = figure.kind === "curve" ? curve(figure, of) : figure.kind === "losses" ? losses(figure, of) : sweep(figure, of);
  return { ...about, kind: "lines", ...lines };
}

const isOneOf = (own: unknown, values: unknown): boolean =>
  (Array.isArray(values) ? values : [values]).some((value) => canonical(value) === canonical(own));

type Absent = Lines["absent"][number];
type Content = Omit<Lines, "name" | "title" | "caption" | "table" | "kind">;

/** A number by a variable: rows that differ in the variable alone are points of one line. */
function curve({ x, y }: Of<"curve">, { rows, nameOf, titles }: Drawn): Content {
  const column = titles.indexOf(y);
  const own = rows.filter((row) => !isAdded(row));
  const groups = groupsBy(own, ({ at }) => canonical(Object.entries(at).filter(([name]) => name !== x)));
  const absent: Absent[] = [];
  const series = [...groups.values()].flatMap((group): Series[] => {
    const label = nameOf(group[0]!, differingIn(group));
    const points = group.flatMap((row) => {
      const { values, interval, absent: why, lacks } = row.cells[column]!.cell;
      const at = Number(row.at[x]);
      if (values.length === 0 || Number.isNaN(at)) {
        absent.push({
          row: nameOf(row),
          reason: Number.isNaN(at) ? `${x} is no number` : ([...why, ...lacks][0] ?? "there is no such number"),
        });
        return [];
      }
      return [{ x: at, y: mean(values), ...(interval && { low: interval.low, high: interval.high }) }];
    });
    return points.length > 0 ? [{ label, points: points.sort((a, b) => a.x - b.x) }] : [];
  });
  return { x, y, band: "95 % interval", series, absent };
}

/** The text columns that differ within a group of rows. */
function differingIn(group: readonly MeasuredRow[]): ReadonlySet<string> {
  const texts = Object.keys(group[0]!.points[0]!.texts);
  return new Set(texts.filter((title) => new Set(group.map(({ points }) => points[0]!.texts[title])).size > 1));
}

/** The mean loss of each training step over the runs of a row. */
function losses({ of }: Of<"losses">, drawn: Drawn): Content {
  const read = (result: unknown): Line[] => lossesIn(result).map((list) => list.map((y, i) => ({ x: i + 1, y: Number(y) })));
  return { x: "step", y: "loss", band: SPREAD, ...linesOf(of, drawn, read, "the step keeps no losses") };
}

const SPREAD = "from the lowest to the highest of several runs";
type Line = Series["points"];

/** The losses in the result of a finetuning, or in the evidence of each edit. A loss that is not finite is stored as a text. */
function lossesIn(result: unknown): unknown[][] {
  if (!isRecord(result)) return [];
  const edits = Array.isArray(result["edits"]) ? (result["edits"] as unknown[]) : [];
  const evidence = edits.map((edit) => (isRecord(edit) && isRecord(edit["evidence"]) ? edit["evidence"]["losses"] : undefined));
  return [result["losses"], ...evidence].filter((list): list is unknown[] => Array.isArray(list));
}

/** The share of the answers that the best of so many attempts recovers. */
function sweep({ of }: Of<"sweep">, drawn: Drawn): Content {
  const read = (result: unknown): Line[] => {
    const { sweep: rows } = result as Partial<AttackRecord>;
    if (!rows) return [];
    return [
      rows.map(({ size, worst, error }) => ({
        x: size,
        y: worst,
        low: Math.max(0, worst - Z * error),
        high: Math.min(1, worst + Z * error),
      })),
    ];
  };
  const band = `95 % interval of one run; ${SPREAD}`;
  return { x: "attempts", y: "recovered share of the answers", band, ...linesOf(of, drawn, read, "the step is no attack") };
}

/** Standard errors to each side of a 95 % interval. */
const Z = 1.96;

/** A line for each row: the mean over its runs at each place. Of several runs, the band goes from the lowest to the highest. */
function linesOf(
  step: string,
  { rows, nameOf, done }: Drawn,
  read: (result: unknown) => readonly Line[],
  lacks: string,
): Pick<Content, "series" | "absent"> {
  const absent: Absent[] = [];
  const series = rows.flatMap((row): Series[] => {
    if (isAdded(row)) return [];
    const { runs, absent: why } = gather(step, row.points, done);
    const lines = runs.flatMap(({ record }) => read(record.result));
    if (lines.length === 0) {
      absent.push({ row: nameOf(row), reason: why[0] ?? lacks });
      return [];
    }
    const places = groupsBy(
      lines.flat().filter(({ y }) => Number.isFinite(y)),
      ({ x }) => x,
    );
    const points = [...places].map(([x, all]) => {
      const ys = all.map(({ y }) => y);
      return all.length === 1 ? all[0]! : { x, y: mean(ys), low: Math.min(...ys), high: Math.max(...ys) };
    });
    return [{ label: nameOf(row), points: points.sort((a, b) => a.x - b.x) }];
  });
  return { series, absent };
}
