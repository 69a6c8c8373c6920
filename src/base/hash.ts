/** Content hashes of JSON and arrays: the key of every cache and run. */
import { createHash } from "node:crypto";
import { type NdArray, toBytes } from "./array.ts";
import { fail } from "./fail.ts";

export type Hash = string;

/** JSON with sorted keys, so that equal values have equal text; undefined members are omitted. */
export function canonical(value: unknown): string {
  if (value === null || typeof value !== "object") return JSON.stringify(value) ?? "null";
  if (Array.isArray(value)) return `[${value.map(canonical).join(",")}]`;
  const entries = Object.entries(value)
    .filter(([, v]) => v !== undefined)
    .sort(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0));
  return `{${entries.map(([k, v]) => `${JSON.stringify(k)}:${canonical(v)}`).join(",")}}`;
}

/** SHA-256 of any mix of text, bytes, JSON values and arrays, in order; 64 hex digits. */
export function hash(...parts: readonly unknown[]): Hash {
  const sha = createHash("sha256");
  for (const part of parts) {
    if (typeof part === "string") sha.update(`s${Buffer.byteLength(part)}:`).update(part);
    else if (part instanceof Uint8Array) sha.update(`b${part.length}:`).update(part);
    else if (isArray(part)) sha.update(`a${part.dtype}[${part.shape.join(",")}]:`).update(toBytes(part));
    else sha.update("j").update(canonical(part));
  }
  return sha.digest("hex");
}

/** A shorter hash for the name of a file. Refuses what {@link hash} takes for something else: numbers that are not finite, functions, maps. */
export function keyOf(...parts: readonly unknown[]): Hash {
  for (const part of parts) {
    const bad = part instanceof Uint8Array || isArray(part) ? undefined : misread(part);
    if (bad !== undefined) fail("hash", `${bad} in a key`, "JSON, an array or bytes", "", "internal");
  }
  return hash(...parts).slice(0, 32);
}

/** What JSON would leave out or change, in words. */
function misread(value: unknown): string | undefined {
  if (typeof value === "number") return Number.isFinite(value) ? undefined : String(value);
  if (value === null || ["string", "boolean", "undefined"].includes(typeof value)) return undefined;
  if (typeof value !== "object") return `a ${typeof value}`;
  if (!Array.isArray(value) && ![Object.prototype, null].includes(Object.getPrototypeOf(value) as object | null))
    return `a ${value.constructor.name}`;
  for (const member of Object.values(value)) {
    const bad = misread(member);
    if (bad !== undefined) return bad;
  }
  return undefined;
}

const isArray = (x: unknown): x is NdArray =>
  typeof x === "object" && x !== null && "dtype" in x && "shape" in x && "data" in x && ArrayBuffer.isView(x.data);
