/** AltPO: what every method that trains shows; its formula, and its several targets. */
import { describe, expect, it } from "vitest";
import { floats } from "../../src/base/array.ts";
import { altpo, altpoLoss } from "../../src/methods/altpo.ts";
import type { AnyMethod } from "../../src/methods/method.ts";
import type { FindOptions } from "../../src/run/choice.ts";
import { findEdit } from "../../src/run/edit.ts";
import { program } from "../../src/onnx/program.ts";
import { trace } from "../../src/tensor/graph.ts";
import { logPreference } from "../../src/train/preference.ts";
import { bench, BRIEF, conformsByTraining, FORGET, KEEP, lossesOf } from "../conformance/unlearn.ts";
import { check, logpOf, logSigmoid, mean, nllOf, type Seen } from "../train/slope.ts";

conformsByTraining(altpo as unknown as AnyMethod, { alpha: 20 });

describe("altpo", () => {
  const { ctx, model: loaded, listening } = bench();
  const [alpha, beta] = [1.3, 0.2];
  const plain =
    (factor: number) =>
    ({ now, before }: Seen): number => {
      const preference = mean(
        now.target.map((row, r) => {
          const [other, old] = [logpOf(row) - logpOf(before.target[r]!), logpOf(now.forget[r]!) - logpOf(before.forget[r]!)];
          return logSigmoid(beta * (other - old));
        }),
      );
      return -(factor / beta) * preference + alpha * nllOf(now.retain);
    };

  it("is 2/β times the preference and what stays: value, and gradient by finite differences in float64", async () => {
    await check(altpoLoss({ alpha, beta }), plain(2));
    await expect(check(altpoLoss({ alpha, beta }), plain(2.01))).rejects.toThrow(/ and -?\d/);
  });

  it("before the first step it is 2·ln 2/β, and α times what stays", async () => {
    const { loss, retain } = await check(altpoLoss({ alpha, beta }), plain(2), { isSame: true });
    expect(loss! - alpha * retain!).toBeCloseTo(6.931471805599453, 9); // 10 · 0.6931…
  });

  it("the preference, worked by hand", async () => {
    const { sessions } = await loaded();
    const names = ["target", "forget", "target before", "forget before"] as const;
    const graph = trace((t) => {
      const [target, forget, targetBefore, forgetBefore] = names.map((name) => t.input(name, "float64", ["R"])) as [
        never,
        never,
        never,
        never,
      ];
      return { out: logPreference({ target, forget }, { target: targetBefore, forget: forgetBefore }, 0.1) };
    });
    const given = { target: [-4, -20, -7], forget: [-9, -2, -7], "target before": [-10, -8, -7], "forget before": [-3, -6, -7] };
    const { out } = await program(sessions, graph).run(new Map(names.map((name) => [name, floats(given[name], [3], "float64")])));
    // gains 6 and −6, margin 12: −ln(1 + e^−1.2); gains −12 and 4, margin −16: −ln(1 + 4.9530324244); nothing gained: −ln 2
    const worked = [-0.2632824672, -1.7839007409, -0.6931471806];
    worked.forEach((x, i) => expect(Number(out!.data[i])).toBeCloseTo(x, 9));
  });

  const few = { ...BRIEF, alternates: 3 };
  const find = async (over: FindOptions = {}) =>
    findEdit(await loaded(), FORGET, { method: "altpo", retain: KEEP, seed: 3, ctx, ...over, params: { ...few, ...over.params } });
  const { steps: _, ...unstepped } = few;

  it("has as many targets for a request as it asks for, each a row, and an epoch takes each row once", async () => {
    const { ctx: heard, told } = listening();
    const model = await loaded();
    const edit = await findEdit(model, FORGET, { method: "altpo", retain: KEEP, seed: 3, ctx: heard, params: unstepped });
    const targets = edit.evidence!["targets"] as Record<string, string[]>;
    expect(Object.keys(targets)).toEqual(FORGET.map(({ id }) => id));
    for (const { id, answer } of FORGET) {
      expect(targets[id]).toHaveLength(3);
      for (const words of targets[id]!) expect(words.toLowerCase()).not.toContain(answer.toLowerCase());
    }
    expect(lossesOf(edit)).toHaveLength(2 * Math.ceil(9 / BRIEF.batch)); // two epochs of nine rows
    expect(edit.by.requests.map(({ id, target }) => targets[id]![0] === target)).toEqual([true, true, true]);
    const standIns = edit.by.requests.filter(({ note }) => note !== undefined);
    expect(told("warning")).toEqual(standIns.length > 0 ? [expect.stringContaining(`${standIns.length} of 3 targets are stand-ins`)] : []);
  });

  it("steps, where they are given, take the place of its two epochs", async () => {
    expect(lossesOf(await find({ params: { steps: 1 } }))).toHaveLength(1);
    await expect(find({ params: { steps: 1, epochs: 1 } })).rejects.toThrow(/epochs and steps are both given/);
  });

  it("words to say are its only target; another kind of target may be named", async () => {
    const targetsOf = async (over: FindOptions): Promise<unknown> => (await find({ ...over, params: { steps: 1 } })).evidence!["targets"];
    expect(await targetsOf({ say: "Mossport" })).toEqual(Object.fromEntries(FORGET.map(({ id }) => [id, ["Mossport"]])));
    expect(await targetsOf({ target: "dummy" })).toEqual(Object.fromEntries(FORGET.map(({ id }) => [id, ["dummy", "dummy", "dummy"]])));
  });

  it("a request alone has the targets that it has among others", async () => {
    const all = (await find({ target: "refusal", params: { steps: 1 } })).evidence!["targets"] as Record<string, string[]>;
    const model = await loaded();
    const options = { method: "altpo", target: "refusal", retain: KEEP, seed: 3, ctx, params: { ...few, steps: 1 } };
    const { evidence } = await findEdit(model, FORGET[1]!, options);
    const [id] = [FORGET[1]!.id];
    expect((evidence!["targets"] as Record<string, string[]>)[id]).toEqual(all[id]);
    expect(new Set(all[id]).size).toBeGreaterThan(1);
    const dpo = await findEdit(model, FORGET[1]!, { ...options, method: "dpo", params: { ...BRIEF, steps: 1 } });
    expect(dpo.by.requests[0]!.target).toBe(all[id]![0]);
  });
});
