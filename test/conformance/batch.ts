/** What every method that takes a batch shows beyond the suite of all methods. */
import { fileURLToPath } from "node:url";
import { afterAll, describe, expect, it } from "vitest";
import { defaultContext } from "../../src/base/context.ts";
import { bundled } from "../../src/data/sets/bundled.ts";
import { apply } from "../../src/edit/apply.ts";
import type { AnyMethod } from "../../src/methods/method.ts";
import { load } from "../../src/model/load.ts";
import { findEdit } from "../../src/run/edit.ts";
import { capitalOf, conforms, SAY, targetScore } from "./method.ts";

const params = { steps: 40, lr: 0.5, clamp: 15, templates: ["5x5"] };

export function conformsInBatches(method: AnyMethod): void {
  conforms(method, { params });

  describe(`${method.name} in batches`, () => {
    const ctx = defaultContext();
    const model = load("bundled", ctx);
    afterAll(async () => (await model).release());
    const requests = ["Norvane", "Veyra", "Quillon"].map(capitalOf);
    const options = { method: method.name, say: SAY, params, statistics: { tokens: 2048 }, ctx };

    it("writes several requests in one batch", async () => {
      const m = await model;
      const edit = await findEdit(m, requests, options);
      expect(edit.by.requests).toHaveLength(3);
      expect(await targetScore(apply(m, edit))).toBeGreaterThan((await targetScore(m)) + 1);
      expect(Number(edit.evidence!["residualLeft"])).toBeLessThan(1);
    });

    it("begins later searches where earlier ones ended: as many evaluations lead further", async () => {
      const { requests: world } = bundled.read({ path: fileURLToPath(new URL("../../bundled/facts.jsonl", import.meta.url)) });
      const capitals = world.filter(({ prompt }) => prompt.startsWith("What is the capital of")).slice(0, 12);
      expect(capitals).toHaveLength(12); // four more than are sought together
      const later = async (compat: readonly string[]): Promise<number> => {
        const edit = await findEdit(await model, capitals, { ...options, params: { ...params, steps: 10 }, compat });
        return Math.min(...(edit.evidence!["targetProbability"] as number[]).slice(8));
      };
      expect(await later([])).toBeGreaterThan(2 * (await later(["cold-start"])));
    });

    it.each([[[]], [[3, 2]], [[99]], [[1, 1]]])("refuses the layers %j", async (layers) => {
      await expect(findEdit(await model, requests[0]!, { ...options, params: { ...params, layers } })).rejects.toThrow(
        /layers \[.*ascending/,
      );
    });
  });
}
