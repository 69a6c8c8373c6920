/** Numbers, times and tables as people read them. */
import { visibleLine } from "../base/visible.ts";

/** 1234567 → "1,234,567". */
export const count = (n: number): string => Math.round(n).toLocaleString("en-US");

/** Bytes in powers of ten. */
export function bytes(n: number): string {
  for (const [unit, name] of [
    [1e9, "GB"],
    [1e6, "MB"],
    [1e3, "kB"],
  ] as const)
    if (n >= unit) return `${n / unit >= 10 ? Math.round(n / unit) : (n / unit).toFixed(1)} ${name}`;
  return `${n} B`;
}

/** Milliseconds as "0.4 s", "48 s", "3 min 20 s", "2 h 5 min". */
export function duration(ms: number): string {
  const s = Math.max(0, ms) / 1000;
  if (s < 9.95) return `${s.toFixed(1)} s`;
  if (s < 99.5) return `${Math.round(s)} s`;
  if (s < 5970) return `${Math.floor(s / 60)} min${Math.round(s % 60) && s < 1200 ? ` ${Math.floor(s % 60)} s` : ""}`;
  return `${Math.floor(s / 3600)} h ${Math.round((s % 3600) / 60)} min`;
}

/** "1 edit", "2 edits". */
export const plural = (n: number, word: string): string => `${count(n)} ${word}${n === 1 ? "" : "s"}`;

/** Rows as aligned columns, two spaces apart; the first row is the heading where `heading` is true. Columns of numbers stand at the right. */
export function table(given: readonly (readonly string[])[], right: readonly number[] = []): string {
  const rows = given.map((row) => row.map(visibleLine));
  const widths = (rows[0] ?? []).map((_, i) => Math.max(...rows.map((row) => (row[i] ?? "").length)));
  const cell = (text: string, i: number): string => (right.includes(i) ? text.padStart(widths[i]!) : text.padEnd(widths[i]!));
  return rows.map((row) => row.map(cell).join("  ").trimEnd()).join("\n");
}
