/**
 * Writes edits as a LoRA adapter in PEFT's format and reads such adapters as edits. Both add a matrix of low rank, so the conversion is
 * exact.
 */
import { existsSync } from "node:fs";
import { join } from "node:path";
import { z } from "zod";
import { asFloats, floats, type NdArray } from "../base/array.ts";
import { fail } from "../base/fail.ts";
import { DEEPEST } from "../base/json.ts";
import { isRecord, readJson, readSafetensors, writeAtomic, writeSafetensors } from "../base/store.ts";
import { storedWeights } from "../model/arch/arch.ts";
import type { Model } from "../model/model.ts";
import type { WeightName } from "../model/names.ts";
import { type Format, formatOf } from "../model/prompt.ts";
import { type Delta, deltasOf, type Edit, sign } from "./edit.ts";
import { CONFIG, matching, patterned } from "./lora-patterns.ts";

const TENSORS = "adapter_model.safetensors";
const PREFIX = "base_model.model."; // PEFT's wrapper puts this before the names of modules

/** The addition of all edits to one matrix: B [out, r] · A [r, in]. */
interface Adapter {
  readonly module: string;
  readonly transposed: boolean;
  readonly a: NdArray;
  readonly b: NdArray;
  readonly rank: number;
}

/**
 * Writes adapter_config.json and adapter_model.safetensors to `dir`: float32, scaling 1, the rank of each matrix the sum of its edits' ranks.
 * Refuses a change that is not of low rank.
 */
export function saveLora(dir: string, model: Model, edits: readonly Edit[]): void {
  if (edits.length === 0) fail("export", "no edit", "at least one for an adapter", "Give --edit FILE.");
  const adapters = adaptersOf(model, edits);
  const rank = Math.max(...adapters.map((x) => x.rank));
  const odd = Object.fromEntries(adapters.filter((x) => x.rank !== rank).map((x) => [x.module, x.rank]));
  const config = {
    peft_type: "LORA",
    task_type: "CAUSAL_LM",
    base_model_name_or_path: null,
    inference_mode: true,
    r: rank,
    lora_alpha: rank,
    lora_dropout: 0,
    bias: "none",
    fan_in_fan_out: adapters.every((x) => x.transposed),
    target_modules: adapters.map((x) => x.module),
    rank_pattern: odd,
    alpha_pattern: odd,
  };
  const tensors = adapters.flatMap(
    ({ module, a, b }) =>
      [
        [`${PREFIX}${module}.lora_A.weight`, a],
        [`${PREFIX}${module}.lora_B.weight`, b],
      ] as const,
  );
  writeSafetensors(join(dir, TENSORS), tensors, { format: "pt" });
  writeAtomic(join(dir, CONFIG), `${JSON.stringify(config, null, 2)}\n`);
}

function adaptersOf(model: Model, edits: readonly Edit[]): Adapter[] {
  const parts = new Map<string, (readonly [left: NdArray, right: NdArray])[]>();
  for (const edit of edits)
    for (const [weight, delta] of Object.entries(deltasOf(edit))) {
      if (!("outer" in delta))
        return fail(
          "export",
          `edit ${edit.id} changes "${weight}" in full`,
          "changes of low rank for an adapter",
          "Export a whole checkpoint: --format safetensors.",
        );
      parts.set(weight, [...(parts.get(weight) ?? []), delta.outer]);
    }
  const names = storedWeights(model);
  return [...parts].map(([weight, outers]) => {
    const { name, transposed = false } = names.get(weight) ?? fail("export", `"${weight}"`, "a weight of this model", "", "unavailable");
    const [rows, columns] = [outers[0]![0].shape[0]!, outers[0]![1].shape[1]!];
    const rank = outers.reduce((sum, [left]) => sum + left.shape[1]!, 0);
    const [b, a] = [new Float32Array(rows * rank), new Float32Array(rank * columns)];
    let at = 0;
    for (const [left, right] of outers) {
      const own = left.shape[1]!;
      const l = asFloats(left, "float32").data;
      for (let i = 0; i < rows; i++) for (let k = 0; k < own; k++) b[i * rank + at + k] = l[i * own + k]!;
      a.set(asFloats(right, "float32").data, at * columns);
      at += own;
    }
    return { module: moduleOf(name), transposed, a: floats(a, [rank, columns]), b: floats(b, [rows, rank]), rank };
  });
}

const moduleOf = (tensor: string): string => tensor.replace(/\.weight$/, "");

