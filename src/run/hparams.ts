/** Hyperparameter files of EasyEdit (YAML) and of the methods' own repositories (JSON), read as they are. */
import { type Document, isMap, isScalar, LineCounter, parseDocument } from "yaml";
import { fail, LetheError } from "../base/fail.ts";
import { type Param, type ParamValue, resolveParams } from "../base/schema.ts";
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

/** Reads a file for a method; refuses one that is for another, and values that no parameter can take, with their line. */
export function readHparams(path: string, method: AnyMethod): Hparams {
  const { table, lineOf } = readTable(path);
  const named = table["alg_name"];
  if (typeof named === "string" && named.toLowerCase().replaceAll(/[-_]/g, "") !== method.name.replaceAll(/[-_]/g, ""))
    fail(
      "hparams",
      `${path} line ${lineOf("alg_name")}: it is for ${named}`,
      `a file for ${method.title}`,
      `Use --method ${named.toLowerCase()}, or another file.`,
    );
  const known = method.hparams ?? {};
  const params: Record<string, unknown> = {};
  const compat: string[] = [];
  const unread: string[] = [];
  for (const [key, raw] of Object.entries(table)) {
    const ours = Object.hasOwn(known, key) ? known[key] : undefined;
    if (typeof ours === "function") compat.push(...ours(raw));
    else if (ours !== undefined) params[ours] = valueOf(`${path} line ${lineOf(key)}`, key, raw, ours, method);
    else if (!PLUMBING.test(key)) unread.push(key);
  }
  return { params, compat, unread };
}

/** The table of a file, and the line of each key. What the reader of YAML cannot end is refused like what it cannot begin. */
function readTable(path: string): { readonly table: Readonly<Record<string, unknown>>; readonly lineOf: (key: string) => number } {
  const text = readText(path);
  const lines = new LineCounter();
  let document: Document.Parsed;
  let json: unknown;
  try {
    document = parseDocument(text, { lineCounter: lines });
    const [error] = document.errors;
    const line = error?.linePos?.[0].line ?? 1;
    if (error) fail("hparams", `${path} line ${line}: ${error.message.split(/ at line \d|\n/)[0]!}`, "YAML or JSON", "");
    json = document.toJS();
    JSON.stringify(json); // an alias may stand inside what it stands for
  } catch (error) {
    if (error instanceof LetheError) throw error;
    return fail("hparams", `${path} holds what does not end (${(error as Error).message})`, "YAML or JSON of a few levels", "");
  }
  if (typeof json !== "object" || json === null || Array.isArray(json)) fail("hparams", `${path} holds no table`, "key: value lines", "");
  const pairs = isMap(document.contents) ? document.contents.items : [];
  const lineOf = (key: string): number => {
    const node = pairs.map((pair) => pair.key).find((found) => isScalar(found) && String(found.value) === key);
    return isScalar(node) && node.range ? lines.linePos(node.range[0]).line : 1;
  };
  return { table: json as Readonly<Record<string, unknown>>, lineOf };
}

/** PyYAML reads 5e-1 as text, and the reference makes a number of it again; a list of layers may be meant for one; false for a number switches it off. */
function valueOf(place: string, key: string, raw: unknown, ours: string, method: AnyMethod): unknown {
  const param = (method.params as unknown as Readonly<Record<string, Param<ParamValue, never>>>)[ours]!;
  const value = spelledOut(place, key, raw, ours, method);
  if (typeof param.default === "function") {
    // what depends on the model is a number of it, or several
    const isNumber = (n: unknown): boolean =>
      (typeof n === "number" || (typeof n === "string" && n.trim() !== "")) && Number.isFinite(Number(n));
    if (!(Array.isArray(value) ? value : [value]).every(isNumber))
      fail(place, `${key} is ${JSON.stringify(raw)?.slice(0, 80)}`, "numbers", "");
    return value;
  }
  const resolved: Record<string, unknown> = resolveParams(
    place,
    { [ours]: param as Param<ParamValue, unknown> },
    { [ours]: value },
    undefined,
  );
  return resolved[ours];
}

function spelledOut(place: string, key: string, raw: unknown, ours: string, method: AnyMethod): unknown {
  const fallback = (method.params as Readonly<Record<string, { readonly default: unknown }>>)[ours]?.default;
  const isPair = (x: unknown): x is [number, number] => Array.isArray(x) && x.length === 2 && x.every((n) => typeof n === "number");
  if (Array.isArray(raw) && raw.length > 0 && raw.every(isPair)) return raw.map(([length, count]) => `${length}x${count}`);
  if (Array.isArray(raw) && ours === "layer") {
    if (raw.length !== 1)
      fail(place, `${key} is ${JSON.stringify(raw)?.slice(0, 80)}`, "one layer", `${method.title} rewrites one; take one of them.`);
    return typeof raw[0] === "string" ? layerOf(raw[0]) : raw[0];
  }
  if (raw === false && typeof fallback === "number") return 0;
  return typeof raw === "string" && typeof fallback === "number" && Number.isFinite(Number(raw)) ? Number(raw) : raw;
}

/** The block that a module's name speaks of: "model.layers[27].mlp.down_proj.weight", "transformer.h.8.mlp.c_fc.weight". */
const layerOf = (name: string): unknown => /(?:layers|\bh)[.[](\d+)/.exec(name)?.[1] ?? name;
