/** Whether a checkpoint stores what its config asks for, looked at before a weight is read; if not, why, and the way out. */
import { fail } from "../base/fail.ts";
import type { Checkpoint } from "../checkpoint/checkpoint.ts";
import { quantisationOf, refuseQuantised } from "../checkpoint/unusual.ts";
import { type Arch, type Config, type DeclaredWeight, declaredWeights, type StoredWeight } from "./arch/arch.ts";
import { atLayer } from "./names.ts";

/** A weight's name in the checkpoint. Names may lack one of the architecture's prefixes, or have it besides. */
export function theirName(
  { source, tensors }: Checkpoint,
  { gguf, prefixes = [] }: Arch,
  { template, layer, stored: { name } }: Pick<DeclaredWeight, "template" | "layer" | "stored">,
): string {
  if (source === "gguf") return atLayer(gguf?.weights[template] ?? name, layer);
  const others = prefixes.flatMap((prefix) => [name.startsWith(prefix) ? name.slice(prefix.length) : `${prefix}${name}`]);
  return [name, ...others].find((known) => tensors.has(known)) ?? name;
}

/** Refuses a checkpoint in which a weight is missing, of another shape, or no floating number. */
export function checkStored(checkpoint: Checkpoint, { arch, config }: { readonly arch: Arch; readonly config: Config }): void {
  const gguf = checkpoint.source === "gguf" ? arch.gguf : undefined;
  const names = checkpoint.tensors;
  for (const weight of declaredWeights({ arch, config })) {
    const { template, stored } = weight;
    const name = theirName(checkpoint, arch, weight);
    const info = names.get(name);
    const shape = info && (stored.transposed && !gguf ? [...info.shape].reverse() : info.shape);
    const isFloat = info !== undefined && /^b?float/.test(info.dtype);
    if (isFloat && shape!.join() === stored.shape.join()) continue;
    const by = gguf ? undefined : quantisationOf(checkpoint, names.keys());
    if (by !== undefined) refuseQuantised(checkpoint.path, by);
    if (info === undefined) refuseMissing(checkpoint, name, template);
    if (!isFloat)
      fail("model", `tensor "${name}" of ${info.dtype}`, "a floating type", "Take the checkpoint with float weights.", "unavailable");
    refuseShape(name, info.shape, stored, template, config);
  }
}

/** A missing weight: the model was saved under other names, or parts of it are not there. */
function refuseMissing({ path, tensors }: Checkpoint, name: string, template: string): never {
  const bare = name.replace(/^model\./, "");
  const other = [...tensors.keys()].find((known) => known !== name && (known === bare || known.endsWith(`.${bare}`)));
  if (other !== undefined)
    fail(
      "model",
      `${path} stores "${name}" as "${other}"`,
      "the names that transformers gives",
      "It was saved from inside another module. In Python: load it as AutoModelForCausalLM, without wrappers, and save it again.",
      "unavailable",
    );
  if ([...tensors.keys()].some((known) => /\.lora_[AB]\b/.test(known)))
    fail(
      "model",
      `${path} stores a LoRA adapter, not a model`,
      "the model that the adapter is for",
      `Name that model, and the adapter as an edit: MODEL -e ${path}.`,
      "unavailable",
    );
  fail(
    "model",
    `no tensor "${name}" in ${path}`,
    "every weight of its config",
    template === "head"
      ? 'If the model uses its embedding as the head, write "tie_word_embeddings": true into config.json. Otherwise the checkpoint is incomplete: fetch it again.'
      : "The checkpoint is incomplete: fetch it again.",
    "unavailable",
  );
}

/** A weight of another shape: rows that the vocabulary does not count, or another config. */
function refuseShape(name: string, shape: readonly number[], stored: StoredWeight, template: string, { vocab }: Config): never {
  const [rows, width] = shape;
  const isVocabulary = template === "embed" || template === "head";
  fail(
    "model",
    `tensor "${name}" of shape [${shape.join(", ")}]`,
    `[${stored.shape.join(", ")}]`,
    isVocabulary && shape.length === 2 && width === stored.shape[1]
      ? `config.json counts ${vocab} words, and there are ${rows} rows. If the weights are right, write "vocab_size": ${rows} into config.json.`
      : "Config and weights disagree: fetch the checkpoint again.",
    "unavailable",
  );
}