const names = z.union([z.string(), z.array(z.string())], { error: "a pattern or a list of names" });
const numbers = z.record(z.string(), z.number(), { error: "numbers by module" });
const settings = z.looseObject({
  r: z.int().min(1),
  lora_alpha: z.number(),
  use_rslora: z.boolean().nullish(),
  rank_pattern: numbers.nullish(),
  alpha_pattern: numbers.nullish(),
  target_modules: names,
  exclude_modules: names.nullish(),
  layers_to_transform: z.union([z.int(), z.array(z.int())], { error: "layers" }).nullish(),
  base_model_name_or_path: z.string().nullish(),
  peft_version: z.string().nullish(),
});
type Settings = z.output<typeof settings>;

/** Settings that {@link loadLora} uses. */
const OBEYED = new Set(Object.keys(settings.shape));
/** Settings that do not matter after training. */
const SILENT = new Set([
  "auto_mapping",
  "eva_config",
  "fan_in_fan_out",
  "inference_mode",
  "layers_pattern",
  "lora_dropout",
  "megatron_core",
  "qalora_group_size",
  "revision",
  "runtime_config",
  "task_type",
]);
/** Settings, and the only values that Lethe supports for each of them. */
const ONLY: Readonly<Record<string, readonly unknown[]>> = {
  peft_type: ["LORA"],
  bias: ["none"],
  // other values also change the base weights, so the trained factors are not an addition to the published model
  init_lora_weights: [true, false, "gaussian", "eva", "orthogonal"],
};

/** Whether a path is a folder with a PEFT adapter. */
export const isLora = (path: string): boolean => existsSync(join(path, CONFIG));

/** An adapter in PEFT's format as an edit of a model; see {@link openLora}. */
export const loadLora = (dir: string, model: Model, format?: Format): Edit => openLora(dir)(model, format);

/**
 * Reads an adapter's settings, and returns a function that reads its tensors as an edit of a model. The settings are checked first: anything
 * but a plain LoRA of linear maps is refused by name (DoRA, trained biases or embeddings, whole modules, other kinds of adapter). The
 * function refuses tensors that are missing, unexpected, or do not fit the model.
 */
export function openLora(dir: string): (model: Model, format?: Format) => Edit {
  const config = readSettings(dir);
  return (model, format = formatOf(model)) => {
    const weights = deltasFrom(dir, config, model);
    const { base_model_name_or_path: base, peft_version: version, r, lora_alpha, use_rslora } = config;
    const edit = sign(
      { change: { kind: "delta", weights } },
      {
        base: model.id,
        on: [],
        format: formatOf(model),
        by: {
          method: "peft",
          params: { r, lora_alpha, use_rslora: use_rslora ?? false, base_model_name_or_path: base ?? null },
          compat: [],
          seed: 0,
          departures: [],
          requests: [],
          code: version ?? "",
        },
      },
    );
    return { ...edit, format }; // an adapter belongs to no format, so its id does not depend on the format
  };
}

function readSettings(dir: string): Settings {
  const path = join(dir, CONFIG);
  if (!existsSync(path))
    fail("lora", `${dir} has no ${CONFIG}`, "a folder that PEFT's save_pretrained wrote", "Check the path.", "unavailable");
  const json = readJson(path, "lora", { deepest: DEEPEST });
  if (!isRecord(json)) return fail("lora", `${path} is no object`, "a JSON object", "", "unavailable");
  for (const [key, value] of Object.entries(json)) {
    const only = ONLY[key];
    if (only ? !only.includes(value) : !OBEYED.has(key) && !SILENT.has(key) && !isEmpty(value))
      fail(
        "lora",
        `${path} has ${key}: ${JSON.stringify(value)}`,
        only ? only.map((v) => JSON.stringify(v)).join(" or ") : "a plain LoRA adapter without it",
        "In Python, merge it into its model (PEFT: merge_and_unload(), then save_pretrained) and open that.",
        "unavailable",
      );
  }
  const read = settings.safeParse(json);
  if (read.success) return read.data;
  const { path: at, message } = read.error.issues[0]!;
  return fail("lora", `${path}: ${at.join(".")} is not what was expected`, message, "Save the adapter again.", "unavailable");
}

const isEmpty = (value: unknown): boolean =>
  value === null || value === false || (typeof value === "object" && Object.keys(value).length === 0);

/** The factors of one module: A [r, in], B [out, r]. */
type Factors = { readonly [factor in "A" | "B"]?: NdArray };

