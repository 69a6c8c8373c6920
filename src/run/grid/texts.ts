/** Values as canonical text. The text of a list or a table is made once. */
import { hash as oneHash } from "node:crypto";
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

/** The first half of the SHA-256 of a text, in hex digits. */
export const digest = (text: string): string => oneHash("sha256", text, "hex").slice(0, 32);
