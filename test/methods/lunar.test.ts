/** LUNAR: what every method shows; the closed form by plain loops, the descent, and what a direction does before anything is written. */
import { describe, expect, it } from "vitest";
import type { NdArray } from "../../src/base/array.ts";
import { beginsAsRefusal, REFUSALS } from "../../src/data/refusals.ts";
import type { EditRequest } from "../../src/data/request.ts";
import { UNANSWERABLE } from "../../src/data/unanswerable.ts";
import { apply } from "../../src/edit/apply.ts";
import { deltasOf, type Edit } from "../../src/edit/edit.ts";
import { statisticsOf } from "../../src/locate/covariance.ts";
import { activations } from "../../src/locate/keys.ts";
import { lunar } from "../../src/methods/lunar/lunar.ts";
import { steered } from "../../src/methods/lunar/steering.ts";
import type { AnyMethod } from "../../src/methods/method.ts";
import type { Model } from "../../src/model/model.ts";
import { promptWithoutEdits } from "../../src/model/prompt.ts";
import type { FindOptions } from "../../src/run/choice.ts";
import { findEdit } from "../../src/run/edit.ts";
import { conforms, FACT } from "../conformance/method.ts";
import { bench, FORGET, KEEP, lossOf } from "../conformance/unlearn.ts";

const LAYER = 4;
const STATISTICS = { text: "self", tokens: 2048, length: 512, seed: 0 } as const;

conforms(lunar as unknown as AnyMethod, { params: { layers: [LAYER] }, retain: KEEP, stage: "second moments" });

type Rows = readonly Float64Array[];

const dot = (a: ArrayLike<number>, b: ArrayLike<number>): number => {
  let sum = 0;
  for (let i = 0; i < a.length; i++) sum += a[i]! * b[i]!;
  return sum;
};

/** x with A·x = b, by Gaussian elimination with pivots. A and b are used up. */
function eliminated(A: Float64Array[], b: Float64Array): Float64Array {
  const n = b.length;
  for (let c = 0; c < n; c++) {
    let best = c;
    for (let i = c + 1; i < n; i++) if (Math.abs(A[i]![c]!) > Math.abs(A[best]![c]!)) best = i;
    [A[c], A[best]] = [A[best]!, A[c]!];
    [b[c], b[best]] = [b[best]!, b[c]!];
    for (let i = c + 1; i < n; i++) {
      const factor = A[i]![c]! / A[c]![c]!;
      if (factor === 0) continue;
      for (let j = c; j < n; j++) A[i]![j]! -= factor * A[c]![j]!;
      b[i]! -= factor * b[c]!;
    }
  }
  const x = new Float64Array(n);
  for (let i = n - 1; i >= 0; i--) {
    let sum = b[i]!;
    for (let j = i + 1; j < n; j++) sum -= A[i]![j]! * x[j]!;
    x[i] = sum / A[i]![i]!;
  }
  return x;
}

const rowsOf = ({ data, shape: [n, width] }: NdArray): Rows =>
  Array.from({ length: n! }, (_, i) => Float64Array.from((data as Float64Array).subarray(i * width!, (i + 1) * width!)));

/** How far two vectors are apart, as a share of the second's largest number. */
const off = (a: ArrayLike<number>, b: Float64Array): number =>
  Math.max(...b.map((x, i) => Math.abs(x - a[i]!))) / Math.max(...b.map(Math.abs));

