/** Published figures beside ours: reads their file, and finds the one of each cell. */
import { fail } from "../../base/fail.ts";
import { isRecord, readJson } from "../../base/store.ts";
import type { PublishedValue } from "./record.ts";
import type { Point } from "./unfold.ts";

type Figure = Readonly<Record<string, unknown>> & { readonly value: number | null };

/** Finds published figures; every file is read once. */
export class Published {
  private readonly files = new Map<string, readonly Figure[]>();

  /** The figure of a row's first point for a column; undefined if the table names none. Refuses two figures for one cell. */
  of({ published }: Point, title: string): PublishedValue | undefined {
    const column = published?.columns[title];
    if (!published || !column) return undefined;
    const wanted = Object.entries({ ...published.match, ...column.match });
    const found = this.in(published.file).filter((figure) => wanted.every(([name, value]) => String(figure[name]) === String(value)));
    if (found.length > 1)
      fail(
        published.file,
        `${found.length} figures with ${wanted.map(([name, value]) => `${name} ${String(value)}`).join(", ")}`,
        "one",
        `Say more under published, in the grid: a figure has ${Object.keys(found[0]!).join(", ")}.`,
      );
    const [one] = found;
    if (!one) return undefined;
    const { value, to, corrected, why, paper } = one;
    return {
      paper: typeof paper === "string" ? paper : "the paper",
      value: value === null ? null : value * column.scale,
      ...(typeof to === "number" && { to: to * column.scale }),
      ...(typeof corrected === "number" && { corrected: corrected * column.scale }),
      ...(typeof why === "string" && { why }),
    };
  }

  private in(file: string): readonly Figure[] {
    const known = this.files.get(file);
    if (known) return known;
    const read: unknown = readJson(file, "grid");
    const all = Array.isArray(read) ? read : isRecord(read) ? read["rows"] : undefined;
    const isFigure = (one: unknown): one is Figure => isRecord(one) && (one["value"] === null || typeof one["value"] === "number");
    if (!Array.isArray(all) || !all.every(isFigure))
      fail(
        file,
        "no list of published figures",
        "a list of objects, each with a value, which is a number or null",
        "docs/reports.md has an example.",
      );
    this.files.set(file, all as readonly Figure[]);
    return all as readonly Figure[];
  }
}
