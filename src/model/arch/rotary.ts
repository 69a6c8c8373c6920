/** Rotary settings in the words of config.json: those of transformers 5 (rope_parameters) and of earlier versions. */
import { fail } from "../../base/fail.ts";
import type { Config, Rope, RopeScaling } from "./arch.ts";
import { reader } from "./read-config.ts";
import { FULL, SLIDING } from "./windows.ts";

type Json = Readonly<Record<string, unknown>>;

const WHO = "config.json";

export interface Wanted {
  /** Numbers in a head. */
  readonly headSize: number;
  /** The base where the file names none (10000). */
  readonly theta?: number;
  /** The rotated share of a head where the file names none (1). */
  readonly partial?: number;
  /** An older version's names for the base and for the share. */
  readonly older?: { readonly theta?: string; readonly partial?: string };
}

/** The rotary table that a config.json asks for. Refuses a scaling that is not known. */
export function ropeFrom(hf: Json, wanted: Wanted): Rope {
  const read = reader(WHO, hf);
  return ropeIn(hf, read.object("rope_parameters") ?? read.object("rope_scaling") ?? {}, wanted);
}

/** The rotary table by one entry of rope_parameters, where a file has an entry for each type of layer. */
function ropeIn(hf: Json, given: Json, { headSize, theta = 10000, partial = 1, older = {} }: Wanted): Rope {
  const [file, own] = [reader(WHO, hf), reader(`${WHO}: rope`, given)];
  const named = (key: string, old: string | undefined, otherwise: number): number =>
    own.number(key, file.number(key, old === undefined ? otherwise : file.number(old, otherwise)));
  const share = named("partial_rotary_factor", older.partial, partial);
  const size = Math.floor(headSize * share);
  if (size < 2 || size % 2 === 1 || size > headSize)
    fail(WHO, `${size} of ${headSize} numbers of a head are rotated`, "an even number of them", "The file is damaged.", "unavailable");
  const scaling = scalingOf(given, hf);
  return { theta: named("rope_theta", older.theta, theta), size, ...(scaling && { scaling }) };
}

function scalingOf(given: Json, hf: Json): RopeScaling | undefined {
  const [read, file] = [reader(`${WHO}: rope`, given), reader(WHO, hf)];
  const kind = read.text("rope_type", read.text("type", "default"));
  const original = (): number => read.number("original_max_position_embeddings", file.number("max_position_embeddings"));
  switch (kind) {
    case "default":
      return undefined;
    case "linear":
      return { kind, factor: read.number("factor") };
    case "llama3":
      return {
        kind,
        factor: read.number("factor"),
        low: read.number("low_freq_factor"),
        high: read.number("high_freq_factor"),
        original: read.number("original_max_position_embeddings"),
      };
    case "yarn":
      return yarnFrom(given, original());
    case "longrope":
    case "su":
      return longFrom(given, hf);
    default:
      return fail(
        WHO,
        `rope scaling "${kind}"`,
        "default, linear, llama3, yarn or longrope",
        "Use a checkpoint with one of those.",
        "unavailable",
      );
  }
}

/** The factor on cos and sin that YaRN recommends: 0.1 · m · ln(factor) + 1. */
export const recommended = (factor: number, m = 1): number => (factor <= 1 ? 1 : 0.1 * m * Math.log(factor) + 1);

function yarnFrom(given: Json, original: number): RopeScaling {
  const read = reader(`${WHO}: rope`, given);
  const factor = read.number("factor");
  const [m, all] = [read.number("mscale", 0), read.number("mscale_all_dim", 0)];
  const plain = m > 0 && all > 0 ? recommended(factor, m) / recommended(factor, all) : recommended(factor);
  return {
    kind: "yarn",
    factor,
    original,
    fast: read.number("beta_fast", 32),
    slow: read.number("beta_slow", 1),
    whole: read.flag("truncate", true),
    amplitude: read.number("attention_factor", plain),
  };
}

/** LongRoPE's divisors for texts within the original context. Those for longer texts are not used: {@link contextOf} ends the context there. */
function longFrom(given: Json, hf: Json): RopeScaling {
  const factors = given["short_factor"];
  if (!Array.isArray(factors) || !factors.every((f) => typeof f === "number" && Number.isFinite(f) && f > 0))
    return fail(WHO, "rope scaling longrope without short_factor", "a list of positive numbers", "The file is damaged.", "unavailable");
  const read = reader(WHO, hf);
  const [longest, original] = [read.number("max_position_embeddings"), originalOf(hf, given)];
  const stretch = longest / original;
  const plain = stretch <= 1 ? 1 : Math.sqrt(1 + Math.log(stretch) / Math.log(original));
  return { kind: "longrope", factors: factors as number[], amplitude: reader(`${WHO}: rope`, given).number("attention_factor", plain) };
}

