/** Second moments ahead of time, so that a later edit finds them in the cache. */
import type { Context } from "../base/context.ts";
import { fail, nearest } from "../base/fail.ts";
import { statisticsOf, type StatisticsSpec } from "../locate/covariance.ts";
import { type Site, SITES } from "../model/names.ts";
import { DEFAULT_STATISTICS } from "./choose.ts";
import { open } from "./open.ts";

export interface Gathered {
  readonly layer: number;
  readonly site: Site;
  readonly width: number;
  /** Mean square of an activation: the trace divided by the width. */
  readonly meanSquare: number;
  readonly spec: StatisticsSpec;
}

/** Gathers second moments of a site at layers; the site is the one that edits read unless given. */
export async function gather(
  spec: string,
  layers: readonly number[],
  { site, force = false, ...given }: Partial<StatisticsSpec> & { readonly site?: string; readonly force?: boolean },
  ctx: Context,
): Promise<Gathered[]> {
  if (site !== undefined && !(SITES as readonly string[]).includes(site)) {
    const near = nearest(site, SITES);
    fail("stats", `site "${site}"`, `one of ${SITES.join(", ")}`, near ? `Did you mean ${near}?` : "");
  }
  const { base, close } = await open(spec, { purpose: "statistics", force }, ctx);
  try {
    const high = layers.find((layer) => layer >= base.config.layers);
    if (high !== undefined) fail("stats", `layer ${high}`, `0 to ${base.config.layers - 1}`, "");
    const statistics = statisticsOf(base, { ...DEFAULT_STATISTICS, ...given }, ctx);
    const at = (site as Site | undefined) ?? base.arch.memory.key;
    await statistics.prepare(layers, at);
    const out: Gathered[] = [];
    for (const layer of layers) {
      const { shape, data } = await statistics.secondMoment(layer, at);
      const width = shape[0]!;
      const trace = Array.from({ length: width }, (_, i) => data[i * width + i]!).reduce((a, b) => a + b, 0);
      out.push({ layer, site: at, width, meanSquare: trace / width, spec: statistics.spec });
    }
    return out;
  } finally {
    await close();
  }
}
