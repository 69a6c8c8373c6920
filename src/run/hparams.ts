/** Hyperparameter files of EasyEdit (YAML) and of the methods' own repositories (JSON), read as they are. */
import { isMap, isScalar } from "yaml";
import { fail } from "../base/fail.ts";
import { type Param, type ParamValue, resolveParams } from "../base/schema.ts";
import { parseYaml } from "../base/yaml.ts";
import { readText } from "../data/records.ts";
import type { AnyMethod } from "../methods/method.ts";

/** Keys for paths and devices, which do not change the result. */
const PLUMBING =
  /^(alg_name|forget_loss|model_name|stats_dir|device|model_parallel|max_length|results_dir|save_path|load_path|P_loc|tok_dataset|seed|\w*mom2_adjustment)$/;

/** Keys for which a method here supports one value only. Other values are refused, because they would change the result. */
const SETTLED: Readonly<Record<string, { readonly only: readonly unknown[]; readonly why: string }>> = {
  fact_token: { only: ["subject_last"], why: "The edit is made at the last token of the subject." },
  layer_selection: { only: ["all"], why: "Name the layers themselves." },
  objective_optimization: { only: ["target_new", "prompt_last"], why: "No other loss of this method is here." },
  dist_fn: { only: ["euc"], why: "Distances are Euclidean." },
};

/** Keys that are no parameter here, with what to use instead. A value without effect gives no message. */
const ELSEWHERE: Readonly<Record<string, { readonly instead: string; readonly nothing?: readonly unknown[] }>> = {
  mom2_dataset: { instead: "--text names the text of the second moments" },
  mom2_n_samples: { instead: "--tokens says how much of it is read" },
  mom2_dtype: { instead: "second moments are float32", nothing: ["float32"] },
  batch_size: { instead: "--mode says how many requests an edit takes", nothing: [1] },
  fp16: { instead: "everything is computed in float32", nothing: [false] },
};
/** Whether prompts go through the chat template: a flag decides. */
const CHAT = "use_chat_template";
/** Keys whose value depends on the model: module names, and the layer of the loss. */
const OF_MODEL = /^(\w+_module(_tmp)?|inner_params|v_loss_layer)$/;

/** Statements of a file that can be checked only with a model. */
export interface AskedOfModel {
  readonly place: string;
  readonly key: string;
  readonly value: unknown;
}

export interface Hparams {
  /** By our names, as text is read for --set. */
  readonly params: Readonly<Record<string, unknown>>;
  readonly compat: readonly string[];
  /** Keys of the file that are not used here, each with an alternative if there is one. */
  readonly unread: readonly string[];
  readonly ofModel: readonly AskedOfModel[];
}

/** Reads a file for one of the given methods. Refuses a file for another method, and values that are not supported, with their line. */
export function readHparams(
  path: string,
  method: AnyMethod,
  { methods = [], isPlain = false }: { readonly methods?: readonly AnyMethod[]; readonly isPlain?: boolean } = {},
): Hparams {
  const { table, lineOf } = readTable(path);
  const place = (key: string): string => `${path} line ${lineOf(key)}`;
  const implied = ["alg_name", "forget_loss"].map((key) => impliedBy(table[key], method, methods, place(key)));
  const known = method.hparams ?? {};
  const params: Record<string, unknown> = {};
  const compat: string[] = [];
  const unread: string[] = [];
  const ofModel: AskedOfModel[] = [];
  for (const [key, value] of Object.entries(table)) {
    refuseOther(place(key), key, value, method);
    if (OF_MODEL.test(key) && value !== null) ofModel.push({ place: place(key), key, value });
    const ours = Object.hasOwn(known, key) ? known[key] : undefined;
    if (typeof ours === "function") {
      const asked = ours(value);
      if (Array.isArray(asked)) compat.push(...(asked as string[]));
      else Object.assign(params, asked);
    } else if (ours !== undefined) params[ours] = valueOf(place(key), key, value, ours, method);
    else if (!OF_MODEL.test(key)) unread.push(...unreadOf(key, value, isPlain));
  }
  return {
    params: Object.assign({}, ...implied.map(({ weak }) => weak), params, ...implied.map(({ strong }) => strong)),
    compat,
    unread,
    ofModel,
  };
}

const spelled = (name: string): string => name.toLowerCase().replaceAll(/[-_\s]/g, "");

/**
 * The parameters that make the reading method equal to the file's method. The file's own keys override `weak`; `strong` overrides the
 * file's keys.
 */
