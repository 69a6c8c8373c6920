/** A model written as one GGUF file, which llama.cpp and ollama load. */
import { asFloats, type NdArray } from "../base/array.ts";
import { breather, type Context } from "../base/context.ts";
import { fail } from "../base/fail.ts";
import { type GgufTensor, type GgufType, type Metadata, typeForRows, writeGguf } from "../checkpoint/gguf-write.ts";
import { tokenizerMetadata } from "../checkpoint/tokenizer-metadata.ts";
import { type Arch, type Config, declaredWeights, type GgufNames, linearMaps, type Rope } from "./arch/arch.ts";
import type { Model } from "./model.ts";
import { atLayer } from "./names.ts";
import { frequencies } from "./rope.ts";

/** How matrices are stored: its type in the file, and llama.cpp's number for a file of mostly this type. */
const STORED = {
  float32: { type: "F32", file: 0 },
  float16: { type: "F16", file: 1 },
  bfloat16: { type: "BF16", file: 32 },
  q8_0: { type: "Q8_0", file: 7 },
  q4_0: { type: "Q4_0", file: 2 },
  q4_1: { type: "Q4_1", file: 3 },
  q4_k: { type: "Q4_K", file: 14 },
} as const satisfies Record<string, { type: GgufType; file: number }>;

export type GgufDtype = keyof typeof STORED;

const WHO = "export";

/** How GGUF spells an architecture; refuses one for which it has no words. */
function writableGguf(arch: Arch): GgufNames & Required<Pick<GgufNames, "metadata">> {
  const { gguf } = arch;
  if (gguf?.metadata) return { ...gguf, metadata: gguf.metadata };
  return fail(
    WHO,
    `the architecture "${arch.name}", which has no names in GGUF`,
    "an architecture that llama.cpp and Lethe both spell",
    "Export with --format safetensors.",
    "unavailable",
  );
}

/** What a GGUF file says of a config, and the tensors that it has besides the weights. Refuses what GGUF has no words for. */
export function ggufHeader({ arch, config }: { readonly arch: Arch; readonly config: Config }): {
  readonly metadata: Metadata;
  readonly factors: readonly (readonly [string, GgufTensor])[];
} {
  const gguf = writableGguf(arch);
  const metadata = gguf.metadata(config);
  const divisors = config.rope && divisorsOf(config.rope);
  if (!divisors) return { metadata, factors: [] };
  const { ropeFactors } = gguf;
  if (ropeFactors === undefined)
    return fail(
      WHO,
      `rotary positions of the kind ${config.rope!.scaling!.kind} in "${arch.name}"`,
      "what GGUF has words for",
      "Export with --format safetensors.",
      "unavailable",
    );
  const data = Float32Array.from(divisors);
  const shape = [data.length];
  return { metadata, factors: [[ropeFactors, { stored: "F32", shape, read: () => ({ dtype: "float32", shape, data }) }]] };
}

/** One divisor a frequency, for the scalings that GGUF stores as a tensor. */
function divisorsOf(rope: Rope): readonly number[] | undefined {
  const { scaling, ...plain } = rope;
  if (scaling?.kind === "factors" || scaling?.kind === "longrope") return scaling.factors;
  if (scaling?.kind !== "llama3") return undefined;
  const scaled = frequencies(rope);
  return [...frequencies(plain)].map((frequency, i) => frequency / scaled[i]!);
}

export interface GgufOptions {
  /** How matrices are stored (default float32). */
  readonly dtype?: GgufDtype;
  /** Hears signals and gets the progress. */
  readonly ctx?: Context;
}

/** What was written. */
export interface GgufWritten {
  /** The number of tensors of each type. */
  readonly stored: Readonly<Partial<Record<GgufType, number>>>;
}

/**
 * Writes a model, edits and all, with its tokenizer and chat template. Linear maps, the embedding and the head are stored as `dtype`; rows that
 * 256 does not divide as Q5_0 in place of Q4_K, rows that 32 does not divide as F16; norms, biases and learned positions as float32. Nothing
 * half-written is ever at `path`. Refuses an architecture or a tokenizer that GGUF has no words for.
 */
export async function exportGguf(model: Model, path: string, { dtype = "float32", ctx }: GgufOptions = {}): Promise<GgufWritten> {
  const { arch, config } = model;
  const gguf = writableGguf(arch);
  const { metadata, factors } = ggufHeader(model);
  const { type, file } = STORED[dtype];
  const tensors = new Map([...tensorsOf(model, gguf, type), ...factors]);
  const told = (done: number): void => ctx?.log({ kind: "progress", stage: "writing", done, total: tensors.size, unit: "tensors" });
  await writeGguf(
    path,
    {
      "general.architecture": { string: gguf.architecture },
      "general.file_type": { uint32: file },
      "general.quantization_version": { uint32: 2 },
      "general.alignment": { uint32: 32 },
      ...metadata,
      ...tokenizerMetadata(model.files, model.tokenizer, config.vocab),
    },
    tensors,
    { told, ...(ctx && { breathe: breather(ctx, WHO) }) },
  );
  const stored: Partial<Record<GgufType, number>> = {};
  for (const tensor of tensors.values()) stored[tensor.stored] = (stored[tensor.stored] ?? 0) + 1;
  return { stored };
}

function tensorsOf(model: Model, gguf: GgufNames, type: GgufType): (readonly [string, GgufTensor])[] {
  const { config, weights } = model;
  const forms = gguf.forms?.(config) ?? {};
  const matrices = new Set(["embed", "head", ...linearMaps(model).keys()]);
  const declared = declaredWeights(model);
  const tensors = declared.map(({ template, layer, ours }): readonly [string, GgufTensor] => {
    const array = weights.get(ours) ?? fail(WHO, `a model without "${ours}"`, "every weight of its architecture", "", "internal");
    const theirs = gguf.weights[template] ?? fail(WHO, `"${template}", which has no name in GGUF`, "a name", "", "internal");
    const form = forms[template];
    const stored = matrices.has(ours) ? typeForRows(type, array.shape.at(-1)!) : "F32";
    const wide = (): NdArray => (stored === "F32" ? asFloats(array, "float32") : array); // a form may compute
    const read = (): NdArray => (form ? form.write(wide()) : array);
    return [atLayer(theirs, layer), { stored, shape: array.shape, read }];
  });
  const isTied = !declared.some(({ ours }) => ours === "head");
  const embedding = tensors.find(([name]) => name === gguf.weights["embed"])?.[1];
  return isTied && gguf.needsHead && embedding ? [...tensors, [gguf.weights["head"]!, embedding]] : tensors;
}
