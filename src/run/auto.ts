/** Chooses the method where a spec says `auto`: by what was measured, what matters, and what the method needs. It names no method. */
import { fail, LetheError, someOf } from "../base/fail.ts";
import { openCheckpoint } from "../checkpoint/checkpoint.ts";
import type { ForgetRequest } from "../data/request.ts";
import { harmonicMean } from "../eval/stats.ts";
import { needOf } from "../model/load.ts";
import { availableMemory, type MemoryHave, type MemoryNeed, showBytes } from "../model/memory-estimate.ts";
import { type Choice, type Given, methodsOf, type Settings } from "./choice.ts";
import { choose } from "./choose.ts";
import { type ForgetValues, readForgetting } from "./forgetting.ts";
import { modelInput } from "./inputs.ts";
import { type MeasuredRow, nearestRow, percent, readMeasured } from "./measured.ts";
import type { Candidate, Chosen } from "./record.ts";
import { AUTO, forgetSpec } from "./specs/forget.ts";
import { everyNeed } from "./needed.ts";
import type { Lent } from "./step.ts";
import { trainingFor } from "./training.ts";
import { wishesOf } from "./wishes.ts";
import type { Context } from "../base/context.ts";

/** A method that takes away fewer answers than this is no candidate. */
const LEAST_GONE = 0.5;
/** The largest distance from the best score, in percent, at which a faster method is taken if speed matters. */
const NEARLY = 10;

/** What a choice depends on. */
export interface Asking {
  readonly requests: readonly ForgetRequest[];
  readonly settings: Omit<Settings, "method">;
  readonly given: Given;
  /** Names of wishes. */
  readonly want: readonly string[];
  /** The hash of the model's content. */
  readonly model: string;
  readonly memoryOf: (choice: Choice) => MemoryNeed;
  readonly available: MemoryHave;
  readonly rows: readonly MeasuredRow[];
  readonly ctx: Context;
}

type Values = Readonly<Record<string, unknown>>;

/**
 * The values of a spec with a method in the place of `auto`, and how it was chosen. Other values are returned as they are. Nothing was hashed
 * before, so the run is that of the method's name. Refuses wishes without `auto`, settings of one method with it, and a wish that nothing fits.
 */
export async function settled(step: string, values: Values, lent: Lent): Promise<{ readonly values: Values; readonly chosen?: Chosen }> {
  if (step !== forgetSpec.name) return { values };
  const { want, method, ...others } = values as ForgetValues;
  if (method !== AUTO) {
    if (want.length > 0)
      fail(
        "forget",
        `--want ${want.join(",")} with ${method === undefined ? "the default method" : `--method ${method}`}`,
        `--method ${AUTO}`,
        "Wishes choose a method.",
      );
    return { values };
  }
  const own =
    Object.keys(others.set).length > 0
      ? "--set"
      : others.compat.length > 0
        ? "--compat"
        : others.hparams === undefined
          ? undefined
          : "--hparams";
  if (own !== undefined) fail("forget", `${own} with --method ${AUTO}`, "the name of the method that it is for", "Give --method NAME.");
  const { requests, settings, given } = await readForgetting(
    { ...others, want, method: undefined },
    { ctx: { ...lent.ctx, log: () => {} } },
  ); // who resolves the spec warns
  const { path, content, shape } = await modelInput(others.model as string, lent);
  const checkpoint = openCheckpoint(path);
  try {
    const chosen = chooseMethod({
      requests,
      settings,
      given,
      want: [...new Set(want)],
      model: content,
      memoryOf: (choice) => needOf(checkpoint, { purpose: "edit", training: trainingFor(choice, given) }, shape),
      available: availableMemory({ setting: lent.ctx.memory }),
      rows: readMeasured(),
      ctx: lent.ctx,
    });
    return { values: { ...values, method: chosen.method }, chosen };
  } finally {
    checkpoint.close();
  }
}

/**
 * The method with the best score among those that fit, and why the others were not taken. The score is the harmonic mean of the measured
 * shares, in whole percent. Equal scores: the faster method, then the smaller edit, then the first name. A missing number is the worst one.
 */
