/** What the tables of a grid were made with: methods and their parameters, models, data, seeds, machines and code. */
import { canonical } from "../../base/hash.ts";
import type { Plugged } from "../../base/plugin.ts";
import { isRecord } from "../../base/store.ts";
import { metricsOf } from "../../eval/judge.ts";
import { FINETUNE } from "../../train/tune.ts";
import { attackOf } from "../attack.ts";
import { methodOf } from "../choice.ts";
import { timingsIn } from "../folder.ts";
import type { Finished } from "../run.ts";
import { stepOf } from "../run.ts";
import type { AllDone } from "./gather.ts";
import type { Described, GridRecord, MetricUsed, TableRecord } from "./record.ts";
import type { Unit } from "./unfold.ts";

type Made = Pick<GridRecord, "machines" | "code" | "described" | "models" | "data" | "seeds">;

/** Everything that the finished steps were made with, and the models, data and seeds that the grid names. */
export function madeOf(units: readonly Unit[], done: AllDone, ctx: Plugged): Made {
  const finished = units.flatMap(({ key }) => done.get(key)!.finished ?? []);
  const seeds = finished.flatMap(({ record: { spec } }) => (typeof spec["seed"] === "number" ? [String(spec["seed"])] : []));
  return {
    machines: unlike(finished.flatMap(({ path }) => timingsIn(path)?.machine ?? [])),
    code: codesOf(finished),
    described: describedIn(finished, ctx),
    ...inputsOf(units),
    seeds: [...new Set(seeds)].sort((a, b) => Number(a) - Number(b)),
  };
}

/** Values that differ, in their order. */
const unlike = <T>(values: readonly T[]): T[] => [...new Map(values.map((value) => [canonical(value), value])).values()];

function codesOf(finished: readonly Finished[]): Record<string, string[]> {
  const codes: Record<string, Set<string>> = {};
  for (const { record } of finished) (codes[record.step] ??= new Set()).add(record.code);
  return Object.fromEntries(
    Object.entries(codes)
      .sort(([a], [b]) => (a < b ? -1 : 1))
      .map(([step, ids]) => [step, [...ids].sort()]),
  );
}

/** The paths and ids that the grid's specs name: of models, and of data. A spec in the place of a path is a step of its own. */
function inputsOf(units: readonly Unit[]): Pick<GridRecord, "models" | "data"> {
  const [models, data] = [new Set<string>(), new Set<string>()];
  for (const { spec } of units)
    for (const [key, value] of Object.entries(spec)) {
      const kind = key === "step" ? undefined : stepOf(spec.step).fields[key]?.kind;
      if (kind === "model") for (const text of textsIn(value)) models.add(text);
      if (kind === "grouped" || (kind === "pathOrSpec" && key === "data")) for (const text of textsIn(value)) data.add(text);
    }
  return { models: [...models], data: [...data] };
}

function textsIn(value: unknown): string[] {
  if (typeof value === "string") return [shortened(value)];
  if (Array.isArray(value)) return value.flatMap(textsIn);
  return isRecord(value) && typeof value["step"] !== "string" ? textsIn(value["data"]) : [];
}

/** A path by its last two parts: what comes before differs from machine to machine. */
const shortened = (text: string): string => text.replaceAll(/(?:[^\s:/]*\/){2,}(?=[^/]+\/[^/]+$)/g, "");

/** Each method, attack and finetuning once, with the departures of all its runs. */
function describedIn(finished: readonly Finished[], ctx: Plugged): Described[] {
  const found = new Map<string, { one: Omit<Described, "departures" | "compat">; departures: Set<string>; compat: Set<string> }>();
  for (const run of finished) {
    const about = aboutRun(run, ctx);
    if (!about) continue;
    const { departures, compat, ...one } = about;
    const own = found.get(canonical(one)) ?? { one, departures: new Set(), compat: new Set() };
    found.set(canonical(one), own);
    for (const text of departures) own.departures.add(text);
    for (const name of compat) own.compat.add(name);
  }
  return [...found.values()].map(({ one, departures, compat }) => ({ ...one, departures: [...departures], compat: [...compat].sort() }));
}

function aboutRun({ record }: Finished, ctx: Plugged): Described | undefined {
  const { spec, result } = record;
  const compat = Array.isArray(spec["compat"]) ? (spec["compat"] as string[]) : [];
  if (isRecord(result) && Array.isArray(result["edits"])) {
    const { title, paper } = methodOf(spec["method"] as string, ctx);
    const departures = (result["edits"] as { readonly departures: readonly string[] }[]).flatMap((edit) => edit.departures);
    return { kind: "method", title, paper, departures, compat };
  }
  if (typeof spec["attack"] === "string") {
    const { title, paper, params } = attackOf(spec["attack"], ctx);
    return { kind: "attack", title, paper, departures: departuresOf(params, spec["params"]), compat: [] };
  }
  if (isRecord(result) && Array.isArray(result["losses"]))
    return { kind: "finetuning", title: "finetuning", paper: "", departures: departuresOf(FINETUNE, spec["params"]), compat: [] };
  return undefined;
}

/** Parameters that differ from their defaults. A default that depends on the model is not known here, so its value is told. */
function departuresOf(declared: object, params: unknown): string[] {
  if (!isRecord(params)) return [];
  return Object.entries(declared as Readonly<Record<string, { readonly default: unknown; readonly source: string }>>).flatMap(
    ([name, { default: fallback, source }]) => {
      const value = params[name];
      if (typeof fallback === "function") return [`${name} = ${JSON.stringify(value)} (${source}: by the model)`];
      return canonical(value) === canonical(fallback)
        ? []
        : [`${name} = ${JSON.stringify(value)} (${source}: ${JSON.stringify(fallback)})`];
    },
  );
}

/** The metrics of the tables' columns. */
export function metricsIn(tables: readonly TableRecord[], ctx: Plugged): MetricUsed[] {
  const known = metricsOf(ctx);
  const names = new Set(tables.flatMap(({ columns }) => columns.flatMap(({ metric }) => metric ?? [])));
  return [...names].flatMap((name) => {
    const metric = known[name];
    return metric ? [{ name, doc: metric.doc, caveat: metric.caveat }] : [];
  });
}
