/** A model on disk, independent of its architecture: tensors, configuration, tokenizer and chat template. */
import { createHash } from "node:crypto";
import { existsSync, readdirSync, statSync } from "node:fs";
import { basename, join } from "node:path";
import type { Breathe } from "../base/context.ts";
import { fail, LetheError } from "../base/fail.ts";
import type { Hash } from "../base/hash.ts";
import {
  PICKLE_ADVICE,
  type Safetensors,
  type TensorInfo,
  complain,
  isRecord,
  openSafetensors,
  readJson,
  readUtf8,
} from "../base/store.ts";
import { openGguf } from "./gguf.ts";
import { otherFolder, quantisationOf, refuseQuantised } from "./unusual.ts";
import { tokenizerFromGguf } from "../text/tokenizer-gguf.ts";

export interface Checkpoint {
  /** For messages only. */
  readonly path: string;
  readonly source: "safetensors" | "gguf";
  /** Names as stored; GGUF's shapes are row-major [out, in], its blocks read as float32. */
  readonly tensors: ReadonlyMap<string, TensorInfo>;
  /** config.json. */
  readonly config?: Record<string, unknown>;
  /** GGUF metadata. */
  readonly kv?: Readonly<Record<string, unknown>>;
  /** generation_config.json. */
  readonly generation?: Record<string, unknown>;
  /** tokenizer.json, or made from GGUF metadata; read on first access, which fails if the model has none. */
  readonly tokenizerJson: Record<string, unknown>;
  /** tokenizer_config.json, or made from GGUF metadata. */
  readonly tokenizerConfig: Record<string, unknown>;
  readonly chatTemplate?: string;
  /** Its files. */
  readonly files: readonly string[];
  /** SHA-256 of names, types, shapes and stored bytes in name order; independent of the distribution over files. */
  hashWeights(): Hash;
  /** As {@link hashWeights}; between two pieces it calls `breathe`, so that signals are heard. */
  hashWeightsBreathing(breathe: Breathe): Promise<Hash>;
  close(): void;
}

const WHO = "model";

/** Opens a Hugging Face folder (safetensors, or one GGUF file) or a single GGUF file; reads headers and side files, but no weights. */
export function openCheckpoint(path: string): Checkpoint {
  let isFolder: boolean;
  try {
    isFolder = statSync(path).isDirectory();
  } catch (error) {
    complain(WHO, path, error);
  }
  if (isFolder) return openFolder(path);
  if (path.endsWith(".gguf")) return assemble(path, weightsFromGguf(path), {});
  const hint = isPickle(path) ? PICKLE_ADVICE : path.endsWith(".safetensors") ? "Name the folder that holds it." : "";
  return fail(WHO, `${path} is a file, but not a model`, "a folder or a .gguf file", hint);
}

interface Stored {
  readonly source: "safetensors" | "gguf";
  readonly tensors: ReadonlyMap<string, TensorInfo>;
  readonly kv?: Readonly<Record<string, unknown>>;
  readonly files: readonly string[];
  close(): void;
}

const SIDE_FILES = {
  config: "config.json",
  generation: "generation_config.json",
  tokenizerJson: "tokenizer.json",
  tokenizerConfig: "tokenizer_config.json",
  template: "chat_template.jinja",
} as const;
type Sides = { readonly [K in keyof typeof SIDE_FILES]?: string };

function openFolder(folder: string): Checkpoint {
  const found = readdirSync(folder).sort();
  const sides: Sides = Object.fromEntries(
    Object.entries(SIDE_FILES)
      .filter(([, name]) => found.includes(name))
      .map(([key, name]) => [key, join(folder, name)]),
  );
  return assemble(folder, weightsIn(folder, found, sides), sides);
}

/** The weights of a folder. Types that only quantised checkpoints store are refused as what they are. */
function weightsIn(folder: string, found: readonly string[], { config }: Sides): Stored {
  try {
    return openWeights(folder, found, config !== undefined);
  } catch (error) {
    const by =
      error instanceof LetheError && error.got.includes("is stored as")
        ? quantisationOf({ path: folder, ...given(readObject(config)) })
        : undefined;
    if (by !== undefined) refuseQuantised(folder, by);
    throw error;
  }
}

