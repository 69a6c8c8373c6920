/** A number of some evaluations: its values by question and seed, its interval, and why evaluations have none. */
import { groupsBy, mean } from "../../base/array.ts";
import { fail, nearest } from "../../base/fail.ts";
import { rng, type Rng } from "../../base/rng.ts";
import { agreedShare, layeredInterval, type Layer, layerOf, type Layers } from "../../eval/layers.ts";
import { bootstrapMean, shareInterval } from "../../eval/stats.ts";
import type { EvalRecord, JudgedNumber } from "../record.ts";
import { questionOf } from "../wording-id.ts";
import type { Gathered } from "./gather.ts";
import type { Collapsed } from "./record.ts";

/** The numbers of some evaluations, and why others have none. */
export interface Numbers {
  readonly found: readonly Found[];
  readonly lacks: readonly string[];
}

export type Found = { readonly number: JudgedNumber; readonly seed: string };

/** The values by seed and question, or by seed and fact; undefined if some number is not the mean of its questions. */
export function layersOf(found: readonly Found[], facts = false): Layers | undefined {
  if (found.length === 0 || !found.every(({ number }) => isMean(number))) return undefined;
  const seeds = groupsBy(found, ({ seed }) => seed);
  const layers = new Map([...seeds].map(([seed, own]) => [seed, layerOf(own.map(({ number }) => number.bySample))]));
  return facts ? new Map([...layers].map(([seed, layer]) => [seed, byFact(layer)])) : layers;
}

/** A layer with a value for each fact: the mean of its questions, with the weight of all of them. */
function byFact(layer: Layer): Layer {
  const groups = groupsBy([...layer], ([id]) => questionOf(id));
  return new Map(
    [...groups].map(([fact, own]) => {
      const weight = own.reduce((sum, [, one]) => sum + one.weight, 0);
      return [fact, { value: own.reduce((sum, [, one]) => sum + one.weight * one.value, 0) / weight, weight }];
    }),
  );
}

/** Numbers that are a mean, over some questions alone; with `facts`, over all questions of some facts. */
export function onlyAmong({ found, lacks }: Numbers, among: ReadonlySet<string>, facts = false): Numbers {
  const kept = found.map(({ number, seed }): Found => {
    const own = Object.entries(number.bySample).filter(([id]) => among.has(facts ? questionOf(id) : id));
    if (!isMean(number) || own.length === Object.keys(number.bySample).length) return { number, seed };
    const values = own.map(([, value]) => value);
    const value = mean(values);
    const interval =
      number.interval?.by === "exact"
        ? shareInterval(Math.round(value * values.length), values.length)
        : bootstrapMean(values, rng(`table/${number.metric}/${number.group ?? ""}`));
    return { number: { ...number, value, interval, rows: values.length, bySample: Object.fromEntries(own) }, seed };
  });
  const asked = kept.filter(({ number }) => number.rows > 0);
  return { found: asked, lacks: asked.length < kept.length ? [...lacks, "the untouched model was asked other questions"] : lacks };
}

/** Whether a number is the mean of its samples. */
function isMean({ value, bySample }: JudgedNumber): boolean {
  const values = Object.values(bySample);
  const own = mean(values);
  return values.length > 0 && (Number.isNaN(own) || Math.abs(own - value) <= 1e-9 * Math.max(1, Math.abs(value)));
}

/**
 * The interval of the mean of some runs. One run: its own. Several: over their questions and seeds; over the runs, if the number is not the
 * mean of its questions.
 */
export function intervalOf(found: readonly Found[], layers: Layers | undefined, facts = false): JudgedNumber["interval"] {
  const [first, ...others] = found;
  if (!first) return null;
  const { interval, metric, group } = first.number;
  if (facts && layers) return overFacts(found, layers, rng(`table/${metric}/${group ?? ""}`));
  if (others.length === 0) return interval && { ...interval, by: interval.by === "bootstrap" ? "bootstrap over questions" : interval.by };
  const isShare = found.every(({ number }) => number.interval?.by === "exact");
  const exact = layers && isShare ? agreedShare(found.map(({ number }) => number.bySample)) : undefined;
  if (exact !== undefined) return exact;
  const chance = rng(`table/${metric}/${group ?? ""}`);
  if (layers) return layeredInterval(layers, chance);
  const over = bootstrapMean(
    found.map(({ number }) => number.value),
    chance,
  );
  return over && { ...over, by: "bootstrap over runs" };
}

/** The interval over facts. It is exact if the facts of a share agree in all their questions: a bootstrap would then know too much. */
function overFacts(found: readonly Found[], layers: Layers, chance: Rng): JudgedNumber["interval"] {
  const isShare = found.every(({ number }) => number.interval?.by === "exact");
  const each = [...layers.values()].map((layer) => Object.fromEntries([...layer].map(([fact, { value }]) => [fact, value])));
  const exact = isShare ? agreedShare(each) : undefined;
  if (exact !== undefined) return exact;
  const drawn = layeredInterval(layers, chance);
  return drawn && { ...drawn, by: drawn.by.replace("questions", "facts") };
}

/** A number of every evaluation that has it, and why the others have none. */
export function numbersIn({ runs }: Gathered, title: string): Numbers {
  const lacks = new Set<string>();
  const found = runs.flatMap(({ record, seed }): Found[] => {
    const { numbers, missing } = record.result as EvalRecord;
    const number = numbers.find((one) => one.title === title);
    if (number) return [{ number: { ...number, value: number.value ?? NaN }, seed }]; // JSON has no NaN
    const known = [...numbers, ...missing].map((one) => one.title);
    const why = missing.find((one) => one.title === title)?.reason ?? (title === PERPLEXITY ? "no text was given" : undefined);
    if (why === undefined) {
      const near = nearest(title, known);
      return fail("grid", `no number "${title}"`, `one of ${known.join(", ")}`, near ? `Did you mean "${near}"?` : "");
    }
    lacks.add(why);
    return [];
  });
  return { found, lacks: [...lacks] };
}

/** The number of an evaluation that was given a text. */
const PERPLEXITY = "Perplexity";

/** The evaluations whose model has collapsed: it is worse on the questions to forget than a random guess. */
export function collapsedOf(results: readonly EvalRecord[]): Collapsed | undefined {
  const judged = results.flatMap(({ collapse }) => collapse ?? []);
  const collapsed = judged.filter(({ isCollapsed }) => isCollapsed);
  if (collapsed.length === 0) return undefined;
  const { guess } = collapsed[0]!;
  return { runs: collapsed.length, of: judged.length, loss: Math.max(...collapsed.map(({ loss }) => loss)), guess };
}
