/** ROME for several requests together, against a solution of the same problem by other means. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, it } from "vitest";
import { defaultContext } from "../../src/base/context.ts";
import type { ForgetRequest } from "../../src/data/request.ts";
import { deltasOf, type Edit } from "../../src/edit/edit.ts";
import { statisticsOf } from "../../src/locate/covariance.ts";
import { rankN } from "../../src/methods/rome/rank-n.ts";
import { load } from "../../src/model/load.ts";
import { gemmOn, matrix } from "../../src/onnx/linalg.ts";
import { findEdit } from "../../src/run/edit.ts";
import { capitalOf, SAY } from "../conformance/method.ts";

const folder = mkdtempSync(join(tmpdir(), "lethe-rome-joint-"));
const ctx = defaultContext({ cache: join(folder, "cache") });
const loaded = load("bundled", ctx);
afterAll(async () => {
  await (await loaded).release();
  rmSync(folder, { recursive: true, force: true });
});

const FACTS = ["Norvane", "Veyra", "Quillon"].map(capitalOf);

const found = async (facts: readonly ForgetRequest[], params: object = { sequence: "joint" }): Promise<Edit> =>
  findEdit(await loaded, facts, {
    method: "rome",
    mode: "sequential",
    say: SAY,
    prove: "none",
    statistics: { tokens: 1024 },
    running: { dtype: "float64" },
    seed: 3,
    ctx,
    params: { steps: 5, templates: ["5x2"], contrast: 4, ridge: 0.03, ...params },
  });

/** ΔW [D, m] row by row. */
function changeOf(edit: Edit): number[][] {
  const [delta] = Object.values(deltasOf(edit));
  if (!delta || !("outer" in delta)) throw new Error("an outer product");
  const [left, right] = delta.outer;
  const [rows, rank] = left.shape as [number, number];
  const m = right.shape[1]!;
  return Array.from({ length: rows }, (_, i) =>
    Array.from({ length: m }, (_, j) => {
      let sum = 0;
      for (let k = 0; k < rank; k++) sum += Number(left.data[i * rank + k]) * Number(right.data[k * m + j]);
      return sum;
    }),
  );
}
const largest = (a: readonly (readonly number[])[]): number => Math.max(...a.flat().map(Math.abs));
const apartBy = (a: readonly (readonly number[])[], b: readonly (readonly number[])[]): number =>
  largest(a.map((row, i) => row.map((x, j) => x - b[i]![j]!))) / largest(b);

/** X with A·X = B by elimination, in place. */
function eliminated(a: number[][], b: number[][]): number[][] {
  for (let c = 0; c < a.length; c++) {
    let best = c;
    for (let r = c + 1; r < a.length; r++) if (Math.abs(a[r]![c]!) > Math.abs(a[best]![c]!)) best = r;
    [a[c], a[best], b[c], b[best]] = [a[best]!, a[c]!, b[best]!, b[c]!];
    for (let r = c + 1; r < a.length; r++) {
      const times = a[r]![c]! / a[c]![c]!;
      if (times === 0) continue;
      for (let j = c; j < a.length; j++) a[r]![j]! -= times * a[c]![j]!;
      for (let j = 0; j < b[r]!.length; j++) b[r]![j]! -= times * b[c]![j]!;
    }
  }
  const x: number[][] = [];
  for (let r = a.length - 1; r >= 0; r--) {
    x[r] = b[r]!.map((own, j) => {
      let sum = own;
      for (let k = r + 1; k < a.length; k++) sum -= a[r]![k]! * x[k]![j]!;
      return sum / a[r]![r]!;
    });
  }
  return x;
}

