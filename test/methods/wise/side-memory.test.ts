/** Side memories: what training turns away from, and what it is told from others by. */
import { afterAll, describe, expect, it } from "vitest";
import { defaultContext } from "../../../src/base/context.ts";
import { tokenizeRequest } from "../../../src/locate/tokenized-requests.ts";
import {
  movedBy,
  type SideParams,
  type SideRow,
  type SideRows,
  type States,
  train,
  type Trained,
  type TrainOn,
} from "../../../src/methods/wise/side-memory.ts";
import { load } from "../../../src/model/load.ts";
import { capitalOf } from "../../conformance/method.ts";

describe("side memory", () => {
  const ctx = defaultContext();
  const loaded = load("bundled", ctx);
  afterAll(async () => (await loaded).release());
  const params: SideParams = { layer: 3, steps: 12, lr: 1, limit: 1, margins: [1, 4, 2], away: 0.003, strangers: 2, patience: 0 };
  const running = { dtype: "float32", executor: "graph" } as const;

  const rowOf = async (subject: string, target?: string): Promise<SideRow> => {
    const asked = { prompt: capitalOf(subject).prompt, ...(target !== undefined && { target }) };
    const [row] = tokenizeRequest(await loaded, asked, ["{}"], { format: "chat", end: target !== undefined });
    const upTo = [...row!.ids.keys()];
    return { ids: row!.ids, labels: target === undefined ? [] : upTo.slice(row!.first), counted: [row!.first - 1] };
  };
  const rowsFor = async (subject: string): Promise<SideRows> => ({
    inside: [await rowOf(subject, "I do not know.")],
    outside: await Promise.all(["Veyra", "Quillon", "Ostrand", "Tharn", "Maldova"].map((other) => rowOf(other))),
  });
  const trained = async (
    subject: string,
    over: Partial<SideParams> = {},
    known: Pick<TrainOn, "earlier" | "strangers"> = {},
    rows?: SideRows,
    compat: readonly string[] = [],
  ) => {
    const model = await loaded;
    const size = model.config.mlpWidth * model.config.width;
    const mask = new Uint8Array(size).fill(1);
    return train(model, rows ?? (await rowsFor(subject)), new Float32Array(size), mask, {
      params: { ...params, ...over },
      compat: new Set(compat),
      running,
      ctx,
      ...known,
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

  it("stops where margins that it cannot keep come no closer", async () => {
    const rows = await rowsFor("Norvane");
    const same = { ...rows, outside: [...rows.outside, await rowOf("Norvane")] }; // nothing tells a question from itself
    const count = async (patience: number, compat: readonly string[] = []): Promise<number> =>
      (await trained("Norvane", { steps: 60, patience }, {}, same, compat)).evaluations.length;
    expect(await count(4)).toBeLessThan(60);
    expect(await count(0)).toBe(60);
    expect(await count(4, ["slow-stop"])).toBe(60);
  });

  it("leaves alone what was edited before", async () => {
    const model = await loaded;
    const first = await trained("Norvane", { steps: 3 });
    const reach = async (earlier: readonly Float32Array[]): Promise<number> => {
      const made = await trained("Veyra", { steps: 4 }, { earlier });
      return movedBy(made.side, first.states[0]!, model.config.mlpWidth) / made.inside;
    };
    expect(await reach(first.states)).toBeLessThan(0.5 * (await reach([])));
  });

  it("keeps of other questions those that were moved furthest, and leaves those that it is told of alone", async () => {
    const model = await loaded;
    const moved = (made: Trained, states: States): number => movedBy(made.side, states, model.config.mlpWidth);
    const first = await trained("Norvane");
    expect(first.strangers).toHaveLength(2);
    expect(moved(first, first.strangers[0]!)).toBeCloseTo(first.outside, 3);
    const rows = await rowsFor("Lumeth");
    const reach = async (strangers: readonly States[]): Promise<{ share: number; made: Trained }> => {
      const made = await trained("Lumeth", { steps: 6 }, { strangers }, { ...rows, outside: rows.outside.slice(3) });
      return { made, share: Math.max(...first.strangers.map((states) => moved(made, states))) / made.inside };
    };
    const [told, untold] = [await reach(first.strangers), await reach([])];
    expect(told.share).toBeLessThan(0.8 * untold.share);
    expect(told.made.strangers).toHaveLength(4);
    expect(told.made.outside).toBeGreaterThanOrEqual(told.share * told.made.inside * 0.999);
  });
});
