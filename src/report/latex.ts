/** A grid's table in LaTeX, for an article with the package booktabs. */
import { visibleLine } from "../base/visible.ts";
import type { TableRecord } from "../run/grid/record.ts";
import { type CellText, cellsOf } from "./cells.ts";
import { CHANGED, legendOf, publishedNotes, reasonsIn } from "./notes.ts";

/** A floating table with its caption and notes. It needs \\usepackage{booktabs}. */
export function tableLatex(table: TableRecord): string {
  const { columns, rows, title, caption, name } = table;
  const { differs, verdicts } = publishedNotes(table);
  const notes = [...legendOf(table), ...reasonsIn(table), ...differs, ...verdicts];
  const words = [title, caption].filter(Boolean).join(". ");
  const cells = rows.map((row) => cellsOf(table, row));
  const isWide = widthOf(cells) > WIDEST;
  return [
    "% \\usepackage{booktabs}",
    "\\begin{table}",
    "\\centering",
    ...(isWide ? ["\\footnotesize", "\\setlength{\\tabcolsep}{3pt}"] : []),
    ...(words ? [`\\caption{${escaped(words)}}`] : []),
    `\\label{tab:${name}}`,
    `\\begin{tabular}{${columns.map(({ isText, isQuote }) => (isQuote ? "p{3.5cm}" : isText ? "l" : "r")).join("")}}`,
    "\\toprule",
    line(columns.map((column) => `${escaped(column.title)}${ARROWS[column.better ?? "reference"]}`)),
    "\\midrule",
    ...cells.flatMap((own) => (isWide ? twoLines(own) : [line(own.map((cell) => [valueOf(cell), ...besidesOf(cell)].join(" ")))])),
    "\\bottomrule",
    "\\end{tabular}",
    ...(notes.length > 0 ? ["", "\\medskip", "{\\footnotesize", ...notes.map((note) => `${escaped(note)}\\par`), "}"] : []),
    "\\end{table}",
    "",
  ].join("\n");
}

const ARROWS = { higher: " $\\uparrow$", lower: " $\\downarrow$", reference: "" } as const;

/** Characters of the widest row that has its intervals beside its values; in a wider table they are below. */
const WIDEST = 80;
const widthOf = (rows: readonly (readonly CellText[])[]): number =>
  Math.max(
    0,
    ...rows.map((row) => row.flatMap(({ value, interval = "", published = "" }) => [value, interval, published]).join(" ").length),
  );

const line = (cells: readonly string[]): string => `${cells.join(" & ")} \\\\`;

/** The values of a row, and below them what belongs to each. */
function twoLines(cells: readonly CellText[]): string[] {
  const below = cells.map((cell) => besidesOf(cell).join(" "));
  return [line(cells.map(valueOf)), ...(below.some(Boolean) ? [line(below)] : []), "\\addlinespace[2pt]"];
}

const valueOf = ({ value, isBest, isChanged }: CellText): string =>
  `${isBest ? `\\textbf{${escaped(value)}}` : escaped(value)}${isChanged ? `$^{${CHANGED}}$` : ""}`;

/** The interval and the published figure, in small letters. */
const besidesOf = ({ interval, published }: CellText): string[] => [
  ...(interval === undefined ? [] : [`{\\scriptsize ${escaped(interval)}}`]),
  ...(published === undefined ? [] : [`{\\scriptsize (${escaped(published)})}`]),
];

/** Signs that LaTeX reads as commands, and signs that its default fonts lack. */
const SIGNS: Readonly<Record<string, string>> = {
  "\\": "\\textbackslash{}",
  "{": "\\{",
  "}": "\\}",
  $: "\\$",
  "&": "\\&",
  "#": "\\#",
  "%": "\\%",
  _: "\\_",
  "^": "\\textasciicircum{}",
  "~": "\\textasciitilde{}",
  "<": "\\textless{}",
  ">": "\\textgreater{}",
  "|": "\\textbar{}",
  "[": "{[}",
  "]": "{]}",
  "→": "$\\rightarrow$",
  "↑": "$\\uparrow$",
  "↓": "$\\downarrow$",
  "−": "$-$",
  "×": "$\\times$",
  "±": "$\\pm$",
  "≥": "$\\geq$",
  "≤": "$\\leq$",
  "…": "\\ldots{}",
  "–": "--",
  "—": "---",
  "‘": "`",
  "’": "'",
  "“": "``",
  "”": "''",
  α: "$\\alpha$",
  β: "$\\beta$",
  γ: "$\\gamma$",
  λ: "$\\lambda$",
  σ: "$\\sigma$",
};

/** A text as LaTeX sets it. A sign that LaTeX's default fonts lack is written as its code. */
export const escaped = (text: string): string =>
  [...visibleLine(text)]
    .map((sign) => SIGNS[sign] ?? (isPlain(sign) ? sign : `{[}U+${sign.codePointAt(0)!.toString(16).toUpperCase()}{]}`))
    .join("");

/** ASCII, and Latin letters with the accents that LaTeX's default fonts can set. */
const isPlain = (sign: string): boolean =>
  /^[\x20-\x7eßæøåœłÆØÅŒŁ]$/.test(sign) || /^[A-Za-z][\u0300-\u0304\u0306-\u0308\u030a-\u030c\u0327]$/.test(sign.normalize("NFD"));
