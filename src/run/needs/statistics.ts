/** The need `statistics`: second moments of the inputs of the model's matrices over a text. */
import { ifKept } from "../../base/kept.ts";
import { DEFAULT_STATISTICS, secondMoments, type Statistics, statisticsOf, type StatisticsSpec } from "../../locate/covariance.ts";
import type { Model } from "../../model/model.ts";
import { atLayer, type Site } from "../../model/names.ts";
import { type Matrix, matrix } from "../../onnx/linalg.ts";
import { namedByContent } from "../inputs.ts";
import { type Asked, defineNeed, type Making, type Planning } from "./need.ts";

declare module "../../methods/method.ts" {
  interface Needs {
    readonly statistics: Statistics;
  }
}
declare module "../choice.ts" {
  interface Given {
    /** Second moments that replace those of the settings; a plan uses placeholders. */
    readonly moments?: Statistics;
  }
}

export const statisticsNeed = defineNeed({
  name: "statistics",
  doc: "Second moments of activations over a text. They are computed when they are asked for, and kept.",
  // the hash of the text, so that an edit does not depend on its path
  identity: (asked) => asked.given.moments?.spec ?? namedByContent(specOf(asked), "forget"),
  bring(having) {
    if (having.given.moments) return having.given.moments;
    const statistics = statisticsOf(having.model, specOf(having), having.ctx);
    return { ...statistics, spec: namedByContent(statistics.spec, "forget") };
  },
  plan(planning) {
    const moments = standIns(planning.model);
    return { given: { moments }, making: () => making(planning, moments) };
  },
});

const specOf = ({ settings }: Asked): StatisticsSpec => ({ ...DEFAULT_STATISTICS, ...settings.statistics });

/** Whether the requested second moments are in the cache, and if not, how long it takes to make them. */
async function making(planning: Planning, { asked }: StandIns): Promise<Making> {
  const { model, ctx, pace } = planning;
  const spec = specOf(planning);
  const layers = [...asked.values()].map((a) => a.layer);
  const site = [...asked.values()][0]?.site ?? model.arch.memory.key;
  const isKept = await ifKept(ctx, async (kept) => {
    await statisticsOf(model, spec, kept).prepare(layers, site);
    return true;
  });
  if (isKept) return { layers, isKept, seconds: 0 };
  const time = async (size: number): Promise<number> => {
    const row = { ids: Array.from({ length: size }, (_, j) => (7 * j) % model.tokenizer.size), from: 0 };
    const began = ctx.now();
    await secondMoments(model, [row], layers, site, { dtype: "float32", executor: "graph", ctx: { ...ctx, log: () => {} } });
    return (ctx.now() - began) / 1000;
  };
  const size = Math.min(spec.length, 512, model.config.context);
  const [first, passing] = [await time(8), await time(size)]; // the first call compiles the program
  const sampling = spec.text === "self" ? spec.tokens * (await pace()) : 0;
  return { layers, isKept: false, seconds: sampling + first + (passing * spec.tokens) / size };
}

interface StandIns extends Statistics {
  readonly asked: Map<string, { layer: number; site: Site }>;
}

/** Placeholder second moments that can be inverted, and a list of the requested layers. */
function standIns(model: Model): StandIns {
  const asked: StandIns["asked"] = new Map();
  const note = (layer: number, site: Site): void => void asked.set(`${layer}.${site}`, { layer, site });
  return {
    asked,
    spec: DEFAULT_STATISTICS,
    prepare: async (layers, site) => layers.forEach((layer) => note(layer, site)),
    secondMoment: async (layer, site) => {
      note(layer, site);
      const width = model.weights.get(atLayer(model.arch.memory.weight, layer))!.shape[1]!;
      const c: Matrix = matrix(width, width);
      c.data.fill(0.1 / width); // so that no eigenvalue equals the diagonal, which can be a threshold
      for (let i = 0; i < width; i++) c.data[i * width + i]! += (i + 1) / width;
      return c;
    },
  };
}
