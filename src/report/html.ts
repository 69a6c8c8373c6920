/** A grid's report as one HTML page: no script, no request, light and dark, on phones and on paper. */
import { inMarkup } from "../base/visible.ts";
import type { FigureRecord, GridRecord, TableColumn, TableRecord, TableRow } from "../run/grid/record.ts";
import { type CellText, cellsOf } from "./cells.ts";
import { CONCLUSIONS, type Conclusion, conclusionsOf, HOW_RULED, rulingText, shownText } from "./conclusions.ts";
import { captionOf } from "./markdown.ts";
import { CHANGED, legendOf, madeWith, methodsText, publishedNotes, reasonsIn } from "./notes.ts";
import { asVariables, variablesOf } from "./theme.ts";

const CSS = `
:root{color-scheme:light dark;${variablesOf("light")}}
@media (prefers-color-scheme:dark){:root{${variablesOf("dark")}}}
*{box-sizing:border-box}
body{margin:0;background:var(--page);color:var(--ink);font:16px/1.55 system-ui,-apple-system,"Segoe UI","DejaVu Sans",sans-serif}
main,nav{max-width:84rem;margin:0 auto;padding:1rem clamp(1rem,4vw,2.5rem)}
h1{font-size:1.7rem;line-height:1.25;margin:1.5rem 0 .5rem}
h2{font-size:1.3rem;line-height:1.3;margin:2.5rem 0 .5rem}
h3{font-size:1.1rem;margin:2rem 0 .5rem}
p,li{max-width:46rem;overflow-wrap:anywhere}
a{color:var(--link)}
nav ul{display:flex;flex-wrap:wrap;gap:.25rem 1.25rem;list-style:none;padding:0;margin:0}
nav a{display:inline-block;padding:.25rem 0}
.scroll{overflow-x:auto;margin:1rem 0}
.scroll:focus-visible{outline:2px solid var(--link);outline-offset:2px}
table{border-collapse:collapse;font-size:.9rem;font-variant-numeric:tabular-nums}
th,td{padding:.35rem .75rem .35rem 0;text-align:left;vertical-align:baseline;white-space:nowrap}
td.n,th.n{text-align:right;padding-left:.75rem;padding-right:0}
td.q{white-space:pre-wrap;overflow-wrap:anywhere;min-width:12rem;max-width:24rem}
thead th{border-top:2px solid var(--ink);border-bottom:1px solid var(--ink);vertical-align:bottom}
tbody tr:last-child>*{border-bottom:2px solid var(--ink)}
tbody tr.base>*{border-bottom:1px solid var(--line)}
tbody th{font-weight:400}
tbody tr:hover>*{background:var(--mark)}
.i,.theirs{color:var(--soft);font-size:.8rem}
.theirs{display:block}
.notes{color:var(--soft);font-size:.9rem}
figure{margin:1.5rem 0}
figure svg{display:block;width:100%;height:auto}
figure svg text{font-family:inherit}
figcaption{color:var(--soft);font-size:.9rem;max-width:46rem;margin-top:.5rem;overflow-wrap:anywhere}
code{font-family:ui-monospace,"DejaVu Sans Mono",monospace;font-size:.9em}
@media print{:root{${variablesOf("light")}}nav{display:none}main{max-width:none;padding:0}body{font-size:10pt}.scroll{overflow:visible}table{font-size:7pt}th,td{white-space:normal}figure,tr{break-inside:avoid}h2,h3{break-after:avoid}}
`
  .trim()
  .replaceAll("\n", "");

/** The page of some grids. `pictures` are the figures as SVG, by grid and name. */
export function reportPage(records: readonly GridRecord[], pictures: (record: GridRecord, figure: FigureRecord) => Picture): string {
  const title = records.map(({ name }) => name).join(", ");
  const conclusions = conclusionsOf(records);
  const body = records.map((record) => section(record, records.length > 1, pictures));
  return [
    "<!doctype html>",
    '<html lang="en">',
    "<head>",
    '<meta charset="utf-8">',
    '<meta name="viewport" content="width=device-width, initial-scale=1">',
    '<link rel="icon" href="data:,">',
    `<title>${inMarkup(title)}</title>`,
    `<style>${CSS}</style>`,
    "</head>",
    "<body>",
    contents(records, conclusions.length > 0),
    "<main>",
    ...(records.length > 1 ? [`<h1>${inMarkup(title)}</h1>`] : []),
    ...(conclusions.length > 0 ? [conclusionsHtml(conclusions)] : []),
    ...body,
    "</main>",
    "</body>",
    "</html>",
    "",
  ].join("\n");
}

/** A figure as SVG, with its width: a picture is not drawn wider than it is. */
export interface Picture {
  readonly svg: string;
  readonly width: number;
}

const idOf = ({ name }: GridRecord, part: string): string => `${name}-${part}`;

const contents = (records: readonly GridRecord[], hasConclusions: boolean): string => {
  const links = records.flatMap((record): (readonly [id: string, text: string])[] => [
    ...[...record.tables, ...record.figures].map(({ name, title }) => [idOf(record, name), title || name] as const),
    [idOf(record, "methods"), records.length > 1 ? `Methods of ${record.name}` : "Methods"] as const,
  ]);
  if (hasConclusions) links.unshift([CONCLUDED, CONCLUSIONS]);
  const items = links.map(([id, text]) => `<li><a href="#${inMarkup(id)}">${inMarkup(text)}</a></li>`);
  return `<nav aria-label="Contents"><ul>${items.join("")}</ul></nav>`;
};

