/** Runs a sample of an older build's records again on this build. If every byte is the same, the records count. */
import { join } from "node:path";
import type { Context } from "../../base/context.ts";
import { fail } from "../../base/fail.ts";
import { canonical } from "../../base/hash.ts";
import { rng } from "../../base/rng.ts";
import { discard, scratch } from "../../base/store.ts";
import { recordIn } from "../folder.ts";
import type { Acceptance } from "../record.ts";
import { inTurns, runReady } from "../run.ts";
import { storeAcceptance } from "./acceptance.ts";
import type { Board, Found } from "./board.ts";
import { labelOf } from "./progress.ts";
import type { Unit } from "./unfold.ts";

/** A step that an older build finished. */
interface Older {
  readonly unit: Unit;
  readonly run: Found;
  /** The present code of the same files; undefined if one of them is gone. */
  readonly now: string | undefined;
}

/**
 * Accepts the records of older builds for the steps of a board, on which every older record counts. `sample` of them, and at least one of
 * each pair of an old and a present code, are run again in a folder of their own with an empty cache. Refuses a record that comes out with
 * other bytes.
 */
export async function accept(
  grid: string,
  board: Board,
  { sample, seed }: { readonly sample: number; readonly seed: number },
  ctx: Context,
): Promise<Acceptance> {
  const older = await olderOf(board);
  if (older.length === 0) fail("grid accept", `no step of ${grid} was finished by another build`, "a record of an older build", "");
  const drawn = draw(older, board, sample, seed);
  const folder = scratch("lethe-accept");
  const samples: Acceptance["samples"][number][] = [];
  try {
    const own: Context = { ...ctx, runs: join(folder, "runs"), cache: join(folder, "cache") };
    for (const [i, one] of drawn.entries()) {
      ctx.log({ kind: "note", who: "grid", text: `sample ${i + 1} of ${drawn.length}: ${labelOf(one.unit)}` });
      samples.push(await again(one, board, own));
    }
  } finally {
    discard(folder);
  }
  const acceptance: Acceptance = {
    schema: "lethe/accepted/1",
    grid,
    seed,
    date: ctx.date(),
    codes: codesOf(older),
    samples,
  };
  storeAcceptance(ctx.runs, acceptance);
  return acceptance;
}

async function olderOf(board: Board): Promise<Older[]> {
  const found: Older[] = [];
  for (const unit of board.units) {
    const { run } = board.of(unit.key);
    const listed = run && (await board.entryOf(unit));
    if (listed && listed.now !== listed.entry.code) found.push({ unit, run, now: listed.now });
  }
  return found;
}

const pairOf = ({ unit, run, now }: Older): string => `${unit.spec.step} ${run.code} ${now ?? ""}`;

/** The sample: drawn by the seed, then completed so that every pair of codes has one. */
function draw(older: readonly Older[], board: Board, sample: number, seed: number): Older[] {
  const gone = older.find(({ now }) => now === undefined);
  if (gone)
    fail(
      "grid accept",
      `a source file of ${labelOf(gone.unit)} is no longer part of this build`,
      "records of a build with the same files",
      "Run these steps again: lethe grid run.",
    );
  const able = older.filter(({ unit }) => unit.needs.every((key) => board.of(key).run?.isWhole));
  const order = rng(seed).split("accept").shuffled(able);
  const taken = order.slice(0, sample);
  for (const pair of new Set(older.map(pairOf))) {
    if (taken.some((one) => pairOf(one) === pair)) continue;
    const [label] = older.filter((one) => pairOf(one) === pair).map(({ unit }) => labelOf(unit));
    taken.push(
      order.find((one) => pairOf(one) === pair) ??
        fail(
          "grid accept",
          `no input of ${label} has its weights`,
          "records with what they were made from",
          "Run these steps again: lethe grid run.",
        ),
    );
  }
  return taken.sort((a, b) => older.indexOf(a) - older.indexOf(b)); // needs first
}

/** Runs a step again, and compares every file. */
async function again({ unit, run }: Older, board: Board, ctx: Context): Promise<Acceptance["samples"][number]> {
  const ready = await board.ready(unit, ctx);
  const { path } = await runReady(ready, ctx, { force: true, within: inTurns(ctx) });
  const [before, after] = [recordIn(run.path)!, recordIn(path)!];
  const names = [...new Set([...Object.keys(before.outputs), ...Object.keys(after.outputs)])];
  const different = names.filter((name) => before.outputs[name] !== after.outputs[name]);
  if (canonical(before.result) !== canonical(after.result)) different.push("the result in record.json");
  if (different.length > 0)
    fail(
      "grid accept",
      `${labelOf(unit)} (run ${run.id.slice(0, 12)}) gives other bytes on this build: ${different.join(", ")}`,
      "the same bytes",
      "The older records do not count. Run the grid again on this build.",
      "execution",
    );
  return { step: unit.name, at: unit.at, run: run.id, outputs: after.outputs };
}

/** The pairs of codes, each with the number of its records. */
function codesOf(older: readonly Older[]): Acceptance["codes"] {
  const pairs = new Map<string, { step: string; old: string; now: string; records: number }>();
  for (const one of older) {
    const pair = pairs.get(pairOf(one)) ?? { step: one.unit.spec.step, old: one.run.code, now: one.now!, records: 0 };
    pair.records++;
    pairs.set(pairOf(one), pair);
  }
  return [...pairs.values()];
}
