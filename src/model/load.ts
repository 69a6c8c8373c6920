/** From a checkpoint to a model: an architecture claims it, weights get our names and our orientation. */
import { asFloats, type NdArray, rereadable, sizeOf } from "../base/array.ts";
import { type Context, defaultContext } from "../base/context.ts";
import { fail } from "../base/fail.ts";
import type { Hash } from "../base/hash.ts";
import { onShelf, type Plugged } from "../base/plugin.ts";
import { Sessions } from "../onnx/session.ts";
import { type Arch, type Config, declaredWeights, type RopeScaling, storedWeights } from "./arch/arch.ts";
import { transposed } from "./arch/forms.ts";
import { registry } from "./arch/registry.ts";
import { type Checkpoint, openCheckpoint } from "../checkpoint/checkpoint.ts";
import { resolveModel } from "../hub/hub.ts";
import { availableMemory, estimateMemory, type MemoryNeed, type Purpose, refuseIfTooLarge, type Training } from "./memory-estimate.ts";
import { createModel, type Model } from "./model.ts";
import type { WeightName } from "./names.ts";
import type { Tokenizer } from "../text/tokenizer.ts";
import { outOfScope } from "./out-of-scope.ts";
import { checkStored, theirName } from "./check-stored.ts";
import { fittingTokenizer } from "./fitting-tokenizer.ts";

const archsOf = (ctx: Plugged): readonly Arch[] => Object.values(onShelf<Arch>("arch", registry, ctx));

/** What a model is, before its weights are read. */
export interface Shape {
  readonly arch: Arch;
  readonly config: Config;
  readonly weights: ReadonlyMap<WeightName, { readonly shape: readonly number[] }>;
}

export interface LoadOptions {
  /** What the model is loaded for: the estimate of working memory depends on it. */
  readonly purpose?: Purpose;
  /** What is to be trained of it, where it is loaded for that. */
  readonly training?: (of: Shape) => Training | undefined;
  /** Load even where the estimate says that memory will not do. */
  readonly force?: boolean;
  /** The hash of the stored weights, where it was worked out before. */
  readonly weightsHash?: Hash;
  /** Stands in for the checkpoint's own tokenizer. */
  readonly tokenizer?: Tokenizer;
}

/** Loads a model from a folder, a .gguf file, a hub id or "bundled"; refuses before reading weights when memory will not do. */
export async function load(spec: string, ctx: Context = defaultContext(), options: LoadOptions = {}): Promise<Model> {
  return loadFrom(await resolveModel(spec, ctx), ctx, options);
}

/** Loads a model from a folder or a .gguf file. */
export function loadFrom(path: string, ctx: Context = defaultContext(), options: LoadOptions = {}): Model {
  const checkpoint = openCheckpoint(path);
  try {
    const { arch, config } = identify(checkpoint, ctx);
    checkStored(checkpoint, { arch, config });
    const need = needOf(checkpoint, options, { arch, config });
    refuseIfTooLarge("model", need, availableMemory({ setting: ctx.memory }), options.force);
    // weights first: each large array makes V8 look through the heap, in which a vocabulary is much
    const weights = readWeights(checkpoint, arch, config, ctx);
    const tokenizer = fittingTokenizer(checkpoint, config, options.tokenizer, ctx);
    return createModel({
      config,
      arch,
      tokenizer,
      weights,
      sessions: new Sessions(ctx.threads),
      ...(checkpoint.chatTemplate !== undefined && { chatTemplate: checkpoint.chatTemplate }),
      files: checkpoint,
      hashWeights: () => options.weightsHash ?? checkpoint.hashWeights(),
      close: () => checkpoint.close(),
    });
  } catch (error) {
    checkpoint.close();
    throw error;
  }
}

/** What loading a checkpoint for a purpose will take. */
export function needOf(
  checkpoint: Checkpoint,
  { purpose = "ask", training: asked }: LoadOptions,
  { arch, config }: Omit<Shape, "weights">,
): MemoryNeed {
  const training = asked?.({ arch, config, weights: storedWeights({ arch, config }) });
  return estimateMemory(checkpoint, { ...(training ? { purpose: "train", training } : { purpose }), widenUpTo: SMALL });
}

