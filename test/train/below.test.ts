/** Training upper blocks alone: states below are kept a row, and gradients are those of the whole model. */
import { afterAll, expect, test, vi } from "vitest";
import { asFloats } from "../../src/base/array.ts";
import { defaultContext } from "../../src/base/context.ts";
import { differentiated, type Slope } from "../../src/train/gradient.ts";
import { type Recipe, train, type Trained } from "../../src/train/loop.ts";
import { nll } from "../../src/train/objective.ts";
import { weightsOf } from "../../src/train/trainable.ts";
import { RECIPE, tinyModel, tinyRows } from "./tiny.ts";

const model = tinyModel(0, { num_hidden_layers: 4 });
const rows = tinyRows(model);
afterAll(() => model.release());

const TOP = [...model.weights.keys()].filter((name) => /^blocks\.[23]\./.test(name));

async function slopeOf(names: readonly string[], executor: "graph" | "blocks"): Promise<Slope> {
  const { run } = differentiated(model, { objective: nll, trainable: weightsOf(model, names), dtype: "float64", executor });
  const numbers = new Map(names.map((name) => [name, asFloats(model.weights.get(name)!, "float64")]));
  return run({ rows, step: rows }, numbers);
}

test.each(["graph", "blocks"] as const)("gradients of upper blocks are those of the whole model (%s)", async (executor) => {
  const [whole, top] = [await slopeOf([...model.weights.keys()], executor), await slopeOf(TOP, executor)];
  expect(top.outputs["loss"]).toBeCloseTo(whole.outputs["loss"]!, 12);
  for (const name of TOP) {
    const [a, b] = [whole.gradients.get(name)!.data, top.gradients.get(name)!.data];
    const worst = Math.max(...Array.from(a as Float64Array, (x, i) => Math.abs(x - Number(b[i]))));
    expect(worst, name).toBeLessThan(1e-12);
  }
});

async function finish(events: ReturnType<typeof train>): Promise<Trained> {
  for (;;) {
    const { value, done } = await events.next();
    if (done) return value;
  }
}

test("what is below runs once a row, and a run that began in its middle ends in the same bits", async () => {
  const recipe: Recipe = { ...RECIPE, steps: 12, batch: 4, only: TOP };
  const made = vi.spyOn(model.sessions, "use");
  const whole = await finish(train(model, rows, recipe, defaultContext()));
  // a session is asked for by each run: so many of one row, and one a step
  const asked = made.mock.calls.length;
  made.mockRestore();
  expect(asked).toBeLessThanOrEqual(rows.length + 2 * recipe.steps);
  const half = train(model, rows, recipe, defaultContext());
  for (let i = 0; i < 5; i++) await half.next();
  const other = await finish(train(model, rows.toReversed(), { ...recipe, steps: 1 }, defaultContext())); // other rows first
  expect(other.losses).toHaveLength(1);
  expect([...(await finish(half)).numbers]).toEqual([...whole.numbers]);
});