export function chooseMethod(asking: Asking): Chosen {
  const weighed = Object.keys(methodsOf(asking.ctx)).map((method) => weigh(method, asking));
  const fitting = weighed.filter(({ state }) => state === "fits");
  const best = ordered(fitting, asking.want)[0];
  if (!best) return refuseAll(weighed, asking);
  const why = reasonFor(best, fitting.length, asking);
  const { want, requests } = asking;
  const rest = [...ordered(fitting, want).slice(1), ...weighed.filter(({ state }) => state !== "fits")];
  return { method: best.method, want, requests: requests.length, why, candidates: [{ ...best, state: "chosen", why }, ...rest] };
}

/** Looks up the row of a method and decides whether the method fits. Gives the first reason against it; if wishes are against it, all of them. */
function weigh(method: string, asking: Asking): Candidate {
  const { requests, settings, given, rows, model, ctx } = asking;
  const none = { method, mode: null, row: null, isBeyond: false, isOwn: false, score: null, by: [] } as const;
  if (!rows.some((row) => row.method === method)) return { ...none, state: "not measured", why: "not measured" };
  const choice = tried(() => choose(requests, { ...settings, method }, { ...given, ctx }), method);
  if (typeof choice === "string") return { ...none, state: "left out", why: choice };
  const { mode, edited } = choice;
  const nearest = nearestRow(rows, { method, mode, requests: edited.length, model });
  if (!nearest) return { ...none, mode, state: "not measured", why: `not measured in the mode ${mode}` };
  const own = { ...none, ...nearest, mode };
  const lacking = tried(() => checkGiven(nearest.row, choice, asking), method);
  if (typeof lacking === "string") return { ...own, state: "left out", why: lacking };
  const left = leftOut(nearest.row, asking) ?? tooLarge(choice, asking);
  if (left) return { ...own, state: "left out", ...left };
  const score = scoreOf(nearest.row, asking.want);
  return { ...own, state: "fits", score, why: `score ${score}` };
}

/** Refuses where something that the row was given must be given here, too, even if the method can do without it. */
function checkGiven(row: MeasuredRow, { method, edited, settings }: Choice, { given, ctx }: Asking): void {
  for (const { name, check } of everyNeed()) if (row.given.includes(name)) check?.({ method, edited, settings, given, ctx });
}

/** What is made for a method, or why it cannot do what is asked. What no method could do is an error. */
function tried<T>(make: () => T, method: string): T | string {
  try {
    return make();
  } catch (error) {
    if (error instanceof LetheError && error.who === method) return `${error.got}; it wants ${error.wanted}`;
    throw error;
  }
}

/** The shares that count: what is gone, what is kept, and what wishes add. */
const countedOf = (
  row: MeasuredRow,
  want: readonly string[],
): readonly (readonly [name: string, share: number | null, wish?: string])[] => [
  ["gone", row.gone],
  ["others kept", row.others],
  ...wishesOf(want).flatMap(({ name, counts }) => (counts === undefined ? [] : [["gone in other words", row[counts], name] as const])),
];

type Left = Pick<Candidate, "why" | "by">;

function leftOut(row: MeasuredRow, { want }: Asking): Left | undefined {
  const refused = wishesOf(want).flatMap(({ name, refuses }) => {
    const why = refuses?.(row);
    return why === undefined ? [] : [[name, why] as const];
  });
  if (refused.length > 0) return { by: refused.map(([name]) => name), why: refused.map(([name, why]) => `${name}: ${why}`).join("; ") };
  for (const [name, share, wish] of countedOf(row, want)) {
    const by = wish === undefined ? [] : [wish];
    const of = wish === undefined ? "" : `${wish}: `;
    if (share === null) return { by, why: `${of}"${name}" was not measured` };
    if (name.startsWith("gone") && share < LEAST_GONE)
      return { by, why: `${of}only ${percent(share)} of the answers are gone; wanted at least ${percent(LEAST_GONE)}` };
  }
  return undefined;
}

function tooLarge(choice: Choice, { memoryOf, available }: Asking): Left | undefined {
  const { total } = memoryOf(choice);
  if (total <= available.bytes) return undefined;
  return { by: [], why: `it needs about ${showBytes(total)} of memory, and ${showBytes(available.bytes)} are left by ${available.limit}` };
}

