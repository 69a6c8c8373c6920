/** A model whose numbers are not finite: it is refused, with the weight from which on they are not. */
import { asFloats, ints } from "../../base/array.ts";
import { fail, LetheError } from "../../base/fail.ts";
import { program } from "../../onnx/program.ts";
import { trace } from "../../tensor/graph.ts";
import type { Tensor } from "../../tensor/tensor.ts";
import { traced } from "../forward.ts";
import { feedsOf, type Model, type Precision } from "../model.ts";
import { siteName, type WeightName } from "../names.ts";
import { promptWithoutEdits } from "../prompt.ts";

/** How near a log-probability comes to that of a guess among all tokens where activations are too large: a norm makes them 0. */
const EVEN = 1e-5;

/** Whether a token is as likely as every other. */
export const isEven = (logprob: number, vocab: number): boolean => Math.abs(logprob + Math.log(vocab)) < EVEN;

/** The place of a log-probability that may be of a broken model: one that is no number, otherwise an even one; −1 where there is none. */
export function suspectIn(logprobs: readonly (number | undefined)[], vocab: number): number {
  const broken = logprobs.findIndex((logprob) => logprob !== undefined && !Number.isFinite(logprob));
  return broken >= 0 ? broken : logprobs.findIndex((logprob) => logprob !== undefined && isEven(logprob, vocab));
}

/**
 * Fails where a suspect log-probability behind `ids` is of a model that is broken. That is where it is no number, and where activations are
 * so large that their squares are not finite: norms make zeros of such activations, and every token is then as likely as every other.
 */
export async function refuseUnsound(model: Model, ids: readonly number[], logprob: number, dtype: Precision): Promise<void> {
  const layer = await brokenLayer(model, ids, dtype);
  if (layer === undefined && Number.isFinite(logprob)) return;
  const { got, hint } = layer === undefined ? { got: "they are finite where the text is read alone", hint: "" } : causeIn(model, layer);
  const what = Number.isFinite(logprob) ? "activations" : "logits";
  fail("model", `the ${what} are not finite: ${got}`, "a model that gives every token a probability", hint, "execution");
}

/**
 * The result of work whose numbers come from a model. Where it fails while it runs, and the model itself is broken, the error names the weight
 * that is the cause: a loss that is no number then says nothing of the rate or the data.
 */
export async function orBroken<T>(model: Model, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    if (error instanceof LetheError && error.trouble === "execution") await refuseBroken(model);
    throw error;
  }
}

/** Fails where a weight holds no number, and where the model's activations on a short question are not finite. */
async function refuseBroken(model: Model): Promise<void> {
  const layers = Array.from({ length: model.config.layers + 2 }, (_, i) => i - 1);
  const holding = layers.find((layer) => !Number.isFinite(largestOf(model, layer).size));
  const layer = holding ?? (await brokenLayer(model, promptWithoutEdits(model, "?").ids, "float32"));
  if (layer === undefined) return;
  const { got, hint } = causeIn(model, layer);
  fail("model", `the activations are not finite: ${got}`, "a model that gives every token a probability", hint, "execution");
}

/** The first layer behind which a square of an activation is not finite: −1 is the embedding, the number of layers the head. */
async function brokenLayer(model: Model, ids: readonly number[], dtype: Precision): Promise<number | undefined> {
  const { layers } = model.config;
  const graph = trace((t) => {
    const lm = traced(model, t, dtype);
    const squares: Record<string, Tensor> = {};
    const note = (layer: number) => (h: Tensor) => {
      squares[layer] = h.square().mean(-1);
      return h;
    };
    const taps = Object.fromEntries(Array.from({ length: layers }, (_, layer) => [siteName(layer, "resid_post"), note(layer)]));
    const { hidden } = lm.forward(t.input("tokens", "int64", ["B", "T"]), {
      positions: t.input("positions", "int64", ["B", "T"]),
      taps: { ...taps, embed: note(-1) },
    });
    squares[layers] = lm.logits(lm.normed(hidden.slice(1, "T-1", "T"))).mean(-1);
    return squares;
  });
  const feeds = { tokens: ints(ids, [1, ids.length]), positions: ints([...ids.keys()], [1, ids.length]) };
  const found = await program(model.sessions, graph).run(feedsOf(model, feeds));
  for (let layer = -1; layer <= layers; layer++) if (!Array.from(found[layer]!.data, Number).every(Number.isFinite)) return layer;
  return undefined;
}

const CHANGED = "It was changed since the checkpoint was read: leave out the edit that did it, or train with a lower rate.";
const DAMAGED = "The checkpoint is damaged: fetch it again.";

/** What is wrong with a layer: a weight that holds no number, what an adapter writes, or the weight with the largest number. */
function causeIn(model: Model, layer: number): { readonly got: string; readonly hint: string } {
  const { name, size } = largestOf(model, layer);
  const hint = model.changed.has(name) ? CHANGED : DAMAGED;
  if (!Number.isFinite(size)) return { got: `${name} holds ${size}`, hint };
  const adapter = model.adapters.find(({ writes }) => writes.startsWith(`blocks.${layer}.`));
  if (adapter) return { got: `an edit writes to ${adapter.writes}`, hint: CHANGED };
  return { got: `${name} holds numbers of up to ${size.toExponential(1)}`, hint };
}

/** The weight of a layer with the largest number, or the first with one that is none. */
function largestOf(model: Model, layer: number): { readonly name: WeightName; readonly size: number } {
  const own = `blocks.${layer}.`;
  const isOwn = (name: WeightName): boolean =>
    layer < 0 ? name.startsWith("embed") : layer < model.config.layers ? name.startsWith(own) : !name.startsWith("blocks.");
  let largest = { name: "", size: 0 };
  for (const [name, array] of model.weights) {
    if (!isOwn(name)) continue;
    const size = largestIn(asFloats(array, array.dtype === "float64" ? "float64" : "float32").data);
    if (!Number.isFinite(size)) return { name, size };
    if (size > largest.size) largest = { name, size };
  }
  return largest;
}

/** The largest number without its sign, or the first that is none. */
function largestIn(data: ArrayLike<number>): number {
  let most = 0;
  for (let i = 0; i < data.length; i++) {
    const size = Math.abs(data[i]!);
    if (size > most) most = size;
    else if (Number.isNaN(size)) return NaN;
  }
  return most;
}
