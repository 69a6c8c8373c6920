/** Checkpoints in forms that are known and not read here: what such a form is called, and the way to one that is read. */
import { existsSync } from "node:fs";
import { basename, join } from "node:path";
import { fail } from "../base/fail.ts";
import { isRecord } from "../base/json.ts";
import { readJson } from "../base/store.ts";

const WHO = "model";

/** Tensors that tools of quantisation store beside or in place of a weight; the first that fits gives the name. */
const MARKS: readonly (readonly [by: string, mark: RegExp])[] = [
  ["gptq or awq", /\.(qweight|qzeros|g_idx)$/],
  ["compressed-tensors", /\.(weight_packed|weight_shape|weight_zero_point)$/],
  ["bitsandbytes", /\.(absmax|quant_map|nested_absmax|SCB|weight_format|bitsandbytes__\w+)$/],
  ["fp8", /\.(weight_scale_inv|weight_scale|input_scale|scale_weight)$/],
  ["torchao", /\.weight[:_](_data|qdata|scale|tensor_impl)/],
  ["hqq", /\.(W_q|meta)$/],
  ["quanto", /\.weight\._(data|scale)$/],
  ["mxfp4", /_(blocks|scales)$/],
  ["mlx", /\.scales$/],
];
/** Files of their own in which some tools say how they quantised. */
const SIDES: Readonly<Record<string, string>> = { "quantize_config.json": "gptq", "quant_config.json": "awq", "hqq_config.json": "hqq" };

/** How a checkpoint is quantised, as its config says or its tensors show; undefined where nothing speaks of it. */
export function quantisationOf(
  { path, config }: { readonly path: string; readonly config?: Readonly<Record<string, unknown>> },
  tensors: Iterable<string> = [],
): string | undefined {
  const said = [config?.["quantization_config"], config?.["quantization"], config?.["compression_config"]].find(isRecord);
  if (said) {
    const is4 = said["load_in_4bit"] === true || said["_load_in_4bit"] === true;
    const is8 = said["load_in_8bit"] === true || said["_load_in_8bit"] === true;
    const method =
      said["quant_method"] ??
      said["quant_algo"] ??
      (is4 || is8 ? "bitsandbytes" : config?.["quantization"] === said ? "mlx" : "a tool that its config does not name");
    const type = isRecord(said["quant_type"]) ? undefined : (said["quant_type"] ?? said["fmt"] ?? said["format"]);
    const bits = said["bits"] ?? (is4 ? 4 : is8 ? 8 : undefined);
    const more = [typeof bits === "number" ? `${bits} bits` : "", typeof type === "string" ? type : ""].filter(Boolean);
    return `${String(method)}${more.length > 0 ? ` (${more.join(", ")})` : ""}`;
  }
  const side = Object.keys(SIDES).find((name) => existsSync(join(path, name)));
  if (side !== undefined) return SIDES[side];
  const names = [...tensors];
  return MARKS.find(([, mark]) => names.some((name) => mark.test(name)))?.[0];
}

/** Refuses a quantised checkpoint. */
export const refuseQuantised = (path: string, by: string): never =>
  fail(
    WHO,
    `${path} is quantised by ${by}`,
    "weights in float32, bfloat16 or float16, or a .gguf file",
    "Take the model that it was made from, or a .gguf file of it. In Python, model.dequantize() and save_pretrained write it with float weights, where the tool can.",
    "unavailable",
  );

/** Says what a folder without a model's weights is, if its files show it: reason and way out. */
export function otherFolder(
  folder: string,
  found: readonly string[],
): { readonly got: string; readonly wanted: string; readonly hint: string } | undefined {
  const wanted = "a folder with config.json and safetensors, or a .gguf file";
  if (found.includes("adapter_config.json")) {
    const settings = readJson(join(folder, "adapter_config.json"), WHO);
    const base = isRecord(settings) ? settings["base_model_name_or_path"] : undefined;
    const named = typeof base === "string" && base !== "" ? base : undefined;
    return {
      got: `${folder} is a PEFT adapter${named === undefined ? "" : ` of ${named}`}, not a model`,
      wanted: "the model that the adapter is for",
      hint: `Name that model, and the adapter as an edit: ${named ?? "MODEL"} -e ${folder}.`,
    };
  }
  const python = (loading: string): string =>
    `In Python: AutoModelForCausalLM.from_pretrained(folder${loading}).save_pretrained(folder) writes safetensors.`;
  const kinds: readonly (readonly [test: (name: string) => boolean, what: string, hint: string])[] = [
    [
      (name) => name === "edit.safetensors" || name.endsWith(".edit"),
      "an edit of Lethe, not a model",
      `Name the model, and the edit with -e ${folder}.`,
    ],
    [
      (name) => name.endsWith(".onnx") || name === "onnx",
      "a model as ONNX graphs",
      "Weights cannot be edited in a graph. Take the model that it was exported from.",
    ],
    [
      (name) => name.endsWith(".gguf") && /-\d{5}-of-\d{5}\.gguf$/.test(name),
      "a .gguf model in parts",
      "llama-gguf-split --merge FIRST_PART OUT.gguf joins them.",
    ],
    [(name) => name === "tf_model.h5" || name.endsWith(".h5"), "a model of TensorFlow", python(", from_tf=True")],
    [(name) => name.endsWith(".msgpack"), "a model of Flax", python(", from_flax=True")],
    [
      (name) => /^consolidated\b/.test(name) || name === "params.json",
      "a model in its authors' own layout",
      "Take its repository in the layout of transformers, or convert it with transformers' convert_..._weights_to_hf.py.",
    ],
    [
      (name) => /\.(mlpackage|mlmodel|engine|plan|tflite|nemo)$/.test(name),
      "a model compiled or packed for another runtime",
      "Take the model that it was made from.",
    ],
  ];
  const kind = kinds.find(([test]) => found.some(test));
  return kind && { got: `${folder} holds ${kind[1]} (${basename(found.find(kind[0])!)})`, wanted, hint: kind[2] };
}
