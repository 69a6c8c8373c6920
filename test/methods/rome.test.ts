/** ROME: what every method shows, and its closed form. */
import { afterAll, describe, expect, it } from "vitest";
import { defaultContext } from "../../src/base/context.ts";
import { apply } from "../../src/edit/apply.ts";
import { deltasOf } from "../../src/edit/edit.ts";
import { subjectActivations } from "../../src/locate/keys.ts";
import { tokenizeRequest } from "../../src/locate/tokenized-requests.ts";
import type { AnyMethod } from "../../src/methods/method.ts";
import { rome } from "../../src/methods/rome/rome.ts";
import { load } from "../../src/model/load.ts";
import { findEdit } from "../../src/run/edit.ts";
import { conforms, FACT, SAY } from "../conformance/method.ts";
import { remembersKeys } from "../conformance/sequence.ts";

const params = { steps: 12, templates: ["5x5"] };
conforms(rome as unknown as AnyMethod, { params });
remembersKeys(rome as unknown as AnyMethod, params);

describe("rome", () => {
  const ctx = defaultContext();
  const model = load("bundled", ctx);
  afterAll(async () => (await model).release());

  it("maps the inserted key to the value exactly, in both executors", async () => {
    const m = await model;
    const edit = await findEdit(m, FACT, {
      method: "rome",
      say: SAY,
      params: { ...params, keys: "prompt" },
      statistics: { tokens: 2048 },
      ctx,
    });
    const layer = Number(edit.by.params["layer"]);
    const rows = tokenizeRequest(m, FACT, ["{}"], { format: "chat", end: false });
    const delta = deltasOf(edit)[`blocks.${layer}.mlp.out`]!;
    const meets = Number(edit.evidence!["keyMeetsDirection"]);
    for (const executor of ["graph", "blocks"] as const) {
      const [before, after] = [
        await subjectActivations(m, rows, layer, ["mlp_out"], { dtype: "float64", executor }),
        await subjectActivations(apply(m, edit), rows, layer, ["mlp_out"], { dtype: "float64", executor }),
      ];
      if (!("outer" in delta)) throw new Error("an outer product");
      after.mlp_out.data.forEach((v, i) =>
        expect(Number(v)).toBeCloseTo(Number(before.mlp_out.data[i]) + Number(delta.outer[0].data[i]) * meets, 4),
      );
    }
  });

  it("refuses a layer that is not there", async () => {
    await expect(findEdit(await model, FACT, { method: "rome", say: SAY, params: { layer: 99 }, ctx })).rejects.toThrow(/layer 99/);
  });
});
