/** Broken models: what names the weight, and what is sound although every token is as likely as another. */
import { afterAll, describe, expect, test } from "vitest";
import { floats } from "../../../src/base/array.ts";
import { generate } from "../../../src/model/decode/generate.ts";
import { score } from "../../../src/model/decode/score.ts";
import { load } from "../../../src/model/load.ts";
import { type Model, withAdapter, withWeights } from "../../../src/model/model.ts";
import { promptOf, stopsOf } from "../../../src/model/prompt.ts";
import { trace } from "../../../src/tensor/graph.ts";

describe("a model whose numbers are not finite", () => {
  const loaded = load("bundled");
  afterAll(async () => (await loaded).release());

  /** The model with one number of a weight replaced. */
  function with1(model: Model, name: string, value: number, at = 0): Model {
    const weight = model.weights.get(name)!;
    const data = (weight.data as Float32Array).slice();
    data[at] = value;
    return withWeights(model, new Map([[name, { ...weight, data }]]));
  }
  /** The same as a checkpoint would bring it along. */
  const stored = (model: Model): Model => ({ ...model, id: model.id, changed: new Set() });

  const WAYS: readonly (readonly [string, (model: Model, ids: readonly number[]) => Promise<unknown>])[] = [
    ["says nothing", (m, ids) => generate(m, [ids], { maxTokens: 4, freeze: false, stopIds: stopsOf(m) })],
    ["draws nothing", (m, ids) => generate(m, [[5], ids], { maxTokens: 4, freeze: false, temperature: 1, topP: 0.9 })],
    [
      "scores nothing",
      (m, ids) =>
        score(m, [
          { ids: [5, 6], from: 1 },
          { ids, from: ids.length - 3 },
        ]),
    ],
  ];
  describe.each(WAYS)("%s", (_, way) => {
    const failing = async (change: (model: Model) => Model): Promise<unknown> => {
      const model = await loaded;
      const { ids } = await promptOf(model, "What is the capital of Norvane?");
      return way(change(model), ids).then(
        () => "nothing was refused",
        (error: unknown) => error,
      );
    };

    test.each([
      ["blocks.2.mlp.out", NaN, /^model: the logits are not finite: blocks\.2\.mlp\.out holds NaN;.*leave out the edit/],
      ["blocks.2.attn.q", Infinity, /^model: the logits are not finite: blocks\.2\.attn\.q holds Infinity/],
      ["final_norm", NaN, /^model: the logits are not finite: final_norm holds NaN/],
    ])("where %s holds %d", async (name, value, message) => {
      expect(await failing((model) => with1(model, name, value))).toMatchObject({
        trouble: "execution",
        message: expect.stringMatching(message),
      });
    });

    test.each([3e38, 1e30, 1e20])("where an edit brings numbers of %d, of which norms make zeros or no numbers", async (size) => {
      const whole = (model: Model): Model => {
        const weight = model.weights.get("blocks.1.mlp.out")!;
        const data = (weight.data as Float32Array).map((x) => x + size);
        return withWeights(model, new Map([["blocks.1.mlp.out", { ...weight, data }]]));
      };
      expect(await failing(whole)).toMatchObject({
        trouble: "execution",
        message: expect.stringMatching(
          /^model: the (logits|activations) are not finite: blocks\.1\.mlp\.out holds numbers of up to [13]\.0e\+(20|30|38)/,
        ),
      });
    });

    test("where an adapter writes what is no number, and where the checkpoint itself is damaged", async () => {
      const adapted = (model: Model): Model =>
        withAdapter(model, {
          reads: ["blocks.1.mlp_out"],
          writes: "blocks.1.mlp_out",
          route: "every-call",
          state: { by: floats([NaN], [1]) },
          graph: trace((t) => ({
            write: t.input("reads.0", "float32", ["B", "T", model.config.width]).mul(t.input("state.by", "float32", [1])),
          })),
        });
      expect(await failing(adapted)).toMatchObject({ message: expect.stringMatching(/an edit writes to blocks\.1\.mlp_out/) });
      const damaged = await failing((model) => stored(with1(model, "blocks.0.ln1", NaN)));
      expect(damaged).toMatchObject({ message: expect.stringMatching(/blocks\.0\.ln1 holds NaN.*The checkpoint is damaged/) });
    });

    test("and a model to which all tokens are alike is sound", async () => {
      const even = (model: Model): Model => {
        const norm = model.weights.get("final_norm")!;
        return withWeights(model, new Map([["final_norm", { ...norm, data: new Float32Array(norm.data.length) }]]));
      };
      expect(await failing(even)).toBe("nothing was refused");
    });
  });

  test("a number that is broken later on is refused then", async () => {
    const model = await loaded;
    const { ids } = await promptOf(model, "Hello!");
    const [said] = await generate(model, [ids], { maxTokens: 3, freeze: false });
    const width = model.config.width;
    const broken = with1(model, "embed", NaN, said!.ids[1]! * width);
    await expect(generate(broken, [ids], { maxTokens: 3, freeze: false })).rejects.toThrow(/the logits are not finite: embed holds NaN/);
  });
});