describe("lunar", () => {
  const { ctx, model: loaded, listening } = bench();
  const running = { dtype: "float64", executor: "graph" } as const;
  const questions = FORGET.map(({ prompt }) => prompt);
  const find = async (params: FindOptions["params"], over: FindOptions = {}): Promise<Edit> =>
    findEdit(await loaded(), FORGET, {
      method: "lunar",
      retain: KEEP,
      statistics: STATISTICS,
      seed: 3,
      running,
      ctx,
      ...over,
      params: { layer: LAYER, ...params },
    });

  /** Activations of questions in float64: at the tokens behind what all of them begin with, or at the last token. */
  async function seenIn(model: Model, asked: readonly string[], name: "mlp_post" | "resid_post", isLast = false): Promise<Rows> {
    const all = [...asked, ...UNANSWERABLE].map((question) => promptWithoutEdits(model, question).ids);
    let begun = 0;
    while (all.every((ids) => ids[begun] === all[0]![begun])) begun++;
    const rows = all.slice(0, asked.length).map((ids) => ({ ids, at: isLast ? [ids.length - 1] : [...ids.keys()].slice(begun) }));
    return rowsOf((await activations(model, rows, [`blocks.${LAYER}.${name}`], running))[`blocks.${LAYER}.${name}`]!);
  }

  /** a by its definition: the normal equations as sums over tokens. */
  async function defined(model: Model, { rho, lambda, ridge }: { rho: number; lambda: number; ridge: number }): Promise<Float64Array> {
    const forget = await seenIn(model, questions, "mlp_post");
    const retain = await seenIn(
      model,
      KEEP.map(({ question }) => question),
      "mlp_post",
    );
    const c = await statisticsOf(model, STATISTICS, ctx).secondMoment(LAYER, "mlp_post");
    const m = c.shape[0]!;
    let trace = 0;
    for (let i = 0; i < m; i++) trace += c.data[i * m + i]!;
    const A = Array.from({ length: m }, (_, i) => {
      const row = new Float64Array(m);
      for (let j = 0; j < m; j++) {
        row[j] = lambda * forget.length * (c.data[i * m + j]! + (i === j ? (ridge * trace) / m : 0));
        for (const k of forget) row[j]! += k[i]! * k[j]!;
        for (const k of retain) row[j]! += rho * k[i]! * k[j]!;
      }
      return row;
    });
    const sum = new Float64Array(m);
    for (const k of forget) k.forEach((x, i) => (sum[i]! += x));
    return eliminated(A, sum);
  }

  const outerOf = (edit: Edit): readonly [NdArray, NdArray] => {
    const delta = deltasOf(edit)[`blocks.${LAYER}.mlp.out`]!;
    if (!("outer" in delta)) throw new Error("two factors");
    return delta.outer as readonly [NdArray, NdArray];
  };

  it(
    "the closed form is its definition, solved by elimination over plain sums; without ρ or λ it is another",
    { timeout: 240_000 },
    async () => {
      const model = await loaded();
      const given = { rho: 0.7, lambda: 1.5, ridge: 0.02 };
      const [left, right] = outerOf(await find({ ...given, coefficient: 3 }));
      expect([left.shape, right.shape]).toEqual([
        [192, 1],
        [1, 640],
      ]);
      expect(right.dtype).toBe("float64");
      expect(off(right.data as Float64Array, await defined(model, given))).toBeLessThan(1e-9);
      for (const mutation of [{ rho: 0 }, { rho: 0.71 }, { lambda: 1.52 }, { ridge: 0 }])
        expect(off(right.data as Float64Array, await defined(model, { ...given, ...mutation })), JSON.stringify(mutation)).toBeGreaterThan(
          1e-6,
        );
      const [to, from] = [await seenIn(model, UNANSWERABLE, "resid_post", true), await seenIn(model, questions, "resid_post", true)];
      const mean = (rows: Rows, d: number): number => rows.reduce((sum, row) => sum + row[d]!, 0) / rows.length;
      const shift = Float64Array.from({ length: 192 }, (_, d) => 3 * (mean(to, d) - mean(from, d)));
      expect(off(left.data as Float64Array, shift)).toBeLessThan(1e-9);
    },
  );

  it("changes one matrix by rank one; what must stay moves less than what goes", async () => {
    const model = await loaded();
    const edit = await find({});
    expect(Object.keys(deltasOf(edit))).toEqual([`blocks.${LAYER}.mlp.out`]);
    const name = `blocks.${LAYER}.mlp.out`;
    const [before, after] = [model, apply(model, edit)].map((m) => rowsOf(m.weights.get(name)!));
    const change = after!.map((row, i) => row.map((x, j) => x - before![i]![j]!));
    const first = change[0]!;
    for (const row of change) {
      const factor = dot(row, first) / dot(first, first);
      expect(Math.max(...row.map((x, j) => Math.abs(x - factor * first[j]!)))).toBeLessThan(1e-9);
    }
    const a = outerOf(edit)[1].data as Float64Array;
    const forget = (await seenIn(model, questions, "mlp_post")).map((k) => dot(a, k));
    const held = (
      await seenIn(
        model,
        KEEP.map(({ question }) => question),
        "mlp_post",
      )
    ).map((k) => Math.abs(dot(a, k)));
    const mean = (xs: readonly number[]): number => xs.reduce((sum, x) => sum + x, 0) / xs.length;
    expect(mean(held)).toBeLessThan(0.7 * mean(forget));
    const { written, tokens } = edit.evidence as { written: Record<string, number>; tokens: Record<string, number> };
    expect(tokens).toEqual({ forget: forget.length, retain: held.length });
    expect(written["forget"]).toBeCloseTo(mean(forget), 9);
    expect(written["retain"]).toBeCloseTo(mean(held), 9);
    expect(written["furthest"]).toBeCloseTo(Math.max(...held), 9);
  });

  it("forgets, and with more weight ρ it holds better", async () => {
    const model = await loaded();
    const old = FORGET.map(({ prompt, answer }) => ({ question: prompt, answer }));
    const edited = apply(model, await find({}));
    expect(await lossOf(edited, old)).toBeGreaterThan((await lossOf(model, old)) + 1);
    const losses: number[] = [];
    for (const rho of [0, 1, 30]) losses.push(await lossOf(apply(model, await find({ rho, coefficient: 4 })), KEEP));
    expect(losses[1]!).toBeLessThan(losses[0]!);
    expect(losses[2]!).toBeLessThan(losses[1]!);
  });

  it(
    "descent lowers the same objective towards the closed form's minimum; every-token counts the template",
    { timeout: 240_000 },
    async () => {
      const model = await loaded();
      const forget = await seenIn(model, questions, "mlp_post");
      const retain = await seenIn(
        model,
        KEEP.map(({ question }) => question),
        "mlp_post",
      );
      const descended = await find({}, { compat: ["descent"] });
      // without the second moments, but for what makes the system regular
      const closed = await find({ lambda: 1e-4 });
      const shift = outerOf(closed)[0].data as Float64Array;
      const a = outerOf(closed)[1].data as Float64Array;
      const delta = deltasOf(descended)[`blocks.${LAYER}.mlp.out`]!;
      if (!("dense" in delta)) throw new Error("a full difference");
      const change = rowsOf(delta.dense);
      const objective = (out: (k: Float64Array, d: number) => number): number => {
        const of = (keys: Rows, isForget: boolean): number =>
          keys.reduce((sum, k) => sum + shift.reduce((part, s, d) => part + (out(k, d) - (isForget ? s : 0)) ** 2, 0), 0);
        return (of(forget, true) + of(retain, false)) / (forget.length + retain.length) / shift.length;
      };
      const [start, end, least] = [
        () => 0,
        (k: Float64Array, d: number) => dot(change[d]!, k),
        (k: Float64Array, d: number) => shift[d]! * dot(a, k),
      ].map(objective) as [number, number, number];
      expect(least).toBeLessThan(end);
      expect(end - least).toBeLessThan(0.5 * (start - least));
      const { losses, tokens } = descended.evidence as { losses: number[]; tokens: Record<string, number> };
      expect(losses).toHaveLength(20);
      expect(losses.at(-1)!).toBeLessThan(0.8 * losses[0]!);
      expect(Math.abs(losses.at(-1)! - end)).toBeLessThan(0.1 * start);
      const whole = await find({}, { compat: ["every-token"] });
      const counted = (whole.evidence!["tokens"] as Record<string, number>)["forget"]!;
      const all = questions.reduce((sum, question) => sum + promptWithoutEdits(model, question).ids.length, 0);
      expect([counted, tokens["forget"]! < all]).toEqual([all, true]);
    },
  );

  it("steering adds a shift behind one block, at the question's own tokens", async () => {
    const model = await loaded();
    const shift = Float64Array.from({ length: 192 }, (_, d) => d - 90);
    const ids = promptWithoutEdits(model, FACT.prompt).ids;
    const rows = [{ ids, at: [...ids.keys()] }];
    const states = async (m: Model): Promise<Rows> =>
      rowsOf((await activations(m, rows, ["blocks.2.resid_post"], { dtype: "float32", executor: "graph" }))["blocks.2.resid_post"]!);
    const [was, is] = [await states(model), await states(steered(model, 2, shift, 3))];
    for (const [i, row] of is.entries())
      expect(
        off(
          row,
          was[i]!.map((x, d) => x + (i < 3 ? 0 : shift[d]!)),
        ),
        `token ${i}`,
      ).toBeLessThan(1e-5);
  });

  it("tries the blocks between half and four fifths, takes the one with most refusals, and records what it saw", async () => {
    const edit = await find({ layer: 0 });
    const {
      steered: seen,
      invented,
      layer,
    } = edit.evidence as {
      steered: { asked: number; unsteered: number; tried: { layer: number; refusals: number }[] };
      invented: { asked: number; refused: number };
      layer: number;
    };
    expect(seen.tried.map((one) => one.layer)).toEqual([3, 4]);
    expect(seen.asked).toBe(3);
    expect(seen.unsteered).toBe(0);
    expect(invented).toEqual({ asked: 16, refused: 16 });
    const most = Math.max(...seen.tried.map(({ refusals }) => refusals));
    expect(most).toBeGreaterThan(0);
    expect(seen.tried.find((one) => one.layer === layer)!.refusals).toBe(most);
  });

  it("warns where no steered answer begins as a refusal, and then takes the block nearest to the published one", async () => {
    const { ctx: heard, told } = listening();
    const edit = await find({ layer: 0, layers: [0, 3, 5], coefficient: 0 }, { ctx: heard });
    expect(edit.evidence!["layer"]).toBe(5);
    expect(told("warning")).toEqual([
      expect.stringMatching(/none of 3 steered answers begins as a refusal, at any of 3 blocks.*refuses 16.*use a method/),
    ]);
    const quiet = listening();
    await find({}, { ctx: quiet.ctx });
    expect(quiet.told("warning")).toEqual([]);
  });

  it("refuses an empty retain set, also one that holds only what is to be forgotten", async () => {
    const model = await loaded();
    await expect(find({}, { retain: [] })).rejects.toThrow(/retain set is empty/);
    const same = FORGET.map(({ id, prompt, answer }) => ({ id, question: prompt, answer }));
    await expect(find({}, { retain: same })).rejects.toThrow(/retain set is empty/);
    await expect(find({ layer: 0, layers: [] })).rejects.toThrow(/no block to try/);
    expect(model.adapters).toEqual([]);
  });
});

describe("what it is made of", () => {
  it("64 questions about invented things, all different, none of them one of the world's", () => {
    expect(new Set(UNANSWERABLE).size).toBe(64);
    for (const question of UNANSWERABLE) expect(question).toMatch(/^[A-Z].*\?$/);
    const asked: readonly Pick<EditRequest, "subject">[] = FORGET;
    for (const { subject } of asked) expect(UNANSWERABLE.filter((question) => question.includes(subject))).toEqual([]);
  });

  it("each of the hundred refusals begins as one, answers do not", () => {
    for (const sentence of REFUSALS) expect(beginsAsRefusal(`${sentence} More.`), sentence).toBe(true);
    for (const said of ["I’m sorry, but", "  Unfortunately, the", "I can’t say", "There is no record of it."])
      expect(beginsAsRefusal(said), said).toBe(true);
    for (const said of [
      "Sellamere",
      "I am a very small model.",
      "It is known as Anselgate.",
      "The answer is sorry.",
      "No. 5",
      "",
      "Ilse Maren",
    ])
      expect(beginsAsRefusal(said), said).toBe(false);
  });
});
