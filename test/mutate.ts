/** Seeded damage to files and JSON, and the law that whatever reads them must either succeed or complain clearly, quickly and cheaply. */
import { expect } from "vitest";
import { LetheError } from "../src/base/fail.ts";
import { type Rng, rng } from "../src/base/rng.ts";

export interface Mutation<T> {
  /** What was done, for the message of a failing case. */
  readonly label: string;
  readonly value: T;
}

const pick = <T>(random: Rng, items: readonly T[]): T => items[random.below(items.length)]!;

/** Numbers that are wrong almost anywhere: signs, fractions, limits of every width, more than there is memory. */
const NUMBERS = [
  "-1",
  "0",
  "1",
  "0.5",
  "1e300",
  "-0",
  "255",
  "65536",
  "2147483647",
  "2147483648",
  "4294967296",
  "9007199254740991",
  "9007199254740993",
  "18446744073709551615",
  "1e999",
];
const WORDS = [0n, 1n, 0x7fffffffn, 0x80000000n, 0xffffffffn, 0x100000000n, 0x20000000000000n, 0x7fffffffffffffffn, 0xffffffffffffffffn];

type Damage = (bytes: Uint8Array, random: Rng, header: number) => readonly [label: string, bytes: Uint8Array];

const splice = (bytes: Uint8Array, at: number, remove: number, insert: Uint8Array): Uint8Array => {
  const out = new Uint8Array(bytes.length - remove + insert.length);
  out.set(bytes.subarray(0, at));
  out.set(insert, at);
  out.set(bytes.subarray(at + remove), at + insert.length);
  return out;
};
const noise = (random: Rng, length: number): Uint8Array => Uint8Array.from({ length }, () => random.below(256));

const DAMAGES: readonly Damage[] = [
  (bytes, random, header) => {
    const out = bytes.slice();
    const flips = Array.from({ length: 1 + random.below(3) }, () => [random.below(header), random.below(8)] as const);
    for (const [at, bit] of flips) out[at]! ^= 1 << bit;
    return [`flip ${flips.map((flip) => flip.join(".")).join(", ")}`, out];
  },
  (bytes, random) => {
    const length = random.below(bytes.length);
    return [`truncate to ${length}`, bytes.slice(0, length)];
  },
  (bytes, random, header) => {
    const [at, extra] = [random.below(header + 1), noise(random, 1 + random.below(40))];
    return [`insert ${extra.length} at ${at}`, splice(bytes, at, 0, extra)];
  },
  (bytes, random, header) => {
    const [at, length] = [random.below(header), 1 + random.below(24)];
    return [`delete ${length} at ${at}`, splice(bytes, at, Math.min(length, bytes.length - at), new Uint8Array(0))];
  },
  (bytes, random, header) => {
    const [from, to, length] = [random.below(header), random.below(header), 1 + random.below(64)];
    return [`copy ${length} from ${from} to ${to}`, splice(bytes, to, 0, bytes.slice(from, from + length))];
  },
  (bytes, random, header) => {
    const [at, word, wide] = [random.below(Math.max(1, header - 8)), pick(random, WORDS), random.below(2) === 1];
    const out = bytes.slice();
    const view = new DataView(out.buffer);
    if (wide && at + 8 <= out.length) view.setBigUint64(at, word, true);
    else if (at + 4 <= out.length) view.setUint32(at, Number(word & 0xffffffffn), true);
    return [`word ${word} (${wide ? 8 : 4} bytes) at ${at}`, out];
  },
  (bytes, random, header) => {
    const text = Buffer.from(bytes.buffer, bytes.byteOffset, header).toString("latin1");
    const numbers = [...text.matchAll(/\d+(?:\.\d+)?/g)];
    if (!numbers.length) return ["nothing", bytes.slice()];
    const [chosen, value] = [pick(random, numbers), pick(random, NUMBERS)];
    return [`number at ${chosen.index} to ${value}`, splice(bytes, chosen.index, chosen[0].length, new TextEncoder().encode(value))];
  },
  (bytes, random) => [`append`, splice(bytes, bytes.length, 0, noise(random, 1 + random.below(100)))],
];