/** Which architecture claims a checkpoint, and its config in our words. */
export function identify(checkpoint: Checkpoint, ctx: Plugged): { arch: Arch; config: Config } {
  if (checkpoint.source === "gguf") {
    const name = String(checkpoint.kv?.["general.architecture"]);
    const archs = archsOf(ctx);
    const arch =
      archs.find((a) => a.gguf?.architecture === name) ??
      unknown(
        checkpoint,
        name,
        archs.flatMap((a) => a.gguf?.architecture ?? []),
      );
    const config = arch.gguf!.config(checkpoint.kv ?? {}, checkpoint.tensors);
    const factors = arch.gguf!.ropeFactors && checkpoint.tensors.get(arch.gguf!.ropeFactors);
    if (!factors) return { arch, config };
    const values = [...asFloats(factors.read(), "float64").data];
    return { arch, config: { ...config, rope: { ...config.rope!, scaling: { ...config.rope!.scaling, factors: values } as RopeScaling } } };
  }
  return identifyConfig(checkpoint.config ?? {}, checkpoint, ctx);
}

/** Which architecture claims a config.json, and what it says in our words. */
export function identifyConfig(
  json: Readonly<Record<string, unknown>>,
  from: { readonly path: string },
  ctx: Plugged,
): { arch: Arch; config: Config } {
  const type = String(json["model_type"]);
  const archs = archsOf(ctx);
  const arch =
    archs.find((a) => a.claims.includes(type)) ??
    unknown(
      from,
      type,
      archs.flatMap((a) => a.claims),
    );
  return { arch, config: arch.config(json) };
}

function unknown(from: { readonly path: string }, name: string, known: readonly string[]): never {
  const reason = outOfScope(name);
  if (reason) fail("model", `${from.path} is ${reason.is} ("${name}")`, reason.wanted, reason.hint, "unavailable");
  return fail(
    "model",
    `${from.path} is of architecture "${name}"`,
    `one of ${known.join(", ")}`,
    "An architecture is one file: docs/extend.md says how to write it, and --plugin loads it.",
    "unavailable",
  );
}

/** Our name of every stored tensor: ours → (theirs, how to read it). */
function readWeights(checkpoint: Checkpoint, arch: Arch, c: Config, ctx: Context): Map<WeightName, NdArray> {
  const weights = new Map<WeightName, NdArray>();
  const gguf = checkpoint.source === "gguf" ? arch.gguf : undefined;
  const parameters = [...checkpoint.tensors.values()].reduce((n, t) => n + sizeOf(t.shape), 0);
  const small = parameters * 4 <= SMALL;
  const claimed = new Set<string>(gguf?.ropeFactors ? [gguf.ropeFactors] : []);
  const forms = gguf?.forms?.(c);
  const ignored = [/rotary_emb/, /lm_head\.weight$/, ...(gguf ? (gguf.ignored ?? []) : (arch.ignored ?? []))];
  for (const weight of declaredWeights({ arch, config: c })) {
    const { template, ours, stored } = weight;
    const theirs = theirName(checkpoint, arch, weight);
    const info = checkpoint.tensors.get(theirs)!; // checkStored has looked
    const form = forms?.[template];
    const read = (): NdArray => {
      const array = stored.transposed && !gguf ? transposed(info.read()) : info.read();
      return resident(form ? form.read(array) : array, small);
    };
    weights.set(ours, rereadable(read));
    claimed.add(theirs);
  }
  const extra = [...checkpoint.tensors.keys()].filter((name) => !claimed.has(name) && !ignored.some((pattern) => pattern.test(name)));
  if (extra.length > 0)
    ctx.log({ kind: "warning", who: "model", text: `${extra.length} tensors of the checkpoint are not used, ${extra[0]} among them` });
  return weights;
}

/** Half-precision weights of a large model stay as they are; those of a small one become float32, which computes faster. */
function resident(array: NdArray, small: boolean): NdArray {
  return small && array.dtype !== "float64" ? asFloats(array, "float32") : array;
}

/** Bytes of float32 weights up to which a model counts as small. */
const SMALL = 2 ** 31;
