/** Work on a model whose weights are broken: the error names the weight, not the rate or the data, and a sound model keeps its own errors. */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, test } from "vitest";
import { defaultContext } from "../../src/base/context.ts";
import { fail } from "../../src/base/fail.ts";
import { DEFAULT_STATISTICS, statisticsOf } from "../../src/locate/covariance.ts";
import { orBroken } from "../../src/model/decode/finite.ts";
import { load } from "../../src/model/load.ts";
import { type Model, withWeights } from "../../src/model/model.ts";
import { findEdit } from "../../src/run/edit.ts";
import { FACT, SAY } from "../conformance/method.ts";

const folder = mkdtempSync(join(tmpdir(), "lethe-broken-"));
const ctx = defaultContext({ threads: 1, cache: join(folder, "cache") });
const loaded = load("bundled", ctx);
afterAll(async () => {
  await (await loaded).release();
  rmSync(folder, { recursive: true, force: true });
});

function brokenAt(model: Model, name: string, value: number): Model {
  const weight = model.weights.get(name)!;
  const data = (weight.data as Float32Array).slice();
  data[0] = value;
  return withWeights(model, new Map([[name, { ...weight, data }]]));
}
const request = { ...FACT, answer: "Sellamere" };

describe("the weight is named", () => {
  test.each([
    ["ft", "blocks.2.mlp.out", NaN, /blocks\.2\.mlp\.out holds NaN/],
    ["task-vector", "blocks.3.attn.v", NaN, /blocks\.3\.attn\.v holds NaN/],
    ["ga", "embed", Infinity, /embed holds Infinity/],
    ["ga", "blocks.1.ln2", 3e38, /blocks\.1\.\S+ holds numbers of up to 3\.0e\+38/],
    ["ceu", "final_norm", NaN, /final_norm holds NaN/],
  ])("by %s, where %s holds %d", async (method, name, value, said) => {
    const model = brokenAt(await loaded, name, value);
    await expect(findEdit(model, request, { method, say: SAY, ctx, seed: 0 })).rejects.toMatchObject({
      who: "model",
      trouble: "execution",
      message: expect.stringMatching(said),
    });
  });

  test("by statistics of a text", async () => {
    const path = join(folder, "text.txt");
    writeFileSync(path, "The old river of stories. ".repeat(60));
    const model = brokenAt(await loaded, "blocks.0.mlp.out", NaN);
    const statistics = statisticsOf(model, { ...DEFAULT_STATISTICS, text: path, tokens: 300 }, ctx);
    await expect(statistics.secondMoment(2, "mlp_post")).rejects.toThrow(/^model: .*blocks\.0\.mlp\.out holds NaN/);
  });
});

describe("a sound model", () => {
  test("keeps the error of a rate that is too large", async () => {
    const options = { method: "ft", say: SAY, params: { lr: 1e38, limit: 0 }, ctx, seed: 0 };
    await expect(findEdit(await loaded, request, options)).rejects.toThrow(/^ft: the loss is NaN at evaluation/);
  });

  test("keeps every error that is not of numbers", async () => {
    const model = brokenAt(await loaded, "embed", NaN);
    await expect(orBroken(model, async () => fail("x", "y", "z", ""))).rejects.toThrow(/^x: y/);
    await expect(orBroken(model, async () => fail("x", "y", "z", "", "execution"))).rejects.toThrow(/embed holds NaN/);
    await expect(orBroken(await loaded, async () => fail("x", "y", "z", "", "execution"))).rejects.toThrow(/^x: y/);
  });
});
