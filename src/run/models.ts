/** Lists the models on this machine, and describes one. */
import { existsSync, readdirSync, statSync } from "node:fs";
import { homedir } from "node:os";
import { basename, join } from "node:path";
import { sizeOf } from "../base/array.ts";
import { type Context, environment } from "../base/context.ts";
import { fail, LetheError } from "../base/fail.ts";
import { readUtf8 } from "../base/store.ts";
import { openCheckpoint } from "../checkpoint/checkpoint.ts";
import { resolveModel } from "../hub/hub.ts";
import { identify } from "../model/load.ts";
import { availableMemory, estimateMemory, type MemoryHave, type Purpose } from "../model/memory-estimate.ts";
import { createModel } from "../model/model.ts";
import { createTokenizer } from "../text/tokenizer.ts";
import { Sessions } from "../onnx/session.ts";

export interface Found {
  /** What to write for MODEL. */
  readonly model: string;
  /** Bytes on disk. */
  readonly bytes: number;
  readonly path: string;
  /** The reason, if it cannot be used. */
  readonly problem?: string;
}

export interface Card {
  readonly path: string;
  readonly architecture: string;
  readonly source: "safetensors" | "gguf";
  readonly parameters: number;
  /** Stored types of the weights, the most frequent first. */
  readonly dtypes: readonly string[];
  readonly bytes: number;
  readonly layers: number;
  readonly width: number;
  readonly heads: number;
  readonly kvHeads: number;
  readonly vocabulary: number;
  readonly context: number;
  readonly hasChatTemplate: boolean;
  /** Estimated bytes of memory by purpose. */
  readonly memory: Readonly<Record<Purpose, number>>;
  readonly available: MemoryHave;
  readonly id: string;
}

/** The folder in which hub models lie. */
export function hubFolder(env: Readonly<Record<string, string | undefined>> = environment()): string {
  const home = env["HOME"] ?? homedir();
  const expand = (path: string): string => path.replace(/^~(?=$|\/)/, home);
  const base = expand(env["HF_HOME"] ?? join(env["XDG_CACHE_HOME"] ?? join(home, ".cache"), "huggingface"));
  return expand(env["HF_HUB_CACHE"] ?? env["HUGGINGFACE_HUB_CACHE"] ?? join(base, "hub"));
}

/** The bundled model, and every model in the hub's cache. */
export async function listModels(ctx: Context): Promise<Found[]> {
  const own = await bundled(ctx);
  const cache = hubFolder();
  const folders = existsSync(cache)
    ? readdirSync(cache)
        .filter((name) => name.startsWith("models--"))
        .sort()
    : [];
  return [...own, ...folders.flatMap((name) => snapshots(join(cache, name), ctx))];
}

async function bundled(ctx: Context): Promise<Found[]> {
  try {
    return [inspect("bundled", await resolveModel("bundled", ctx), ctx)];
  } catch (error) {
    if (!(error instanceof LetheError)) throw error;
    return [{ model: "bundled", bytes: 0, path: "", problem: `${error.got}` }];
  }
}

/** One entry for every revision with a branch or tag in the cache, and for a commit without one. */
function snapshots(folder: string, ctx: Context): Found[] {
  const id = basename(folder).slice("models--".length).replace("--", "/");
  const root = join(folder, "snapshots");
  const commits = existsSync(root) ? readdirSync(root) : [];
  return commits.map((commit) => {
    const revision = revisionOf(join(folder, "refs"), commit) ?? commit;
    return inspect(revision === "main" ? id : `${id}@${revision}`, join(root, commit), ctx);
  });
}

function revisionOf(refs: string, commit: string): string | undefined {
  if (!existsSync(refs)) return undefined;
  const names = readdirSync(refs, { recursive: true, encoding: "utf8" }).filter((name) => statSync(join(refs, name)).isFile());
  const matching = names.filter((name) => readUtf8(join(refs, name), "models").trim() === commit);
  return matching.includes("main") ? "main" : matching.sort()[0];
}

function inspect(model: string, path: string, ctx: Context): Found {
  try {
    const checkpoint = openCheckpoint(path);
    try {
      identify(checkpoint, ctx);
      return { model, path, bytes: bytesOn(checkpoint.files) };
    } finally {
      checkpoint.close();
    }
  } catch (error) {
    if (!(error instanceof LetheError)) throw error;
    const files = readdirSync(path)
      .map((name) => join(path, name))
      .filter((file) => existsSync(file) && statSync(file).isFile());
    return { model, path, bytes: bytesOn(files), problem: error.got };
  }
}

const bytesOn = (files: readonly string[]): number => files.reduce((sum, file) => sum + statSync(file).size, 0);

/** Brings a hub model into the cache and gives its local path; a local model is left as it is. */
export const pullModel = (spec: string, ctx: Context): Promise<string> => resolveModel(spec, ctx);

/** Describes a model from its headers and, for the id, its bytes. Downloads nothing. */
export async function describeModel(spec: string, ctx: Context): Promise<Card> {
  const path = await here(spec, ctx);
  const checkpoint = openCheckpoint(path);
  try {
    const { arch, config } = identify(checkpoint, ctx);
    const tokenizer = createTokenizer(checkpoint.tokenizerJson, checkpoint.tokenizerConfig, checkpoint.generation);
    const tensors = [...checkpoint.tensors.values()];
    const sizes = new Map<string, number>();
    for (const { dtype, shape } of tensors) sizes.set(dtype, (sizes.get(dtype) ?? 0) + sizeOf(shape));
    const need = (purpose: Purpose): number => estimateMemory(checkpoint, { purpose }).total;
    return {
      path,
      architecture: arch.name,
      source: checkpoint.source,
      parameters: tensors.reduce((sum, { shape }) => sum + sizeOf(shape), 0),
      dtypes: [...sizes].sort((a, b) => b[1] - a[1]).map(([dtype]) => dtype),
      bytes: bytesOn(checkpoint.files),
      layers: config.layers,
      width: config.width,
      heads: config.heads,
      kvHeads: config.kvHeads,
      vocabulary: config.vocab,
      context: config.context,
      hasChatTemplate: checkpoint.chatTemplate !== undefined,
      memory: { ask: need("ask"), statistics: need("statistics"), edit: need("edit"), train: need("train") },
      available: availableMemory({ setting: ctx.memory }),
      id: createModel({
        config,
        arch,
        tokenizer,
        weights: new Map(),
        sessions: new Sessions(1),
        files: checkpoint,
        hashWeights: () => checkpoint.hashWeights(),
        close: () => {},
      }).id,
    };
  } finally {
    checkpoint.close();
  }
}

/** The path of a model that is on this machine already. */
async function here(spec: string, ctx: Context): Promise<string> {
  try {
    return await resolveModel(spec, ctx, { ...environment(), HF_HUB_OFFLINE: "1" });
  } catch (error) {
    const isHub = !existsSync(spec) && /^[\w.-]+\/[\w.-]+(@[\w./-]+)?$/.test(spec);
    if (isHub && error instanceof LetheError && /not in the cache/.test(error.got))
      fail("models show", `${spec} is not on this machine`, "a model that is", `Fetch it: lethe models pull ${spec}.`, "unavailable");
    throw error;
  }
}
