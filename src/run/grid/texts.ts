/** Values as canonical text. The text of a list or a table is made once. */
import { canonical } from "../../base/hash.ts";

/** What `canonical` gives, kept by list and table: nobody may change these afterwards. */
export class Texts {
  private readonly known = new WeakMap<object, string>();

  of(value: unknown): string {
    if (typeof value !== "object" || value === null) return canonical(value);
    const before = this.known.get(value);
    if (before !== undefined) return before;
    const text = canonical(value);
    this.known.set(value, text);
    return text;
  }
}
