/** Sentence encoders: turn texts into vectors of unit length, whose inner products measure the similarity of the texts. */
import { existsSync, statSync } from "node:fs";
import { basename, join, resolve } from "node:path";
import { floats, ints, type NdArray } from "../base/array.ts";
import { checkAbort, type Context } from "../base/context.ts";
import { fail } from "../base/fail.ts";
import { hash } from "../base/hash.ts";
import { isRecord, parseJson, readBytes, readJson } from "../base/store.ts";
import type { Foreign } from "../onnx/foreign.ts";
import type { Sessions } from "../onnx/session.ts";
import { grouped, padded } from "./padding.ts";
import { createTokenizer, type Tokenizer } from "./tokenizer.ts";

/** Turns texts into vectors; the id determines the result. */
export interface Encoder {
  /** `NAME@HASH` from a file's name and content, or `own:LAYER` for the model itself; never a path. */
  readonly id: string;
  /** [texts, width] in float32, rows of unit length. */
  embed(texts: readonly string[], ctx: Context): Promise<NdArray>;
}

/** An encoder from a file, with access to its tokens. */
export interface FileEncoder extends Encoder {
  /** The token ids of a text, truncated to the encoder's maximal length. */
  tokens(text: string): readonly number[];
}

/** Padded tokens per step. */
const BUDGET = 4096;
/** Default maximal number of tokens of a text, including both end tokens. */
export const MOST = 256;
const WHO = "encoder";
const WANTED = "a folder with the model.onnx and tokenizer.json of a sentence encoder, or a hub id like org/name";

/** A sentence encoder from its folder, opened on first use; refuses missing or malformed files. */
export function openEncoder(folder: string, sessions: Sessions, name = basename(resolve(folder))): FileEncoder {
  const inFolder = (file: string): string =>
    [join(folder, file), join(folder, "onnx", file)].find((p) => existsSync(p)) ?? join(folder, file);
  const [path, words] = [inFolder("model.onnx"), join(folder, "tokenizer.json")];
  const lacking = [path, words].filter((file) => !existsSync(file));
  if (lacking.length > 0)
    fail(WHO, `there is no ${lacking.map((f) => basename(f)).join(" and no ")} in ${folder}`, WANTED, "", "unavailable");
  const [model, json] = [bytesAt(path), bytesAt(words)];
  const key = hash(model, json).slice(0, 16);
  const tokenizer = createTokenizer(parseJson(new TextDecoder().decode(json), words, WHO), {});
  const { length, pooling } = settingsOf(folder);
  const frame = frameOf(tokenizer);
  const idsOf = (text: string): number[] => {
    const { ids } = tokenizer.encode(text, { special: false });
    return [...frame.before, ...ids.slice(0, length - frame.before.length - frame.after.length), ...frame.after];
  };
  return {
    id: `${name}@${key}`,
    tokens: idsOf,
    embed: (texts, ctx) =>
      inSteps(texts.map(idsOf), ctx, async (rows) => {
        const file = { bytes: model, path };
        const hidden = await sessions.useForeign(key, file, (foreign) => hiddenOf(foreign, rows, tokenizer.pad, path));
        return pooled(hidden, rows, 0, pooling);
      }),
  };
}

function bytesAt(path: string): Uint8Array {
  return readBytes(path, WHO, { most: 2 ** 32 });
}

type Pooling = "mean" | "first";

/** The settings in sentence-transformers' files: the maximal length of a text, and the pooling. */
function settingsOf(folder: string): { length: number; pooling: Pooling } {
  const read = (file: string): Readonly<Record<string, unknown>> => {
    const path = join(folder, file);
    const json = existsSync(path) && statSync(path).isFile() ? readJson(path, WHO) : {};
    return isRecord(json) ? json : fail(WHO, `${path} is not a JSON object`, "sentence-transformers' settings", "", "unavailable");
  };
  const { max_seq_length: length = MOST } = read("sentence_bert_config.json");
  if (typeof length !== "number" || !Number.isInteger(length) || length < 8)
    return fail(WHO, `max_seq_length ${JSON.stringify(length)} in ${folder}`, "a whole number of at least 8", "", "unavailable");
  const pooling = read("1_Pooling/config.json");
  const asked = Object.keys(pooling).filter((key) => key.startsWith("pooling_mode_") && pooling[key] === true);
  if (asked.length === 0 || asked.join() === "pooling_mode_mean_tokens") return { length, pooling: "mean" };
  if (asked.join() === "pooling_mode_cls_token") return { length, pooling: "first" };
  return fail(
    WHO,
    `${asked.join(" and ")} in ${folder}`,
    "pooling by the mean or by the first token",
    "Use another encoder.",
    "unavailable",
  );
}

