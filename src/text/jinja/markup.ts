/** HTML escapes: what the filters `escape` and `forceescape` do, and what happens to a text that is joined to a safe one. */
import type { Meter } from "./meter.ts";

/** The text with HTML's special characters written as entities. */
export function escaped(text: string, meter: Meter): string {
  meter.read(text.length * 16);
  const made = text
    .replaceAll("&", "&amp;")
    .replaceAll("<", "&lt;")
    .replaceAll(">", "&gt;")
    .replaceAll("'", "&#39;")
    .replaceAll('"', "&#34;");
  meter.size(made.length);
  return made;
}
