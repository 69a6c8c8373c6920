/** The step `stats`: computes second moments in advance, so that a later edit finds them in the cache. */
import { fail, nearest } from "../../base/fail.ts";
import { DEFAULT_STATISTICS, statisticsOf, type StatisticsSpec } from "../../locate/covariance.ts";
import { type Site, SITES } from "../../model/names.ts";
import { given } from "../fields.ts";
import { modelInput, namedByContent } from "../inputs.ts";
import { open } from "../open.ts";
import { statsSpec } from "../specs/stats.ts";
import { defineStep } from "../step.ts";

export interface Gathered {
  readonly layer: number;
  readonly site: Site;
  readonly width: number;
  /** Mean square of an activation: the trace divided by the width. */
  readonly meanSquare: number;
  /** The number of tokens read; `spec` has the requested number. */
  readonly tokens: number;
  readonly spec: StatisticsSpec;
}

export const statsStep = defineStep({ ...statsSpec, purpose: "statistics" }, async ({ model, text, tokens, layer, site, seed }, lent) => {
  if (site !== undefined && !(SITES as readonly string[]).includes(site)) {
    const near = nearest(site, SITES);
    fail("stats", `site "${site}"`, `one of ${SITES.join(", ")}`, near ? `Did you mean ${near}?` : "");
  }
  const input = await modelInput(model as string, lent);
  const { arch, config } = input.shape;
  const high = layer.find((n) => n >= config.layers);
  if (high !== undefined) fail("stats", `layer ${high}`, `0 to ${config.layers - 1}`, "");
  const at = (site as Site | undefined) ?? arch.memory.key;
  const chosen: StatisticsSpec = { ...DEFAULT_STATISTICS, seed, ...given({ text, tokens }) };
  const named = namedByContent(chosen, "stats");
  return {
    identity: { model: input.content, site: at, ...named },
    uses: input.uses,
    isRepeated: true,
    work: async ({ ctx, force }) => {
      const { base, close } = await open(input.spec, { purpose: "statistics", force }, ctx);
      try {
        const statistics = statisticsOf(base, chosen, ctx);
        await statistics.prepare(layer, at);
        const counted = await statistics.tokens();
        const moments: Gathered[] = [];
        for (const n of layer) {
          const { shape, data } = await statistics.secondMoment(n, at);
          const width = shape[0]!;
          const trace = Array.from({ length: width }, (_, i) => data[i * width + i]!).reduce((a, b) => a + b, 0);
          moments.push({ layer: n, site: at, width, meanSquare: trace / width, tokens: counted, spec: named });
        }
        return { result: { moments }, layout: { files: {} } };
      } finally {
        await close();
      }
    },
  };
});
