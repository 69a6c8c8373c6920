/** A grid's table in LaTeX, for an article with the package booktabs. */
import { visibleLine } from "../base/visible.ts";
import type { TableRecord } from "../run/grid/record.ts";
import { type CellText, cellsOf } from "./cells.ts";
import { CHANGED, legendOf, publishedNotes, reasonsIn } from "./notes.ts";

/** A floating table with its caption and notes. It needs \usepackage{booktabs}. */
export function tableLatex(table: TableRecord): string {
  const { columns, rows, title, caption, name } = table;
  const { differs, verdicts } = publishedNotes(table);
  const line = (cells: readonly string[]): string => `${cells.join(" & ")} \\\\`;
  const notes = [...legendOf(table), ...reasonsIn(table), ...differs, ...verdicts];
  const words = [title, caption].filter(Boolean).join(". ");
  return [
    "% \\usepackage{booktabs}",
    "\\begin{table}",
    "\\centering",
    ...(words ? [`\\caption{${escaped(words)}}`] : []),
    `\\label{tab:${name}}`,
    `\\begin{tabular}{${columns.map(({ isText }) => (isText ? "l" : "r")).join("")}}`,
    "\\toprule",
    line(columns.map((column) => `${escaped(column.title)}${ARROWS[column.better ?? "reference"]}`)),
    "\\midrule",
    ...rows.map((row) => line(cellsOf(table, row).map(cell))),
    "\\bottomrule",
    "\\end{tabular}",
    ...(notes.length > 0 ? ["", "\\medskip", "{\\footnotesize", ...notes.map((note) => `${escaped(note)}\\par`), "}"] : []),
    "\\end{table}",
    "",
  ].join("\n");
}

const ARROWS = { higher: " $\\uparrow$", lower: " $\\downarrow$", reference: "" } as const;

function cell({ value, interval, isBest, isChanged, published }: CellText): string {
  const own = isBest ? `\\textbf{${escaped(value)}}` : escaped(value);
  return [
    `${own}${isChanged ? `$^{${CHANGED}}$` : ""}`,
    ...(interval === undefined ? [] : [`{\\footnotesize ${escaped(interval)}}`]),
    ...(published === undefined ? [] : [`{\\footnotesize (${escaped(published)})}`]),
  ].join(" ");
}

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