describe("rome, jointly", () => {
  it("is the smallest change under the second moments that gives every key its value", { timeout: 240_000 }, async () => {
    const model = await loaded;
    const edit = await found(FACTS, { sequence: "joint", contrast: 0 });
    const layer = Number(edit.by.params["layer"]);
    const column = (name: string, i: number): number[] => {
      const { data, shape } = edit.memory![`joint.${name}`]!;
      return Array.from({ length: shape[0]! }, (_, d) => Number(data[d * shape[1]! + i]));
    };
    const n = FACTS.length;
    const keys = FACTS.map((_, i) => column("keys", i));
    const residuals = FACTS.map((_, i) => column("values", i).map((v, d) => v - column("outputs", i)[d]!));
    const c = await statisticsOf(model, { text: "self", tokens: 1024, length: 512, seed: 0 }, ctx).secondMoment(layer, "mlp_post");
    const m = c.shape[0]!;
    const trace = keys[0]!.reduce((sum, _, i) => sum + c.data[i * m + i]!, 0);
    // the Lagrange conditions: M·ΔWᵀ + K·Λ = 0 and Kᵀ·ΔWᵀ = Rᵀ
    const left = Array.from({ length: m + n }, (_, i) =>
      Array.from({ length: m + n }, (_, j) => {
        if (i < m && j < m) return c.data[i * m + j]! + (i === j ? (0.03 * trace) / m : 0);
        return i < m ? keys[j - m]![i]! : j < m ? keys[i - m]![j]! : 0;
      }),
    );
    const D = residuals[0]!.length;
    const right = Array.from({ length: m + n }, (_, i) => (i < m ? new Array<number>(D).fill(0) : residuals[i - m]!.slice()));
    const solved = eliminated(left, right);
    const wanted = Array.from({ length: D }, (_, d) => Array.from({ length: m }, (_, j) => solved[j]![d]!));
    const change = changeOf(edit);
    for (const [i, k] of keys.entries())
      for (const one of [change, wanted])
        one.forEach((row, d) => expect(row.reduce((sum, w, j) => sum + w * k[j]!, 0)).toBeCloseTo(residuals[i]![d]!, 9));
    expect(apartBy(change, wanted)).toBeLessThan(1e-9);
  });

  it("does not depend on the order of the requests; with one request it is ROME's; on top is neither", { timeout: 240_000 }, async () => {
    const [edit, turned] = [await found(FACTS), await found([...FACTS].reverse())];
    expect(apartBy(changeOf(edit), changeOf(turned))).toBeLessThan(1e-9);
    expect(apartBy(changeOf(await found(FACTS, {})), changeOf(await found([...FACTS].reverse(), {})))).toBeGreaterThan(1e-4);
    const one = FACTS.slice(0, 1);
    expect(apartBy(changeOf(await found(one)), changeOf(await found(one, {})))).toBeLessThan(1e-9);
  });

  it("solves a case by hand", async () => {
    // keys (2, 0, 0) and (1, 1, 0), directions (1, 0, 0) and (0, 1, 1), residuals 4 and 3: x·2 = 4 and x·1 + y·1 = 3, so ΔW = (2, 1, 1)
    const [left, right] = await rankN(
      {
        keys: matrix(3, 2, Float64Array.of(2, 1, 0, 1, 0, 0)),
        directions: matrix(3, 2, Float64Array.of(1, 0, 0, 1, 0, 1)),
        values: matrix(1, 2, Float64Array.of(5, 3)),
        outputs: matrix(1, 2, Float64Array.of(1, 0)),
      },
      gemmOn((await loaded).sessions),
    );
    const change = [0, 1, 2].map((j) => left.data[0]! * right.data[j]! + left.data[1]! * right.data[3 + j]!);
    [2, 1, 1].forEach((x, j) => expect(change[j]).toBeCloseTo(x, 12));
  });

  it("refuses two requests with the same key", { timeout: 120_000 }, async () => {
    const same = { ...FACTS[0]!, id: "again", prompt: "What is the capital of Norvane, please?" };
    await expect(found([FACTS[0]!, FACTS[1]!, same])).rejects.toThrow(/requests 1 and 3 of the sequence, whose keys are almost the same/);
  });
});