function section(record: GridRecord, isOneOfMany: boolean, pictures: (record: GridRecord, figure: FigureRecord) => Picture): string {
  const [own, inner] = isOneOfMany ? ["h2", "h3"] : ["h1", "h2"];
  const heading = (id: string, text: string): string => `<${inner} id="${inMarkup(id)}">${inMarkup(text)}</${inner}>`;
  return [
    `<${own}>${inMarkup(record.name)}</${own}>`,
    ...(record.doc ? [paragraph(record.doc)] : []),
    ...record.tables.flatMap((table) => [heading(idOf(record, table.name), table.title || table.name), tableHtml(table)]),
    ...record.figures.flatMap((figure) => [
      heading(idOf(record, figure.name), figure.title),
      figureHtml(figure, pictures(record, figure), idOf(record, figure.name)),
    ]),
    heading(idOf(record, "methods"), "Methods"),
    list(methodsText(record)),
    ...(record.metrics.length > 0 ? [list(record.metrics.map(({ name, doc, caveat }) => `\`${name}\`: ${doc}. ${caveat}`))] : []),
    ...madeWith(record).map(paragraph),
  ].join("\n");
}

/** A text with its code in backquotes. */
const text = (plain: string): string => inMarkup(plain).replaceAll(/`([^`]+)`/g, "<code>$1</code>");
const paragraph = (plain: string): string => `<p>${text(plain)}</p>`;
const list = (items: readonly string[], className = ""): string =>
  items.length === 0 ? "" : `<ul${className ? ` class="${className}"` : ""}>${items.map((item) => `<li>${text(item)}</li>`).join("")}</ul>`;

/** The id of the conclusions in the page. */
const CONCLUDED = "conclusions";

const conclusionsHtml = (conclusions: readonly Conclusion[]): string =>
  [
    `<h2 id="${CONCLUDED}">${CONCLUSIONS}</h2>`,
    paragraph(HOW_RULED),
    ...conclusions.map(({ name, says, rulings }) => {
      const items = rulings.map((ruling) => `<li>${text(rulingText(ruling))}${list(ruling.shown.map(shownText), "notes")}</li>`);
      return `<p><strong>${inMarkup(name)}.</strong> ${text(says)}</p>\n<ul>${items.join("")}</ul>`;
    }),
  ].join("\n");

function tableHtml(table: TableRecord): string {
  const { columns, rows, caption, title, name } = table;
  const { differs, verdicts } = publishedNotes(table);
  const head = columns.map(
    (column) => `<th scope="col"${column.isText ? "" : ' class="n"'}>${inMarkup(column.title)}${arrowOf(column)}</th>`,
  );
  return [
    ...(caption ? [`<p class="notes">${inMarkup(caption)}</p>`] : []), // outside of what scrolls, so that a phone shows it whole
    `<div class="scroll" role="region" tabindex="0" aria-label="${inMarkup(title || name)}">`,
    "<table>",
    `<thead><tr>${head.join("")}</tr></thead>`,
    "<tbody>",
    ...rows.map((row) => rowHtml(table, row)),
    "</tbody>",
    "</table>",
    "</div>",
    list([...legendOf(table), ...reasonsIn(table)], "notes"),
    ...(differs.length > 0 ? [paragraph("The setting differs from the paper's:"), list(differs)] : []),
    ...(verdicts.length > 0 ? [paragraph("Published orders, and whether our runs have them:"), list(verdicts)] : []),
  ]
    .filter(Boolean)
    .join("\n");
}

const arrowOf = ({ better }: TableColumn): string =>
  better === "higher" || better === "lower"
    ? ` <span role="img" aria-label="${better} is better">${better === "higher" ? "↑" : "↓"}</span>`
    : "";

function rowHtml(table: TableRecord, row: TableRow): string {
  const cells = cellsOf(table, row).map((cell, i) => {
    const { isText, isQuote } = table.columns[i]!;
    if (!isText) return `<td class="n">${cellHtml(cell)}</td>`;
    const shown = inMarkup(cell.value) || "-";
    return i === 0 ? `<th scope="row">${shown}</th>` : `<td${isQuote ? ' class="q"' : ""}>${shown}</td>`;
  });
  return `<tr${row.isBase ? ' class="base"' : ""}>${cells.join("")}</tr>`;
}

function cellHtml({ value, interval, isBest, isChanged, published }: CellText): string {
  const own = isBest ? `<strong>${inMarkup(value)}</strong>` : inMarkup(value);
  return [
    `${own}${isChanged ? `<sup>${CHANGED}</sup>` : ""}`,
    ...(interval === undefined ? [] : [` <span class="i">${inMarkup(interval)}</span>`]),
    ...(published === undefined ? [] : [`<span class="theirs">${inMarkup(published)}</span>`]),
  ].join("");
}

/** The figure in the text of the page, so that its colours follow the page's. Its ids get a name of their own. */
function figureHtml(figure: FigureRecord, { svg, width }: Picture, id: string): string {
  const own = asVariables(svg)
    .replaceAll(/(\sid="|url\(#)/g, `$1${id}-`)
    .replaceAll(/ xmlns(?::xlink)?="[^"]*"/g, "")
    .replace(
      "<svg ",
      `<svg role="img" aria-label="${inMarkup(figure.title)}" style="max-width:${width}px;min-width:min(${width}px,30rem)" `,
    );
  const scroll = `<div class="scroll" role="region" tabindex="0" aria-label="${inMarkup(figure.title)}">`;
  return `<figure>\n${scroll}\n${own}\n</div>\n<figcaption>${text(captionOf(figure))}</figcaption>\n</figure>`;
}