function deltasFrom(dir: string, config: Settings, model: Model): Record<WeightName, Delta> {
  const base = config.base_model_name_or_path;
  const misfit = (got: string, wanted: string): never =>
    fail("lora", `${dir} ${got}`, wanted, `It was made for ${base ? `"${base}"` : "another model"}: open that one.`, "unavailable");
  const found = readFactors(dir);
  const modules = new Map(
    [...storedWeights(model)].flatMap(([weight, { name, shape }]) => (shape.length === 2 ? [[moduleOf(name), weight] as const] : [])),
  );
  for (const module of found.keys())
    if (!modules.has(module)) misfit(`adapts "${module}"`, `matrices of this model, such as ${[...modules.keys()].slice(1, 3).join(", ")}`);
  const names = [...modules.keys()];
  const isTarget = targetsOf(config, names);
  const adapted = [...found.keys()];
  const [rankOf, alphaOf] = [patterned(config.rank_pattern, adapted), patterned(config.alpha_pattern, adapted)];
  const unlike = (got: string, wanted: string): never =>
    fail("lora", `${join(dir, TENSORS)} has ${got}`, wanted, "Save the adapter again.", "unavailable");
  if (found.size === 0) unlike("no tensor", "lora_A and lora_B");
  for (const module of found.keys()) if (!isTarget(module)) unlike(`tensors for "${module}"`, "the modules of its target_modules alone");
  for (const module of modules.keys())
    if (isTarget(module) && !(found.get(module)?.A && found.get(module)?.B))
      unlike(`not both lora_A and lora_B for "${module}"`, "every module of its target_modules");
  return Object.fromEntries(
    [...found].map(([module, { A, B }]) => {
      const weight = modules.get(module)!;
      const [rows, columns] = model.weights.get(weight)!.shape as [number, number];
      const rank = rankOf(module) ?? config.r;
      const alpha = alphaOf(module) ?? config.lora_alpha;
      for (const [factor, array, shape] of [["A", A, [rank, columns]] as const, ["B", B, [rows, rank]] as const])
        if (array!.shape.join() !== shape.join())
          misfit(`has a lora_${factor} of shape [${array!.shape.join(", ")}] for "${module}"`, `[${shape.join(", ")}]`);
      const scale = alpha / (config.use_rslora ? Math.sqrt(rank) : rank);
      const left = asFloats(B!, "float32").data.map((x) => scale * x);
      return [weight, { outer: [floats(left, [rows, rank]), asFloats(A!, "float32")] }];
    }),
  );
}

/** The tensors by module; refuses any that is no factor of a linear map. */
function readFactors(dir: string): Map<string, Factors> {
  const path = join(dir, TENSORS);
  if (!existsSync(path))
    fail(
      "lora",
      `${dir} has no ${TENSORS}`,
      "the adapter's tensors as safetensors",
      "In Python: PeftModel.from_pretrained(model, folder).save_pretrained(new_folder).",
      "unavailable",
    );
  const found = new Map<string, Factors>();
  for (const [name, array] of readSafetensors(path).tensors) {
    const match = /^base_model\.model\.(.+)\.lora_(A|B)\.weight$/.exec(name);
    if (!match || !array.dtype.includes("float"))
      fail(
        "lora",
        `${path} holds "${name}" (${array.dtype})`,
        "lora_A and lora_B of linear maps alone",
        "In Python, merge the adapter into its model and open that.",
        "unavailable",
      );
    const wide = asFloats(array, "float32");
    if (!wide.data.every(Number.isFinite))
      fail("lora", `${path}: "${name}" holds NaN or infinity`, "finite numbers", "Train it again.", "unavailable");
    const [, module, factor] = match as unknown as [string, string, "A" | "B"];
    found.set(module, { ...found.get(module), [factor]: wide });
  }
  return found;
}

/** Which modules an adapter changes: PEFT's check_target_module_exists (tuners_utils.py 0.21). */
function targetsOf(config: Settings, modules: readonly string[]): (module: string) => boolean {
  const { target_modules: targets, exclude_modules: excluded, layers_to_transform: layers } = config;
  const among = (given: string | readonly string[]): ((module: string) => boolean) => {
    if (typeof given !== "string") return (module) => given.some((end) => module === end || module.endsWith(`.${end}`));
    const matched = matching(given, `^(?:${given})$`, modules);
    return (module) => matched.has(module);
  };
  const [isIn, isOut] = [among(targets), among(excluded ?? [])];
  const of = layers === null || layers === undefined || typeof targets === "string" ? undefined : [layers].flat();
  return (module) => {
    const layer = /^.*?\.[^.]*\.(\d+)\./.exec(module)?.[1];
    return isIn(module) && !isOut(module) && (!of?.length || (layer !== undefined && of.includes(Number(layer))));
  };
}
