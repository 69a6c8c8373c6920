/** WISE: what every method shows; shards, merges, and answers that survive a file, a cache and company. */
import { mkdtempSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, it } from "vitest";
import { defaultContext } from "../../src/base/context.ts";
import { bytesOf } from "../../src/edit/edit.ts";
import type { AnyMethod } from "../../src/methods/method.ts";
import { wise } from "../../src/methods/wise/wise.ts";
import { load } from "../../src/model/load.ts";
import { findEdit } from "../../src/run/edit.ts";
import { answersOf, OTHER, REFUSAL } from "../conformance/adapter.ts";
import { conforms, FACT } from "../conformance/method.ts";

const params = { steps: 30, layer: 3, locality: 64, margins: [1, 4, 2] };
conforms(wise as unknown as AnyMethod, { params, readWhen: { merge: { retrieve: false, shard: 1, period: 1 } } });

describe("wise", () => {
  const ctx = defaultContext();
  const loaded = load("bundled", ctx);
  const folder = mkdtempSync(join(tmpdir(), "lethe-wise-"));
  afterAll(async () => {
    await (await loaded).release();
    rmSync(folder, { recursive: true, force: true });
  });
  const options = { method: "wise", say: REFUSAL, params: { ...params, steps: 60 }, ctx };

  it.each(["retrieve", "merge"])("%s: answers from a file, with a cache, in company, as before", async (mode) => {
    const model = await loaded;
    const edit = await findEdit(model, [FACT, OTHER], {
      ...options,
      params: { ...options.params, retrieve: mode === "retrieve", shard: 1, period: 2 },
    });
    const path = join(folder, mode);
    const { base, edited } = await answersOf(model, edit, path);
    expect(edited[0]!.ids).not.toEqual(base[0]!.ids);
    const unmoved = edited.flatMap((g, i) => (i >= 2 && g.ids.join() === base[i]!.ids.join() ? [i] : []));
    expect(unmoved.length).toBeGreaterThanOrEqual(5);
    // a bit an entry, and a fifth of the entries for each shard
    expect(statSync(path).size).toBeLessThan(0.75 * bytesOf(edit));
  });

  it("goes on from an earlier edit, whatever shard it stands in", async () => {
    const model = await loaded;
    for (const shard of [1, 2]) {
      const both = await findEdit(model, [FACT, OTHER], { ...options, params: { ...params, steps: 3, shard, period: 2 * shard } });
      if (both.change.kind !== "adapter") throw new Error("an adapter");
      expect(Object.keys(both.change.state).sort()).toEqual(["shard0", "thresholds"]);
      expect(Number(both.memory!["counts"]!.data[0])).toBe(2);
    }
  });

  it("keeps strangers of every edit of a sequence, as many as were asked for", async () => {
    const model = await loaded;
    const kept = async (strangers: number): Promise<number> => {
      const both = await findEdit(model, [FACT, OTHER], { ...options, params: { ...params, steps: 3, strangers } });
      return Object.keys(both.memory!).filter((name) => name.startsWith("strangers.")).length;
    };
    expect(await kept(3)).toBe(6);
    expect(await kept(0)).toBe(0);
  });

  it("refuses margins and periods that make no sense", async () => {
    const model = await loaded;
    await expect(findEdit(model, FACT, { ...options, params: { margins: [1, 2] } })).rejects.toThrow(/margins of 2/);
    await expect(findEdit(model, FACT, { ...options, params: { shard: 2, period: 3 } })).rejects.toThrow(/period 3/);
    await expect(findEdit(model, FACT, { ...options, params: { layer: 99 } })).rejects.toThrow(/layer 99/);
  });
});
