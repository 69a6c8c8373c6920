/** Text in columns: how wide characters are, where lines break, and two texts that grow side by side. */
import { visible, visibleLine } from "../base/visible.ts";

const SEGMENTS = new Intl.Segmenter(undefined, { granularity: "grapheme" });
const WIDE =
  /[\u1100-\u115F\u2E80-\u303E\u3041-\u33FF\u3400-\u4DBF\u4E00-\u9FFF\uA000-\uA4CF\uAC00-\uD7A3\uF900-\uFAFF\uFE30-\uFE6F\uFF00-\uFF60\uFFE0-\uFFE6]|\p{Emoji_Presentation}|[\u{20000}-\u{3FFFD}]/u;
const ZERO = /^[\p{Mn}\p{Me}\p{Cf}\p{Cc}]+$/u;

/** Columns that a text takes on a terminal. */
export function width(text: string): number {
  if (/^[\x20-\x7e]*$/.test(text)) return text.length;
  let n = 0;
  for (const { segment } of SEGMENTS.segment(text)) n += ZERO.test(segment) ? 0 : WIDE.test(segment) ? 2 : 1;
  return n;
}

/** Lines of at most `columns`, broken at spaces where there are some. Text added at the end changes the last line only. */
export function wrap(text: string, columns: number): string[] {
  return visible(text.replaceAll("\t", "    "))
    .split("\n")
    .flatMap((line) => wrapLine(line, columns));
}

function wrapLine(line: string, columns: number): string[] {
  const lines: string[] = [];
  let current = "";
  let taken = 0;
  for (const word of line.split(/(?<= )(?=[^ ])/)) {
    const bare = width(word.trimEnd());
    if (taken > 0 && taken + bare > columns) {
      lines.push(current.trimEnd());
      [current, taken] = ["", 0];
    }
    for (const piece of bare > columns ? pieces(word, columns) : [word]) {
      if (taken > 0 && taken + width(piece.trimEnd()) > columns) {
        lines.push(current.trimEnd());
        [current, taken] = ["", 0];
      }
      current += piece;
      taken += width(piece);
    }
  }
  return [...lines, current.trimEnd()];
}

/** A word too long for a line, in characters. */
const pieces = (word: string, columns: number): string[] =>
  [...SEGMENTS.segment(word)].reduce<string[]>((found, { segment }) => {
    const last = found.at(-1);
    if (last !== undefined && width(last + segment) <= columns) found[found.length - 1] = last + segment;
    else found.push(segment);
    return found;
  }, []);

const GAP = " │ ";

/** Two texts that grow side by side on a terminal: finished rows are written once, the rest is written again. */
export class SideBySide {
  private readonly write: (text: string) => void;
  private readonly column: number;
  private readonly most: number;
  private readonly texts: [string, string] = ["", ""];
  private readonly over: [boolean, boolean] = [false, false];
  /** Rows that will not change, and rows below them on the screen. */
  private settled = 0;
  private shown = 0;

  /** `columns` and `rows` of the terminal; `write` gets text with control sequences. */
  constructor(columns: number, rows: number, write: (text: string) => void) {
    this.column = Math.floor((columns - 1 - GAP.length) / 2);
    this.most = Math.max(1, rows - 2);
    this.write = write;
  }

  /** The narrowest terminal on which two columns can be read. */
  static readonly least = 60;

  /** Two headings above the columns. */
  head(left: string, right: string, paint: (text: string) => string): void {
    const fit = (text: string): string => (width(text) > this.column ? `${text.slice(0, this.column - 1)}…` : text);
    this.write(`${paint(this.row(fit(visibleLine(left)), fit(visibleLine(right))))}\n`);
  }

  /** More of one text; leading white space is left out. */
  push(side: 0 | 1, piece: string): void {
    const text = this.texts[side] + piece;
    this.texts[side] = this.texts[side] ? text : text.trimStart();
    this.draw();
  }

  /** One text is whole. */
  end(side: 0 | 1): void {
    this.texts[side] = this.texts[side].trimEnd();
    this.over[side] = true;
    this.draw();
  }

  private row(left: string, right: string): string {
    return `${left}${" ".repeat(Math.max(0, this.column - width(left)))}${GAP}${right}`.trimEnd();
  }

  private draw(): void {
    const [left, right] = this.texts.map((text) => wrap(text, this.column)) as [string[], string[]];
    const firm = [left, right].map((lines, side) => (this.over[side] ? Infinity : lines.length - 1));
    const total = Math.max(left.length, right.length);
    const settled = Math.min(total, ...firm);
    // at the end everything is shown; before, no more than the screen holds
    const until = Math.max(settled, Math.min(total, settled + this.most));
    const rows = Array.from({ length: Math.max(0, until - this.settled) }, (_, i) =>
      this.row(left[this.settled + i] ?? "", right[this.settled + i] ?? ""),
    );
    const back = this.shown > 0 ? `\u001b[${this.shown}A` : "";
    this.write(`${back}\r\u001b[J${rows.map((row) => `${row}\n`).join("")}`);
    this.shown = until - settled;
    this.settled = settled;
  }
}
