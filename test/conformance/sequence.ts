/** What a method shows whose later edits of a sequence leave alone what earlier ones wrote. */
import { afterAll, expect, it } from "vitest";
import { defaultContext } from "../../src/base/context.ts";
import { deltasOf, type Edit } from "../../src/edit/edit.ts";
import type { AnyMethod } from "../../src/methods/method.ts";
import { load } from "../../src/model/load.ts";
import { findEdit } from "../../src/run/edit.ts";
import { capitalOf, SAY } from "./method.ts";

export function remembersKeys(method: AnyMethod, params: Readonly<Record<string, unknown>>): void {
  const ctx = defaultContext();
  const model = load("bundled", ctx);
  afterAll(async () => (await model).release());
  const requests = ["Norvane", "Veyra"].map(capitalOf);
  const inSequence = async (compat: readonly string[]): Promise<Edit> =>
    findEdit(await model, requests, {
      method: method.name,
      mode: "sequential",
      say: SAY,
      params,
      compat,
      statistics: { tokens: 2048 },
      ctx,
    });

  it("a later edit of a sequence hardly reaches the keys of those before it", async () => {
    const edit = await inSequence([]);
    const [later, earlier] = reachOf(edit);
    expect(earlier).toBeLessThan(0.2 * later); // the ridge leaves some
    if (!Object.hasOwn(method.compat, "overwrite-earlier")) return;
    const [over, under] = reachOf(await inSequence(["overwrite-earlier"]));
    expect(under / over).toBeGreaterThan(5 * (earlier / later));
  });
}

/** |Aᵀ·k| of the second edit's direction A in the sequence's first layer, at its own key and at the first edit's. */
function reachOf(edit: Edit): [own: number, earlier: number] {
  const layer = Number(Object.keys(edit.memory!)[0]!.replace("keys.", ""));
  const delta = deltasOf(edit)[`blocks.${layer}.mlp.out`]!;
  if (!("outer" in delta)) throw new Error("outer products, side by side");
  const [keys, right] = [edit.memory![`keys.${layer}`]!, delta.outer[1]];
  const m = right.shape[1]!;
  const meets = (column: number): number => {
    let sum = 0;
    for (let i = 0; i < m; i++) sum += Number(right.data[m + i]) * Number(keys.data[2 * i + column]);
    return Math.abs(sum);
  };
  return [meets(0), meets(1)]; // the latest key stands first
}
