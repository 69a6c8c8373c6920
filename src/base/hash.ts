/** Content hashes of JSON and arrays: the key of every cache and run. */
import { createHash } from "node:crypto";
import { type NdArray, toBytes } from "./array.ts";

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

const isArray = (x: unknown): x is NdArray =>
  typeof x === "object" && x !== null && "dtype" in x && "shape" in x && "data" in x && ArrayBuffer.isView(x.data);
