/** HTML escapes: what the filters `escape`, `forceescape` and `striptags` do. */
import type { Meter } from "./meter.ts";

const ESCAPES: Readonly<Record<string, string>> = { "&": "&amp;", "<": "&lt;", ">": "&gt;", "'": "&#39;", '"': "&#34;" };

/** The text with HTML's special characters written as entities. */
export function escaped(text: string, meter: Meter): string {
  const made = text.replace(/[&<>'"]/g, (c) => ESCAPES[c]!);
  meter.size(made.length);
  return made;
}