/** `count` damaged copies of a file; `header` bytes at its start are where most of the damage goes. The same seed gives the same copies. */
export function* mutateBytes(
  bytes: Uint8Array,
  seed: string,
  count: number,
  header: number = bytes.length,
): Generator<Mutation<Uint8Array>> {
  for (let i = 0; i < count; i++) {
    const random = rng(`${seed}/${i}`);
    const reach = random.below(8) ? Math.min(header, bytes.length) : bytes.length;
    let value = bytes;
    const labels: string[] = [];
    for (let n = 1 + Number(random.below(4) === 0); n > 0 && value.length; n--) {
      const [label, next] = DAMAGES[(i + n) % DAMAGES.length]!(value, random, Math.min(reach, value.length));
      labels.push(label);
      value = next;
    }
    yield { label: `${seed} ${i}: ${labels.join("; ")}`, value };
  }
}

const deep = (depth: number): unknown => (depth ? [deep(depth - 1)] : 0);
const REPLACEMENTS: readonly (() => unknown)[] = [
  () => null,
  () => true,
  () => -1,
  () => 0.5,
  () => 1e300,
  () => 2 ** 53,
  () => 4294967296,
  () => "",
  () => "x",
  () => "\ud800",
  () => "a".repeat(5000),
  () => [],
  () => ({}),
  () => [null],
  () => [["a"]],
  () => ({ type: "none" }),
  () => ({ __proto__x: 1, constructor: null }),
  () => deep(60),
  () => "(a+)+$",
  () => "[",
];

/** `count` damaged copies of a JSON value: nodes replaced, removed, repeated, renamed or swapped. */
export function* mutateJson(value: unknown, seed: string, count: number): Generator<Mutation<unknown>> {
  for (let i = 0; i < count; i++) {
    const random = rng(`${seed}/${i}`);
    const copy: unknown = structuredClone(value);
    const labels: string[] = [];
    for (let n = 1 + random.below(2); n > 0; n--) labels.push(damageNode(copy, random));
    yield { label: `${seed} ${i}: ${labels.join("; ")}`, value: copy };
  }
}

/** Walks down at random, so that small branches are damaged as often as large ones, and changes the node where it stops. */
function damageNode(root: unknown, random: Rng): string {
  let node = root as Record<string, unknown>;
  const path: string[] = [];
  for (;;) {
    const keys = Object.keys(node);
    if (!keys.length) return "nothing";
    const key = pick(random, keys);
    path.push(key);
    const child = node[key];
    if (typeof child === "object" && child !== null && Object.keys(child).length && random.below(4)) {
      node = child as Record<string, unknown>;
      continue;
    }
    const kind = random.below(6);
    const other = pick(random, keys);
    if (kind === 0 && Array.isArray(node)) node.splice(Number(key), 1);
    else if (kind === 0) delete node[key];
    else if (kind === 1 && Array.isArray(node)) node.push(structuredClone(child));
    else if (kind === 1) [node[`${key}x`], node[key]] = [child, undefined];
    else if (kind === 2) [node[key], node[other]] = [node[other], child];
    else node[key] = pick(random, REPLACEMENTS)();
    return `${["remove", "repeat", `swap with ${other}`][kind] ?? "replace"} ${path.join(".")}`;
  }
}

const memory = (): number => {
  const { heapUsed, arrayBuffers } = process.memoryUsage();
  return heapUsed + arrayBuffers;
};

export interface Outcome {
  loaded: number;
  refused: number;
  slowest: number;
  largest: number;
}

/**
 * Runs `load` on every mutation: it must return or throw a LetheError whose message names who complains, within `seconds`, and must not
 * take `bytes` more memory than before the call. Returns how it went, so that a test can ask for both outcomes.
 */
export function survive<T>(mutations: Iterable<Mutation<T>>, load: (value: T) => void, limit: { seconds: number; bytes: number }): Outcome {
  const outcome: Outcome = { loaded: 0, refused: 0, slowest: 0, largest: 0 };
  for (const { label, value } of mutations) {
    const [before, start] = [memory(), performance.now()];
    try {
      load(value);
      outcome.loaded++;
    } catch (error) {
      if (!(error instanceof LetheError)) expect.fail(`${label}\nthrew ${error instanceof Error ? error.stack : String(error)}`);
      if (error.trouble === "internal" || error.message.length > 4000 || error.message.length < 15)
        expect.fail(`${label}\ncomplained badly: ${error.trouble}: ${error.message.slice(0, 4000)}`);
      outcome.refused++;
    }
    const [seconds, bytes] = [(performance.now() - start) / 1000, memory() - before];
    if (seconds > limit.seconds) expect.fail(`${label}\ntook ${seconds} s`);
    if (bytes > limit.bytes) expect.fail(`${label}\ntook ${bytes} bytes of memory`);
    outcome.slowest = Math.max(outcome.slowest, seconds);
    outcome.largest = Math.max(outcome.largest, bytes);
  }
  return outcome;
}