const originalOf = (hf: Json, given: Json): number =>
  reader(WHO, hf).number(
    "original_max_position_embeddings",
    reader(`${WHO}: rope`, given).number("original_max_position_embeddings", reader(WHO, hf).number("max_position_embeddings")),
  );

/** The context length of a config.json. With LongRoPE it is the original one: behind it, all earlier keys would change. */
export function contextOf(hf: Json, otherwise?: number): number {
  const read = reader(WHO, hf);
  const length = read.size("max_position_embeddings", otherwise);
  const given = read.object("rope_parameters") ?? read.object("rope_scaling") ?? {};
  const kind = given["rope_type"] ?? given["type"];
  return kind === "longrope" || kind === "su" ? Math.min(length, originalOf(hf, given)) : length;
}

/** One table as an entry of rope_parameters. Absent for frequencies that config.json has no words for. */
function ropeEntry({ theta, size, scaling }: Rope, headSize: number): Record<string, unknown> | undefined {
  const partial = size === headSize ? {} : { partial_rotary_factor: size / headSize };
  const scaled = scaling === undefined ? { rope_type: "default" } : wordsFor(scaling);
  return scaled && { ...scaled, rope_theta: theta, ...partial };
}

function wordsFor(scaling: RopeScaling): Record<string, unknown> | undefined {
  switch (scaling.kind) {
    case "linear":
      return { rope_type: "linear", factor: scaling.factor };
    case "llama3":
      return {
        rope_type: "llama3",
        factor: scaling.factor,
        low_freq_factor: scaling.low,
        high_freq_factor: scaling.high,
        original_max_position_embeddings: scaling.original,
      };
    case "yarn":
      return {
        rope_type: "yarn",
        factor: scaling.factor,
        original_max_position_embeddings: scaling.original,
        beta_fast: scaling.fast,
        beta_slow: scaling.slow,
        truncate: scaling.whole,
        attention_factor: scaling.amplitude,
      };
    default:
      return undefined; // divisors of a GGUF file, and LongRoPE's: the source's own words stay
  }
}

/** rope_parameters for transformers 5, and rope_theta and rope_scaling with the same content for transformers 4. */
export function ropeJson(rope: Rope, headSize: number): Record<string, unknown> {
  const entry = ropeEntry(rope, headSize);
  if (!entry) return { rope_theta: rope.theta };
  const { rope_theta: theta, partial_rotary_factor: partial, ...scaling } = entry;
  return {
    rope_theta: theta,
    rope_parameters: entry,
    ...(partial !== undefined && { partial_rotary_factor: partial }),
    ...(rope.scaling && { rope_scaling: scaling }),
  };
}

export interface TwoTables {
  readonly headSize: number;
  /** The base of blocks that see all keys, where the file names none; and of those that see the last ones. */
  readonly theta: number;
  readonly localTheta: number;
  /** The table of blocks that see the last keys, where the file has no entry for them. */
  readonly otherwise: (full: Rope) => Rope;
}

/** Two tables: `rope` for blocks that see all keys, and `local` for those that see the last ones. */
export function twoTables(
  hf: Json,
  { headSize, theta, localTheta, otherwise }: TwoTables,
): Pick<Config, "ropes"> & { readonly rope: Rope } {
  const tables = reader(WHO, hf).object("rope_parameters");
  const [full, local] = [FULL, SLIDING].map((kind) => tables?.[kind] as Json | undefined);
  const rope = full ? ropeIn(hf, full, { headSize, theta }) : ropeFrom(hf, { headSize, theta });
  return { rope, ropes: { local: local ? ropeIn(hf, local, { headSize, theta: localTheta }) : otherwise(rope) } };
}

/** Both tables as rope_parameters. */
export const twoTablesJson = (c: Config): Json => ({
  rope_parameters: { [FULL]: ropeEntry(c.rope!, c.headSize), [SLIDING]: ropeEntry(c.ropes!["local"]!, c.headSize) },
});
