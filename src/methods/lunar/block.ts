/** Which block is rewritten: the one behind which the direction leads to refusals most often. */
import { fail } from "../../base/fail.ts";
import { UNANSWERABLE } from "../../data/unanswerable.ts";
import { checkLayer } from "../../model/names.ts";
import type { AskAs } from "../../model/prompt.ts";
import type { AskedRow } from "./asked.ts";
import type { LunarJob } from "./job.ts";
import { directions, refusalsOf, steered } from "./steering.ts";

/** The published block, as a share of the depth (22 of 32). */
const PUBLISHED = 22 / 32;
/** Questions that are asked of each steered model. */
const ASKED = 16;

/** Some of a list, evenly spaced. */
const some = <T>(all: readonly T[]): T[] => {
  const count = Math.min(ASKED, all.length);
  return Array.from({ length: count }, (_, i) => all[Math.floor((i * all.length) / count)]!);
};

/** The block and its direction, and what directions do before anything is written. Warns if none of them leads to a refusal. */
export async function chosen(job: LunarJob, forget: readonly AskedRow[], unanswerable: readonly AskedRow[], ask: AskAs) {
  const { model, requests, params, running, ctx } = job;
  const { layers: L } = model.config;
  const layers = params.layer > 0 ? [params.layer] : params.layers;
  if (layers.length === 0) fail("lunar", "no block to try", "at least one", "For example --set layers=15,18,21.");
  for (const layer of layers) checkLayer("lunar", layer, L);
  const r = await directions(model, layers, { from: forget, to: unanswerable }, running, ctx);
  const questions = some(requests).map(({ prompt }) => prompt);
  const tried: { layer: number; refusals: number }[] = [];
  for (const [i, layer] of layers.entries()) {
    ctx.log({ kind: "progress", stage: "steering", done: i, total: layers.length, detail: `layer ${layer}` });
    const shift = r.get(layer)!.map((x) => params.coefficient * x);
    tried.push({ layer, refusals: await refusalsOf(steered(model, layer, shift, forget[0]!.from), { questions, ask, ctx }) });
  }
  const away = ({ layer }: { readonly layer: number }): number => Math.abs(layer - PUBLISHED * L);
  const best = [...tried].sort((a, b) => b.refusals - a.refusals || away(a) - away(b))[0]!;
  const unsteered = await refusalsOf(model, { questions, ask, ctx });
  const invented = some(UNANSWERABLE);
  const refused = await refusalsOf(model, { questions: invented, ask, ctx });
  if (best.refusals === 0)
    ctx.log({
      kind: "warning",
      who: "lunar",
      text:
        `none of ${questions.length} steered answers begins as a refusal, at any of ${layers.length} blocks; of ${invented.length} questions about invented ` +
        `things the model refuses ${refused}. The edit will make answers worse, and not make them refusals: use a method that is given the words to say`,
    });
  return {
    layer: best.layer,
    direction: r.get(best.layer)!,
    steered: { asked: questions.length, unsteered, tried },
    invented: { asked: invented.length, refused },
  };
}