function impliedBy(
  named: unknown,
  method: AnyMethod,
  methods: readonly AnyMethod[],
  place: string,
): { readonly weak: object; readonly strong: object } {
  if (typeof named !== "string" || spelled(named) === spelled(method.name)) return { weak: {}, strong: {} };
  const reads = (one: AnyMethod) => Object.entries(one.files ?? {}).find(([name]) => spelled(name) === spelled(named))?.[1];
  const own = reads(method);
  if (own !== undefined) {
    // the same parameter has another meaning in the file's own formula
    const said = new Set(Object.values(method.hparams ?? {}).filter((ours) => typeof ours === "string"));
    const split = (isSaid: boolean) => Object.fromEntries(Object.entries(own).filter(([name]) => said.has(name) === isSaid));
    return { weak: split(false), strong: split(true) };
  }
  const other = methods.find((one) => spelled(one.name) === spelled(named) || reads(one) !== undefined);
  return fail(
    "hparams",
    `${place}: it is for ${named}`,
    `a file for ${method.title}`,
    other
      ? `Use --method ${other.name}, or another file.`
      : `Lethe has no ${named}; it has ${methods.map(({ name }) => name).join(", ")}. For the same keys with ${method.title}, leave out this line.`,
  );
}

function refuseOther(place: string, key: string, value: unknown, { title }: AnyMethod): void {
  const settled = Object.hasOwn(SETTLED, key) ? SETTLED[key] : undefined;
  if (settled && !settled.only.includes(value))
    fail(
      "hparams",
      `${place}: ${key} is ${JSON.stringify(value)?.slice(0, 80)}`,
      `${settled.only.map((one) => JSON.stringify(one)).join(" or ")} for ${title}`,
      `${settled.why} Correct the line, or leave it out.`,
    );
}

/** A key that is not used, with an alternative; none if the key has no effect. */
function unreadOf(key: string, value: unknown, isPlain: boolean): string[] {
  if (PLUMBING.test(key) || Object.hasOwn(SETTLED, key)) return [];
  if (key === CHAT) return value === !isPlain ? [] : [`${key} (${isPlain ? "leave out --plain" : "give --plain"} for ${String(value)})`];
  const elsewhere = Object.hasOwn(ELSEWHERE, key) ? ELSEWHERE[key] : undefined;
  if (elsewhere?.nothing?.includes(value)) return [];
  return [elsewhere ? `${key} (${elsewhere.instead})` : key];
}

/** The table of a file, and the line of each key. */
function readTable(path: string): { readonly table: Readonly<Record<string, unknown>>; readonly lineOf: (key: string) => number } {
  const { value, document, placeAt } = parseYaml(readText(path), { who: "hparams", file: path, at: (line) => `${path} line ${line}` });
  if (typeof value !== "object" || value === null || Array.isArray(value))
    fail("hparams", `${path} holds no table`, "key: value lines", "");
  const pairs = isMap(document.contents) ? document.contents.items : [];
  const lineOf = (key: string): number => {
    const node = pairs.map((pair) => pair.key).find((found) => isScalar(found) && String(found.value) === key);
    return isScalar(node) && node.range ? placeAt(node.range[0]).line : 1;
  };
  return { table: value as Readonly<Record<string, unknown>>, lineOf };
}

/**
 * PyYAML reads 5e-1 as text, and the published code converts it to a number. A list with one layer means that layer. `false` for a number
 * means 0.
 */
function valueOf(place: string, key: string, raw: unknown, ours: string, method: AnyMethod): unknown {
  const param = (method.params as unknown as Readonly<Record<string, Param<ParamValue, never>>>)[ours]!;
  const value = spelledOut(place, key, raw, ours, method);
  if (typeof param.default === "function") {
    // a default that depends on the model is a number or a list of numbers
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
  if (Array.isArray(raw) && ours === "layers")
    return [...new Set(raw.map((one) => (typeof one === "string" ? Number(layerOf(one)) : one)))];
  if (raw === false && typeof fallback === "number") return 0;
  return typeof raw === "string" && typeof fallback === "number" && Number.isFinite(Number(raw)) ? Number(raw) : raw;
}

/** The number of the block in a module's name: "model.layers[27].mlp.down_proj.weight", "transformer.h.8.mlp.c_fc.weight". */
const layerOf = (name: string): unknown => /(?:layers|\bh)[.[](\d+)/.exec(name)?.[1] ?? name;