const given = (config: Record<string, unknown> | undefined): { config?: Record<string, unknown> } => (config ? { config } : {});

const isPickle = (name: string): boolean => /\.(bin|pt|pth|ckpt|pkl)$/.test(name);

function openWeights(folder: string, found: readonly string[], hasConfig: boolean): Stored {
  const safetensors = found.filter((name) => name.endsWith(".safetensors"));
  const ggufs = found.filter((name) => name.endsWith(".gguf"));
  const index = "model.safetensors.index.json";
  const single = safetensors.includes("model.safetensors")
    ? "model.safetensors"
    : safetensors.length === 1 && !found.includes(index)
      ? safetensors[0]!
      : "";
  if (single || found.includes(index)) {
    const other = hasConfig ? undefined : otherFolder(folder, found);
    if (other) fail(WHO, other.got, other.wanted, other.hint, "unavailable");
    if (!hasConfig)
      fail(WHO, `${folder} has weights but no config.json`, "config.json", "Download the whole folder of the model.", "unavailable");
    return single ? weightsFromFile(join(folder, single)) : weightsFromIndex(folder, join(folder, index));
  }
  const isPart = ggufs.some((name) => /-\d{5}-of-\d{5}\.gguf$/.test(name));
  if (ggufs.length === 1 && !isPart) return weightsFromGguf(join(folder, ggufs[0]!));
  const other = safetensors.length === 0 && (ggufs.length === 0 || isPart) ? otherFolder(folder, found) : undefined;
  if (other && (found.includes("adapter_config.json") || !found.some(isPickle)))
    fail(WHO, other.got, other.wanted, other.hint, "unavailable");
  const list = found.length ? found.slice(0, 12).join(", ") + (found.length > 12 ? `, and ${found.length - 12} more` : "") : "nothing";
  const hint = ggufs.length
    ? "Name one of its .gguf files."
    : safetensors.length
      ? `Several weight files need ${index}; fetch the whole folder of the model.`
      : found.some(isPickle)
        ? `Pickles can run code when they are loaded. ${PICKLE_ADVICE}`
        : "";
  return fail(
    WHO,
    `${folder} is not a model folder; it contains ${list}`,
    "model.safetensors, its shards with their index, or one .gguf file",
    hint,
    "unavailable",
  );
}

function weightsFromFile(path: string): Stored {
  const { tensors, close } = openSafetensors(path);
  return { source: "safetensors", tensors, files: [path], close };
}

function weightsFromGguf(path: string): Stored {
  const { tensors, kv, close } = openGguf(path);
  return { source: "gguf", tensors, kv, files: [path], close };
}

/** Opens every shard of an index; the index maps each tensor to its shard. */
function weightsFromIndex(folder: string, path: string): Stored {
  const refuse = (got: string, wanted: string): never =>
    fail(WHO, `${path}: ${got}`, wanted, "Download the whole folder of the model again.", "unavailable");
  const index = readJson(path, WHO);
  const map = isRecord(index) ? index["weight_map"] : undefined;
  if (!isRecord(map)) return refuse("weight_map is missing", "a map from tensor names to files");
  const names = [...new Set(Object.values(map))];
  for (const name of names)
    if (typeof name !== "string" || name !== basename(name) || !/^[^\\\0]+\.safetensors$/.test(name))
      return refuse(`it names the file ${(JSON.stringify(name) ?? "").slice(0, 80)}`, "names of .safetensors files in the same folder");
  const files = (names as string[]).sort();
  const missing = files.filter((name) => !existsSync(join(folder, name)));
  if (missing.length) refuse(`${missing.length} of ${files.length} shards are missing: ${missing.slice(0, 5).join(", ")}`, "all of them");
  const shards = new Map<string, Safetensors>();
  const close = (): void => {
    for (const shard of shards.values()) shard.close();
  };
  try {
    for (const name of files) shards.set(name, openSafetensors(join(folder, name)));
    const tensors = new Map<string, TensorInfo>();
    for (const [name, file] of Object.entries(map)) {
      const tensor = shards.get(file as string)?.tensors.get(name);
      if (!tensor) return refuse(`${JSON.stringify(name.slice(0, 80))} is not in ${String(file)}`, "an index that matches its shards");
      tensors.set(name, tensor);
    }
    return { source: "safetensors", tensors, files: [path, ...files.map((name) => join(folder, name))], close };
  } catch (error) {
    close();
    throw error;
  }
}

