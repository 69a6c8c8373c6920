/** The folder of a report: one page, the same in Markdown, and a file for each table and figure. */
import { existsSync, mkdirSync, readdirSync, statSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fail } from "../base/fail.ts";
import { holding } from "../base/store.ts";
import type { FigureRecord, GridRecord } from "../run/grid/record.ts";
import { tableCsv } from "./csv.ts";
import type { Drawn } from "./figures/figure.ts";
import { reportPage } from "./html.ts";
import { tableLatex } from "./latex.ts";
import { figureFile, reportMarkdown, tableMarkdown } from "./markdown.ts";
import { madeWith } from "./notes.ts";

const [PAGE, TEXT, TABLES, FIGURES, ANSWERS] = ["index.html", "report.md", "tables", "figures", "answers"];

/** Files by their paths below the folder. */
export type Files = ReadonlyMap<string, string | Uint8Array>;

/** Every file of a report. Tables and figures of several grids are in a folder for each. */
export async function reportFiles(records: readonly GridRecord[]): Promise<Files> {
  const twice = records.find(({ name }, i) => records.some((one, k) => k < i && one.name === name));
  if (twice) fail("report", `two grids are called ${twice.name}`, "a name for each", "Change name: in one of the files.");
  const folderOf = ({ name }: GridRecord): string => (records.length > 1 ? `${name}/` : "");
  const drawn = new Map<FigureRecord, Drawn>();
  for (const record of records) for (const figure of record.figures) drawn.set(figure, await drawnOf(figure, record));
  const files = new Map<string, string | Uint8Array>([
    [PAGE, reportPage(records, (_, figure) => drawn.get(figure)!)],
    [TEXT, reportMarkdown(records, folderOf)],
  ]);
  for (const record of records) {
    for (const table of record.tables) {
      const at = `${folderOf(record)}${TABLES}/${table.name}`;
      files.set(`${at}.csv`, tableCsv(table));
      files.set(`${at}.tex`, tableLatex(table));
      files.set(`${at}.md`, `${tableMarkdown(table, madeWith(record))}\n`);
    }
    for (const { name, lines } of record.answers)
      files.set(`${folderOf(record)}${ANSWERS}/${name}.jsonl`, lines.map((line) => `${JSON.stringify(line)}\n`).join(""));
    for (const figure of record.figures) {
      const { spec, svg, png } = drawn.get(figure)!;
      const at = (ending: string): string => figureFile(figure, ending, folderOf(record));
      files.set(at("vl.json"), `${JSON.stringify(spec, null, 1)}\n`);
      files.set(at("svg"), svg);
      files.set(at("png"), png);
    }
  }
  return files;
}

/** The libraries that draw are large: a report without figures does not load them. */
async function drawnOf(figure: FigureRecord, record: GridRecord): Promise<Drawn> {
  const { draw } = await import("./figures/figure.ts");
  return draw(figure, record);
}

/** Takes the folder, makes the records, and writes their report. Refuses a folder that holds something else than a report, before the work. */
export async function writeReport(out: string, work: () => Promise<readonly GridRecord[]>): Promise<number> {
  return holding(out, "report", async (output) => {
    refuseOther(output.path, out);
    const files = await reportFiles(await work());
    output.put((making) => {
      for (const [name, content] of files) {
        mkdirSync(dirname(join(making, name)), { recursive: true });
        writeFileSync(join(making, name), content);
      }
    });
    return files.size;
  });
}

/** A folder is replaced if it is empty, or if it holds what a report holds and nothing else. */
function refuseOther(path: string, out: string): void {
  if (!existsSync(path)) return;
  const names = statSync(path).isDirectory() ? readdirSync(path) : undefined;
  const isGrid = (name: string): boolean => existsSync(join(path, name, TABLES!)) || existsSync(join(path, name, FIGURES!));
  const isReport = names?.includes(PAGE!) && names.every((name) => [PAGE, TEXT, TABLES, FIGURES, ANSWERS].includes(name) || isGrid(name));
  if (names?.length !== 0 && !isReport)
    fail("report", `${out} is there and holds something else than a report`, "a new folder, or an earlier report", "Choose another path.");
}
