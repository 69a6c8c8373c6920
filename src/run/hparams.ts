/** Hyperparameter files of EasyEdit (YAML) and of the methods' own repositories (JSON), read as they are. */
import { parseDocument } from "yaml";
import { fail } from "../base/fail.ts";
import { readText } from "../data/records.ts";
import type { AnyMethod } from "../methods/method.ts";

/** Keys that say where things are, not what is done; and module names, which an architecture here declares itself. */
const PLUMBING =
  /^(alg_name|model_name|stats_dir|device|model_parallel|batch_size|max_length|results_dir|save_path|load_path|P_loc|fact_token|\w+_module(_tmp)?|mom2_(dataset|n_samples|dtype|adjustment)|layer_selection|v_loss_layer|tok_dataset|fp16|use_chat_template)$/;

export interface Hparams {
  /** By our names, as text is read for --set. */
  readonly params: Readonly<Record<string, unknown>>;
  readonly compat: readonly string[];
  /** What the file says and nothing here reads. */
  readonly unread: readonly string[];
}

/** Reads a file for a method; refuses one that is for another, and values that no parameter can take. */
export function readHparams(path: string, method: AnyMethod): Hparams {
  const document = parseDocument(readText(path));
  const [error] = document.errors;
  if (error) fail("hparams", `${path}: ${error.message.split("\n")[0]!}`, "YAML or JSON", "");
  const json: unknown = document.toJS();
  if (typeof json !== "object" || json === null || Array.isArray(json)) fail("hparams", `${path} holds no table`, "key: value lines", "");
  const table = json as Readonly<Record<string, unknown>>;
  const named = table["alg_name"];
  if (typeof named === "string" && named.toLowerCase().replaceAll(/[-_]/g, "") !== method.name.replaceAll(/[-_]/g, ""))
    fail("hparams", `${path} is for ${named}`, `a file for ${method.title}`, `Use --method ${named.toLowerCase()}, or another file.`);
  const known = method.hparams ?? {};
  const params: Record<string, unknown> = {};
  const compat: string[] = [];
  const unread: string[] = [];
  for (const [key, raw] of Object.entries(table)) {
    const ours = known[key];
    if (typeof ours === "function") compat.push(...ours(raw));
    else if (ours !== undefined) params[ours] = valueOf(path, key, raw, ours, method);
    else if (!PLUMBING.test(key)) unread.push(key);
  }
  return { params, compat, unread };
}

/** PyYAML reads 5e-1 as text, and the reference makes a number of it again; a list of layers may be meant for one; false for a number switches it off. */
function valueOf(path: string, key: string, raw: unknown, ours: string, method: AnyMethod): unknown {
  const fallback = (method.params as Readonly<Record<string, { readonly default: unknown }>>)[ours]?.default;
  const isPair = (x: unknown): x is [number, number] => Array.isArray(x) && x.length === 2 && x.every((n) => typeof n === "number");
  if (Array.isArray(raw) && raw.length > 0 && raw.every(isPair)) return raw.map(([length, count]) => `${length}x${count}`);
  if (Array.isArray(raw) && ours === "layer") {
    if (raw.length !== 1)
      fail("hparams", `${path}: ${key} is ${JSON.stringify(raw)}`, "one layer", `${method.title} rewrites one; take one of them.`);
    return typeof raw[0] === "string" ? layerOf(raw[0]) : raw[0];
  }
  if (raw === false && typeof fallback === "number") return 0;
  return typeof raw === "string" && typeof fallback === "number" && Number.isFinite(Number(raw)) ? Number(raw) : raw;
}

/** The block that a module's name speaks of: "model.layers[27].mlp.down_proj.weight", "transformer.h.8.mlp.c_fc.weight". */
const layerOf = (name: string): unknown => /(?:layers|\bh)[.[](\d+)/.exec(name)?.[1] ?? name;
