/** Rotary settings and windows in the words of GGUF metadata. */
import { fail } from "../../base/fail.ts";
import type { Metadata } from "../../checkpoint/gguf-write.ts";
import type { Config, Rope, RopeScaling } from "./arch.ts";
import { reader } from "./read-config.ts";
import { recommended } from "./rotary.ts";
import { everyNth, FULL } from "./windows.ts";

type Kv = Readonly<Record<string, unknown>>;

/** Refuses what GGUF has no words for. */
export const unsayable = (got: string): never =>
  fail("gguf", got, "what GGUF has words for", "Export with --format safetensors.", "unavailable");

/** A rotary table as metadata, without the divisors that are a tensor. Refuses YaRN with ends of its ramp that are no whole numbers. */
export function ropeMetadata({ theta, size, scaling }: Rope): Metadata {
  return { "rope.dimension_count": { uint32: size }, "rope.freq_base": { float32: theta }, ...(scaling && scalingMetadata(scaling)) };
}

function scalingMetadata(scaling: RopeScaling): Metadata {
  switch (scaling.kind) {
    case "linear":
      return { "rope.scaling.type": { string: "linear" }, "rope.scaling.factor": { float32: scaling.factor } };
    case "yarn": {
      if (!scaling.whole) unsayable("a rotary scaling (YaRN) with the ends of its ramp not rounded");
      const more = scaling.amplitude / recommended(scaling.factor);
      return {
        "rope.scaling.type": { string: "yarn" },
        "rope.scaling.factor": { float32: scaling.factor },
        "rope.scaling.original_context_length": { uint32: scaling.original },
        "rope.scaling.yarn_beta_fast": { float32: scaling.fast },
        "rope.scaling.yarn_beta_slow": { float32: scaling.slow },
        ...(Math.abs(more - 1) > 1e-6 && { "rope.scaling.attn_factor": { float32: more } }),
      };
    }
    case "longrope":
      return { "rope.scaling.attn_factor": { float32: scaling.amplitude } };
    default:
      return {}; // a tensor of divisors says it all
  }
}

/** The rotary table that the metadata describe. `hasFactors`: a tensor of divisors is in the file, which is read later. */
export function ropeFromMetadata(
  prefix: string,
  kv: Kv,
  { headSize, hasFactors = false }: { readonly headSize: number; readonly hasFactors?: boolean },
): Rope {
  const read = reader("GGUF metadata", kv);
  const scaling = hasFactors ? { kind: "factors" as const, factors: [] } : scalingFrom(prefix, kv);
  return {
    theta: read.number(`${prefix}.rope.freq_base`, 10000),
    size: read.size(`${prefix}.rope.dimension_count`, headSize),
    ...(scaling && { scaling }),
  };
}

function scalingFrom(prefix: string, kv: Kv): RopeScaling | undefined {
  const read = reader("GGUF metadata", kv);
  const at = (word: string): string => `${prefix}.rope.scaling.${word}`;
  const kind = read.text(at("type"), "linear");
  const factor = read.number(at("factor"), read.number(`${prefix}.rope.scale_linear`, 1)) || 1;
  if (factor === 1 || kind === "none") return undefined;
  if (kind === "linear") return { kind, factor };
  if (kind === "yarn")
    return {
      kind,
      factor,
      original: read.size(at("original_context_length"), read.size(`${prefix}.context_length`, 2048)),
      fast: read.number(at("yarn_beta_fast"), 32),
      slow: read.number(at("yarn_beta_slow"), 1),
      whole: true,
      amplitude: recommended(factor) * read.number(at("attn_factor"), 1),
    };
  return fail(
    "GGUF metadata",
    `rope scaling "${kind}"`,
    "none, linear or yarn",
    "Use the Hugging Face folder of the model.",
    "unavailable",
  );
}

const PATTERN = "attention.sliding_window_pattern";

/** The kind of each block, where every `period`-th block sees all keys. */
const periodic = (layers: number, period: number): string[] => Array.from({ length: layers }, (_, layer) => everyNth(period)(layer));

/**
 * The window, and every how many blocks one sees all keys; without a window, one as long as the context. Refuses blocks in another order.
 * `usual` is what the file need not say.
 */
export function windowMetadata({ window, kinds, context, layers }: Config, usual: number): Metadata {
  const length = { "attention.sliding_window": { uint32: window ?? context } };
  if (window === undefined) return length;
  const first = kinds!.indexOf(FULL);
  const period = kinds!.join() === periodic(layers, usual).join() ? usual : first < 0 ? layers + 1 : first + 1;
  if (kinds!.join() !== periodic(layers, period).join())
    unsayable(`blocks of the kinds ${kinds!.join(", ")}, which do not repeat in one order`);
  return { ...length, ...(period !== usual && { [PATTERN]: { uint32: period } }) };
}

/** The kind of each block, by what the metadata say. */
export const kindsFromMetadata = (prefix: string, kv: Kv, layers: number, usual: number): string[] =>
  periodic(layers, reader("GGUF metadata", kv).size(`${prefix}.${PATTERN}`, usual));