/** Joins weights and side files; side files override GGUF metadata. */
function assemble(path: string, stored: Stored, sides: Sides): Checkpoint {
  try {
    const { source, tensors, kv, close } = stored;
    const config = readObject(sides.config);
    const generation = readObject(sides.generation);
    const fromKv = kv && !sides.tokenizerJson ? tokenizerFromGguf(kv) : undefined;
    const tokenizerJson = readObject(sides.tokenizerJson) ?? fromKv?.tokenizerJson;
    const tokenizerConfig = readObject(sides.tokenizerConfig) ?? fromKv?.tokenizerConfig ?? {};
    const chatTemplate = readTemplate(sides.template) ?? templateOf(tokenizerConfig) ?? fromKv?.chatTemplate ?? templateOfKv(kv);
    let hash: Hash | undefined;
    return {
      path,
      source,
      tensors,
      tokenizerConfig,
      close,
      files: [...stored.files, ...Object.values(sides)],
      ...(config && { config }),
      ...(kv && { kv }),
      ...(generation && { generation }),
      ...(chatTemplate !== undefined && { chatTemplate }),
      get tokenizerJson() {
        return (
          tokenizerJson ??
          fail(
            WHO,
            `${path} has no tokenizer.json`,
            "a tokenizer.json",
            "In Python: AutoTokenizer.from_pretrained(folder).save_pretrained(folder) writes it.",
            "unavailable",
          )
        );
      },
      hashWeights() {
        if (hash !== undefined) return hash;
        const hashing = hashTensors(tensors);
        let turn = hashing.next();
        while (!turn.done) turn = hashing.next();
        return (hash = turn.value);
      },
      async hashWeightsBreathing(breathe) {
        if (hash !== undefined) return hash;
        const hashing = hashTensors(tensors);
        let turn = hashing.next();
        while (!turn.done) {
          await breathe();
          turn = hashing.next();
        }
        return (hash = turn.value);
      },
    };
  } catch (error) {
    stored.close();
    throw error;
  }
}

function readObject(path: string | undefined): Record<string, unknown> | undefined {
  if (path === undefined) return undefined;
  const value = readJson(path, WHO);
  if (!isRecord(value))
    return fail(
      WHO,
      `${path} contains ${Array.isArray(value) ? "a list" : typeof value}`,
      "a JSON object",
      "Download the file again.",
      "unavailable",
    );
  return value;
}

function readTemplate(path: string | undefined): string | undefined {
  return path === undefined ? undefined : readUtf8(path, WHO, { most: 1 << 22, wanted: "a chat template" });
}

const templateOfKv = (kv: Readonly<Record<string, unknown>> | undefined): string | undefined => {
  const template = kv?.["tokenizer.chat_template"];
  return typeof template === "string" ? template : undefined;
};

/** tokenizer_config.json has one template, or a list of named ones, of which "default" is used. */
function templateOf(config: Record<string, unknown>): string | undefined {
  const given = config["chat_template"];
  if (typeof given === "string") return given;
  if (!Array.isArray(given)) return undefined;
  const named = given.filter(isRecord).filter((entry) => typeof entry["template"] === "string");
  const chosen = named.find((entry) => entry["name"] === "default") ?? (named.length === 1 ? named[0] : undefined);
  return chosen?.["template"] as string | undefined;
}

/** Yields after each piece that is read. */
function* hashTensors(tensors: ReadonlyMap<string, TensorInfo>): Generator<undefined, Hash> {
  const sha = createHash("sha256");
  for (const name of [...tensors.keys()].sort()) {
    const { stored, shape, bytes, raw } = tensors.get(name)!;
    sha.update(`${JSON.stringify([name, stored, shape, bytes])}\n`);
    for (const piece of raw()) {
      sha.update(piece);
      yield;
    }
  }
  return sha.digest("hex");
}
