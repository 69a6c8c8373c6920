/** Writes GGUF files for tests: whatever header is asked for, true or not. */
export type Entry = readonly [key: string, type: number, value: unknown];
export interface Stored {
  readonly name: string;
  readonly dims: readonly number[];
  readonly type: number;
  readonly bytes: Uint8Array;
}

export const KIND = { u8: 0, i8: 1, u16: 2, i16: 3, u32: 4, i32: 5, f32: 6, bool: 7, text: 8, list: 9, u64: 10, i64: 11, f64: 12 } as const;

/** A list value: the type of its elements and the elements. */
export interface List {
  readonly of: number;
  readonly items: readonly unknown[];
}

const scalar = (size: number, set: (view: DataView) => void): Uint8Array => {
  const view = new DataView(new ArrayBuffer(size));
  set(view);
  return new Uint8Array(view.buffer);
};
export const u32 = (value: number): Uint8Array => scalar(4, (view) => view.setUint32(0, value, true));
export const u64 = (value: number | bigint): Uint8Array => scalar(8, (view) => view.setBigUint64(0, BigInt(value), true));
const text = (value: string): Uint8Array => {
  const bytes = new TextEncoder().encode(value);
  return join([u64(bytes.length), bytes]);
};

export function join(parts: readonly Uint8Array[]): Uint8Array {
  const out = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    out.set(part, at);
    at += part.length;
  }
  return out;
}

function encode(type: number, value: unknown): Uint8Array {
  const n = Number(value);
  if (type === KIND.text) return text(value as string);
  if (type === KIND.list) {
    const { of, items } = value as List;
    return join([u32(of), u64(items.length), ...items.map((item) => encode(of, item))]);
  }
  if (type <= KIND.i8 || type === KIND.bool) return scalar(1, (view) => view.setUint8(0, n & 255));
  if (type <= KIND.i16) return scalar(2, (view) => view.setUint16(0, n & 65535, true));
  if (type <= KIND.i32) return scalar(4, (view) => view.setUint32(0, n >>> 0, true));
  if (type === KIND.f32) return scalar(4, (view) => view.setFloat32(0, n, true));
  if (type === KIND.f64) return scalar(8, (view) => view.setFloat64(0, n, true));
  return scalar(8, (view) => view.setBigInt64(0, BigInt(n), true));
}

/** The bytes of a file; `over` replaces what the header claims. */
export function ggufBytes(
  kv: readonly Entry[],
  tensors: readonly Stored[],
  over: { version?: number; kvCount?: number | bigint; tensorCount?: number | bigint; offset?: number; alignment?: number } = {},
): Uint8Array {
  const alignment = over.alignment ?? 32;
  const pad = (size: number): number => Math.ceil(size / alignment) * alignment;
  const head = [
    new TextEncoder().encode("GGUF"),
    u32(over.version ?? 3),
    u64(over.tensorCount ?? tensors.length),
    u64(over.kvCount ?? kv.length),
  ];
  const entries = kv.map(([key, type, value]) => join([text(key), u32(type), encode(type, value)]));
  let offset = 0;
  const infos = tensors.map(({ name, dims, type, bytes }) => {
    const info = join([text(name), u32(dims.length), ...dims.map((dim) => u64(dim)), u32(type), u64(offset + (over.offset ?? 0))]);
    offset += pad(bytes.length);
    return info;
  });
  const header = join([...head, ...entries, ...infos]);
  const data = tensors.flatMap(({ bytes }) => [bytes, new Uint8Array(pad(bytes.length) - bytes.length)]);
  return join([header, new Uint8Array(pad(header.length) - header.length), ...data]);
}