/** The harmonic mean of the shares that count, in whole percent: as low as the worst of them pulls it. */
const scoreOf = (row: MeasuredRow, want: readonly string[]): number =>
  Math.round(100 * harmonicMean(countedOf(row, want).map(([, share]) => share!)));

/** Candidates, the best first. If speed matters, the fastest of those with nearly the best score come first. */
function ordered(fitting: readonly Candidate[], want: readonly string[]): Candidate[] {
  const least = (value: number | null | undefined): number => value ?? Infinity;
  const byCost = (a: Candidate, b: Candidate): number =>
    difference(least(a.row?.seconds), least(b.row?.seconds)) ||
    difference(least(a.row?.bytes), least(b.row?.bytes)) ||
    (a.method < b.method ? -1 : 1);
  const sorted = [...fitting].sort((a, b) => b.score! - a.score! || byCost(a, b));
  if (!wishesOf(want).some(({ isFastest }) => isFastest)) return sorted;
  const isNear = ({ score }: Candidate): boolean => score! >= sorted[0]!.score! - NEARLY;
  return [...sorted.filter(isNear).sort(byCost), ...sorted.filter((one) => !isNear(one))];
}

const difference = (a: number, b: number): number => (a === b ? 0 : a - b); // two numbers that are missing are equal

/** What was measured of the method that was chosen, and what about this differs from what is asked. */
function reasonFor({ method, row: found, isBeyond, isOwn, score }: Candidate, count: number, { want, given }: Asking): string {
  const row = found!;
  const counted = countedOf(row, want).map(([name, share]) => `${name} ${percent(share!)}`);
  const size = `${row.requests} request${row.requests === 1 ? "" : "s"}`;
  const what = wishesOf(want).some(({ isFastest }) => isFastest) ? `the fastest with nearly the best score` : "the best score";
  const lent = everyNeed().filter(({ name, isGiven }) => row.given.includes(name) && isGiven?.(given) !== true);
  const notes = [
    ...(isOwn ? [] : [`measured on ${row.model.name}, which is another model`]),
    ...(isBeyond ? [`measured with at most ${size}`] : []),
    ...(Object.keys(row.set).length > 0 ? [`measured with ${Object.keys(row.set).join(", ")} set by hand, and run with the defaults`] : []),
    ...(lent.length > 0 ? [`measured with ${lent.map(({ name }) => `--${name}`).join(", ")}, which is not given here`] : []),
    ...(row.rephrased !== null && row.rephrased < LEAST_GONE
      ? [`for the question in other words only ${percent(row.rephrased)} are gone`]
      : []),
  ];
  return [`${method}: ${what} of ${count} that fit (${score}): ${counted.join(", ")}, in a row of ${size}`, ...notes].join("; ");
}

/** Names listed in an error, at most. */
const LISTED = 8;

/** Ends with an error that lists why each method was left out. It also lists the wishes without which a method may fit. */
function refuseAll(weighed: readonly Candidate[], asking: Asking): never {
  const { want, requests } = asking;
  const groups = new Map<string, string[]>();
  for (const { method, by, state, why } of weighed) {
    const names = by.length > 0 ? by.map((wish) => `${wish} leaves out`) : [state === "not measured" ? "not measured:" : `${why}:`];
    for (const name of names) groups.set(name, [...(groups.get(name) ?? []), method]);
  }
  const told = [...groups].map(([name, methods]) => `${name} ${someOf(methods, LISTED)}`).join("; ");
  const ways = want.flatMap((wish) => {
    const left = weighed.filter(({ by, row }) => row !== null && by.length === 1 && by[0] === wish).map(({ method }) => method);
    return left.length > 0 ? [`Without ${wish}, ${someOf(left, LISTED)} may fit.`] : [];
  });
  const many = requests.length === 1 ? "1 request" : `${requests.length} requests`;
  return fail(
    "forget",
    `no method fits ${many}${want.length > 0 ? ` with ${want.join(", ")}` : ""} (${told})`,
    "one that was measured, has what it needs and fits the wishes",
    ways.join(" ") || "Name a method with --method NAME; --plan tells what each needs.",
  );
}
