/** A grid's report in Markdown: each table with its notes, the figures, and what they were made with. */
import { groupsBy } from "../base/array.ts";
import type { FigureRecord, GridRecord, TableRecord } from "../run/grid/record.ts";
import { type CellText, cellsOf } from "./cells.ts";
import { CONCLUSIONS, conclusionsMarkdown } from "./conclusions.ts";
import { CHANGED, legendOf, madeWith, methodsText, publishedNotes, reasonsIn } from "./notes.ts";
import { markdown } from "./page.ts";

/** A table with everything that stands below it; `made` are the lines on what it was made with. */
export function tableMarkdown(table: TableRecord, made: readonly string[] = []): string {
  const { differs, verdicts } = publishedNotes(table);
  const list = (heading: string, lines: readonly string[]): string[] =>
    lines.length > 0 ? [...(heading ? [heading] : []), lines.map((line) => `- ${line}`).join("\n")] : [];
  return [
    tableAlone(table),
    ...(table.caption ? [table.caption] : []),
    ...[legendOf(table).join("\n").replaceAll(CHANGED, `\\${CHANGED}`)].filter(Boolean),
    ...list("", reasonsIn(table)),
    ...list("The setting differs from the paper's:", differs),
    ...list("Published orders, and whether our runs have them:", verdicts),
    made.join("\n"),
  ]
    .filter(Boolean)
    .join("\n\n");
}

/** Heading and rows. */
function tableAlone(table: TableRecord): string {
  const left = table.columns.findIndex(({ isText }) => !isText);
  return markdown(tableRows(table), left < 0 ? table.columns.length : left);
}

/** Heading and rows as text. */
export const tableRows = (table: Pick<TableRecord, "columns" | "rows">): string[][] => [
  table.columns.map(({ title }) => title),
  ...table.rows.map((row) => cellsOf(table, row).map(whole)),
];

/** "**97.4 %**\* [86.5, 99.9]; paper 95.0 %" */
function whole({ value, interval, isBest, isChanged, published }: CellText): string {
  const own = `${isBest ? `**${value}**` : value}${isChanged ? `\\${CHANGED}` : ""}${interval === undefined ? "" : ` ${interval}`}`;
  return published === undefined ? own : `${own}; ${published}`;
}

/** The files of a figure below the folder of a report. */
export const figureFile = ({ name }: Pick<FigureRecord, "name">, ending: string, folder = ""): string =>
  `${folder}figures/${name}.${ending}`;

/** The whole report of some grids. `folderOf` tells where the figures of a grid are. */
export function reportMarkdown(records: readonly GridRecord[], folderOf: (record: GridRecord) => string): string {
  const conclusions = conclusionsMarkdown(records);
  const head = conclusions === "" ? [] : [`# ${CONCLUSIONS}`, conclusions];
  return `${[...head, ...records.map((record) => section(record, folderOf(record)))].join("\n\n")}\n`;
}

function section(record: GridRecord, folder: string): string {
  const tables = record.tables.flatMap((table) => [`## ${table.title || table.name}`, tableMarkdown(table)]);
  const figures = record.figures.flatMap((figure) => [
    `## ${figure.title}`,
    `![${figure.title}](${figureFile(figure, "svg", folder)})`,
    ...[captionOf(figure)].filter(Boolean),
  ]);
  return [
    `# ${record.name}`,
    ...[record.doc].filter(Boolean),
    ...tables,
    ...figures,
    "## Methods",
    ...methodsText(record),
    ...record.metrics.map(({ name, doc, caveat }) => `\`${name}\`: ${doc}. ${caveat}`),
    madeWith(record).join("\n"),
  ].join("\n\n");
}

/** The sentences below a figure: its caption, the meaning of its bands, and why a row has no line. */
export const captionOf = (figure: FigureRecord): string =>
  [
    figure.caption,
    ...(figure.kind === "lines" && figure.series.some(({ points }) => points.some(({ low }) => low !== undefined))
      ? [`Bands: ${figure.band}.`]
      : []),
    ...(figure.kind === "lines"
      ? [...groupsBy(figure.absent, ({ reason }) => reason)].map(
          ([reason, rows]) => `No line for ${rows.map(({ row }) => row).join("; ")}: ${reason.replace(/\.$/, "")}.`,
        )
      : ["Lines through marks and bars: 95 % intervals."]),
  ]
    .filter(Boolean)
    .join(" ");