/** The tokens that the tokenizer puts before and after a text. */
function frameOf(tokenizer: Tokenizer): { before: number[]; after: number[] } {
  const { ids, offsets } = tokenizer.encode("a");
  const at = offsets.findIndex(([start, end]) => end > start);
  return { before: ids.slice(0, at), after: ids.slice(at + tokenizer.encode("a", { special: false }).ids.length) };
}

/** The name of the output of a model that does the pooling itself. */
const POOLED = "sentence_embedding";

/** Hidden states [rows, T, width] of right-padded rows, or [rows, width] if the model does the pooling itself. */
async function hiddenOf(foreign: Foreign, rows: readonly (readonly number[])[], pad: number, path: string): Promise<NdArray> {
  const { tokens, real } = padded(rows, pad, "right");
  const mask = ints(Array.from(real.data as Uint8Array), tokens.shape);
  const known: Readonly<Record<string, NdArray>> = {
    input_ids: tokens,
    attention_mask: mask,
    token_type_ids: ints(new Array<number>(mask.data.length).fill(0), tokens.shape),
  };
  const other = foreign.inputs.find((name) => !Object.hasOwn(known, name));
  if (other !== undefined)
    fail(
      WHO,
      `${path} wants the input "${other}"`,
      `inputs among ${Object.keys(known).join(", ")}`,
      "It is not a sentence encoder.",
      "unavailable",
    );
  const out = await foreign.run(Object.fromEntries(foreign.inputs.map((name) => [name, known[name]!])));
  const name = ["last_hidden_state", "token_embeddings", POOLED].find((n) => foreign.outputs.includes(n)) ?? foreign.outputs[0]!;
  const hidden = out[name]!;
  const [B, T] = tokens.shape as [number, number];
  const fits = hidden.shape[0] === B && (hidden.shape.length === 3 ? hidden.shape[1] === T : hidden.shape.length === 2 && name === POOLED);
  if (!fits || hidden.dtype !== "float32")
    fail(
      WHO,
      `${path} gives "${name}" as ${hidden.dtype} [${hidden.shape.join(", ")}] for ${B} texts of ${T} tokens`,
      "float32 [texts, tokens, width]",
      "It is not a sentence encoder.",
      "unavailable",
    );
  return hidden;
}

/** Embeds rows of tokens in batches of similar length and returns the vectors in the original order. */
export async function inSteps(
  rows: readonly (readonly number[])[],
  ctx: Context,
  step: (rows: readonly (readonly number[])[]) => Promise<readonly Float64Array[]>,
): Promise<NdArray> {
  const out: Float64Array[] = [];
  let done = 0;
  for (const group of grouped([...rows.entries()], ([, ids]) => ids.length, BUDGET)) {
    checkAbort(ctx, WHO);
    if (rows.length > 1) ctx.log({ kind: "progress", stage: "embedding", done, total: rows.length, unit: "texts" });
    const vectors = await step(group.map(([, ids]) => ids));
    group.forEach(([i], k) => (out[i] = vectors[k]!));
    done += group.length;
    await new Promise(setImmediate);
  }
  const width = out[0]?.length ?? 0;
  const all = new Float32Array(out.length * width);
  out.forEach((vector, i) => all.set(vector, i * width));
  return floats(all, [out.length, width]);
}

/** One vector of unit length per row: the mean of its tokens after the first `skipped` (at least the last one), or its first token. */
export function pooled(hidden: NdArray, rows: readonly (readonly number[])[], skipped: number, pooling: Pooling): Float64Array[] {
  const width = hidden.shape.at(-1)!;
  const T = hidden.shape.length === 3 ? hidden.shape[1]! : 1;
  const data = hidden.data as Float32Array;
  return rows.map((ids, b) => {
    const sum = new Float64Array(width);
    const from = Math.min(skipped, ids.length - 1);
    const last = T === 1 || pooling === "first" ? from + 1 : ids.length;
    for (let t = from; t < last; t++) for (let j = 0; j < width; j++) sum[j]! += data[(b * T + t) * width + j]!;
    const length = Math.sqrt(sum.reduce((s, x) => s + x * x, 0)) || 1;
    return sum.map((x) => x / length);
  });
}

/** The inner product of row i of one and row j of the other; both have unit length. */
export function cosine(a: NdArray, i: number, b: NdArray, j: number): number {
  const [width, x, y] = [a.shape[1]!, a.data as Float32Array, b.data as Float32Array];
  let sum = 0;
  for (let t = 0; t < width; t++) sum += x[i * width + t]! * y[j * width + t]!;
  return sum;
}
