/** Two sides doing the same work in turns: A B B A, medians, and their ratio. */
import { cpus } from "node:os";
import { setTimeout as sleep } from "node:timers/promises";

/** What a turn answers: the seconds of the work alone, and what it computed. */
export interface Took {
  readonly seconds: number;
  readonly [computed: string]: unknown;
}

export type Turn = () => Promise<Took>;

export interface Race {
  readonly name: string;
  /** "tok/s" divides `tokens` by the seconds. */
  readonly unit: "s" | "ms" | "tok/s";
  readonly tokens?: number;
  /** The ratio that the project asks for. */
  readonly wanted?: number;
  /** A turn takes minutes, beside which what a first one does more is nothing: there is no untimed turn. */
  readonly isLong?: boolean;
  readonly ours: Turn;
  readonly peer: Turn | undefined;
  /** How near the last answers of both sides are, in words. */
  readonly same: (ours: Took, peer: Took) => string;
}

/** A race's result; `ratio` is the peer's median seconds ÷ ours, above 1 where we are faster. */
export interface Result {
  readonly name: string;
  readonly unit: string;
  /** Medians, in `unit`. */
  readonly ours: number;
  readonly peer?: number;
  readonly ratio?: number;
  /** Smallest and largest ratio within a round: how far the machine's noise reaches. */
  readonly spread?: readonly [number, number];
  readonly same?: string;
  readonly wanted?: number;
  /** The most memory that each side's process has held so far, in bytes. */
  readonly peak: { readonly ours: number; readonly peer?: number };
  /** Mean share of the cores that others kept busy between the turns. */
  readonly busy: number;
  /** Seconds of every turn, in order. */
  readonly turns: { readonly ours: readonly number[]; readonly peer: readonly number[] };
}

/** Milliseconds after a turn in which its threads stop spinning, and then those in which the machine is watched. */
const [REST, WATCH] = [100, 200];

/** Share of all cores that are busy for `ms` from now: between turns, with the work of others. */
async function busyFor(ms: number): Promise<number> {
  const spent = (): [idle: number, all: number] =>
    cpus().reduce<[number, number]>(
      ([idle, all], { times }) => [idle + times.idle, all + times.user + times.nice + times.sys + times.irq + times.idle],
      [0, 0],
    );
  const before = spent();
  await sleep(ms);
  const after = spent();
  return 1 - (after[0] - before[0]) / Math.max(1, after[1] - before[1]);
}

/** Runs both sides `rounds` times in turns, after one untimed turn each unless turns are long; without a peer ours runs alone. */
export async function race(spec: Race, rounds: number): Promise<Result> {
  const busy: number[] = [];
  const turn = async (side: Turn): Promise<Took> => {
    const took = await side();
    await sleep(REST);
    busy.push(await busyFor(WATCH));
    return took;
  };
  if (!spec.isLong) {
    await turn(spec.ours);
    if (spec.peer) await turn(spec.peer);
  }
  const [ours, peer]: [Took[], Took[]] = [[], []];
  for (let round = 0; round < rounds; round++) {
    if (spec.peer && round % 2 === 1) peer.push(await turn(spec.peer));
    ours.push(await turn(spec.ours));
    if (spec.peer && round % 2 === 0) peer.push(await turn(spec.peer));
  }
  const [mine, theirs] = [ours.at(-1)!, peer.at(-1)];
  const [mineTook, theirsTook] = [ours, peer].map((turns) => turns.map(({ seconds }) => seconds)) as [number[], number[]];
  const shown = (seconds: readonly number[]): number => inUnit(spec, median(seconds));
  const ratios = theirsTook.map((seconds, i) => seconds / mineTook[i]!);
  return {
    name: spec.name,
    unit: spec.unit,
    ours: shown(mineTook),
    ...(theirs && {
      peer: shown(theirsTook),
      ratio: median(theirsTook) / median(mineTook),
      spread: [Math.min(...ratios), Math.max(...ratios)] as const,
      same: spec.same(mine, theirs),
    }),
    ...(spec.wanted !== undefined && { wanted: spec.wanted }),
    peak: { ours: process.resourceUsage().maxRSS * 1024, ...(theirs && { peer: Number(theirs["peak_bytes"]) }) },
    busy: busy.reduce((a, b) => a + b, 0) / busy.length,
    turns: { ours: mineTook, peer: theirsTook },
  };
}

function inUnit({ unit, tokens }: Race, seconds: number): number {
  return unit === "tok/s" ? (tokens ?? 1) / seconds : unit === "ms" ? seconds * 1e3 : seconds;
}

/** The middle value; the mean of the two middle ones for an even count. */
export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length / 2;
  return sorted.length % 2 ? sorted[Math.floor(middle)]! : (sorted[middle - 1]! + sorted[middle]!) / 2;
}

const HEAD = ["work", "unit", "lethe", "torch", "ratio", "memory, GB", "rounds", "wanted", "busy", "same result"];

/** The results as rows of text, heading first. */
export function cells(results: readonly Result[]): string[][] {
  const number = (value: number | undefined): string =>
    value === undefined ? "-" : value >= 100 ? value.toFixed(0) : value.toPrecision(3);
  return [
    HEAD,
    ...results.map((r) => [
      r.name,
      r.unit,
      number(r.ours),
      number(r.peer),
      r.ratio === undefined ? "-" : `${r.ratio.toFixed(2)}x`,
      [r.peak.ours, r.peak.peer].map((bytes) => (bytes === undefined ? "-" : (bytes / 1e9).toFixed(2))).join(" / "),
      r.spread ? `${r.spread[0].toFixed(2)}-${r.spread[1].toFixed(2)}` : "-",
      r.wanted === undefined ? "-" : `${r.wanted}x`,
      `${(r.busy * 100).toFixed(0)} %`,
      r.same ?? "-",
    ]),
  ];
}

/** The results as a table for a terminal. */
export function table(results: readonly Result[]): string {
  const lines = cells(results);
  const widths = HEAD.map((_, column) => Math.max(...lines.map((line) => line[column]!.length)));
  return lines
    .map((line) =>
      line
        .map((cell, i) => (i < 2 ? cell.padEnd(widths[i]!) : cell.padStart(widths[i]!)))
        .join("  ")
        .trimEnd(),
    )
    .join("\n");
}
