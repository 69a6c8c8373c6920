/** Side memories: what training turns away from, and what it is told from others by. */
import { afterAll, describe, expect, it } from "vitest";
import { defaultContext } from "../../src/base/context.ts";
import { rowsOf } from "../../src/locate/rows.ts";
import { movedBy, type SideParams, type SideRow, type SideRows, train } from "../../src/locate/side.ts";
import { load } from "../../src/model/load.ts";
import { capitalOf } from "../conformance/method.ts";

describe("side memory", () => {
  const ctx = defaultContext();
  const loaded = load("bundled", ctx);
  afterAll(async () => (await loaded).release());
  const params: SideParams = { layer: 3, steps: 12, lr: 1, limit: 1, margins: [1, 4, 2], away: 0.003 };
  const running = { dtype: "float32", executor: "graph" } as const;

  const rowOf = async (subject: string, target?: string): Promise<SideRow> => {
    const asked = { prompt: capitalOf(subject).prompt, ...(target !== undefined && { target }) };
    const [row] = rowsOf(await loaded, asked, ["{}"], { format: "chat", end: target !== undefined });
    const upTo = [...row!.ids.keys()];
    return { ids: row!.ids, labels: target === undefined ? [] : upTo.slice(row!.first), counted: [row!.first - 1] };
  };
  const rowsFor = async (subject: string): Promise<SideRows> => ({
    inside: [await rowOf(subject, "I do not know.")],
    outside: await Promise.all(["Veyra", "Quillon", "Ostrand", "Tharn", "Maldova"].map((other) => rowOf(other))),
  });
  const trained = async (subject: string, over: Partial<SideParams> = {}, earlier: readonly Float32Array[] = []) => {
    const model = await loaded;
    const size = model.config.mlpWidth * model.config.width;
    const mask = new Uint8Array(size).fill(1);
    return train(model, await rowsFor(subject), new Float32Array(size), mask, {
      params: { ...params, ...over },
      compat: new Set(),
      running,
      ctx,
      earlier,
    });
  };

  it("tells a question from its like the better for being turned away from them", async () => {
    const [turned, plain] = [await trained("Norvane"), await trained("Norvane", { away: 0 })];
    expect(turned.inside / turned.outside).toBeGreaterThan(2 * (plain.inside / plain.outside));
  });

  it("measures movement as it is trained", async () => {
    const model = await loaded;
    const made = await trained("Norvane", { steps: 3 });
    // the last evaluation was of the memory as it is: nothing is updated behind it
    expect(movedBy(made.side, made.states[0]!, model.config.mlpWidth)).toBeCloseTo(made.inside, 3);
  });

  it("leaves alone what was edited before", async () => {
    const model = await loaded;
    const first = await trained("Norvane", { steps: 3 });
    const reach = async (earlier: readonly Float32Array[]): Promise<number> => {
      const made = await trained("Veyra", { steps: 4 }, earlier);
      return movedBy(made.side, first.states[0]!, model.config.mlpWidth) / made.inside;
    };
    expect(await reach(first.states)).toBeLessThan(0.5 * (await reach([])));
  });
});
