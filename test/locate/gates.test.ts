/** Gates: by keys with a sentence encoder, by words without; calibrated on what must stay. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, it } from "vitest";
import { type Context, defaultContext } from "../../src/base/context.ts";
import { requestOf } from "../../src/data/request.ts";
import { nearness } from "../../src/edit/word-gate.ts";
import { type Calibration, gatesOf } from "../../src/locate/gates.ts";
import { ownEncoder } from "../../src/model/encoders.ts";
import { load } from "../../src/model/load.ts";

const aimed = (prompt: string, subject = "") => ({ ...requestOf({ id: prompt, prompt, subject }), target: null });
const kept = (...questions: string[]) => questions.map((question, i) => ({ id: `${i}`, question, answer: "" }));
const NORVANE = aimed("What is the capital of Norvane?", "Norvane");
const WHERE = { share: 0.4, above: 0 };

describe("gates", () => {
  const folder = mkdtempSync(join(tmpdir(), "lethe-gates-"));
  const ctx: Context = defaultContext({ cache: folder });
  const model = load("bundled", ctx);
  afterAll(async () => {
    await (await model).release();
    rmSync(folder, { recursive: true, force: true });
  });
  const job = async (over: Partial<Calibration> = {}): Promise<Calibration> => {
    const m = await model;
    return { model: m, requests: [NORVANE], retain: [], encoder: ownEncoder(m), seed: 0, ctx, ...over };
  };

  it("are keys and cosines with a sentence encoder", async () => {
    const own = ownEncoder(await model);
    const encoder = { id: "sentences@0123456789abcdef", embed: own.embed };
    const { by, entries, nearest, on } = await gatesOf(await job({ encoder, retain: kept("What is the capital of Veyra?") }), WHERE);
    expect([by, on]).toEqual([encoder.id, { questions: 1, from: "retain" }]);
    expect(entries[0]!.key).toEqual(await own.embed([NORVANE.prompt], ctx));
    expect(entries[0]).not.toHaveProperty("words");
    expect(nearest[0]).toBeGreaterThan(0.5);
    expect(entries[0]!.above).toBeCloseTo(nearest[0]! + 0.4 * (1 - nearest[0]!), 12);
  });

  it("are words without one, and as wide as the share where no question that stays names the subject", async () => {
    const gates = await gatesOf(await job({ retain: kept("What is the capital of Veyra?") }), WHERE);
    expect(gates).toEqual({
      by: "words:1",
      entries: [{ words: { question: NORVANE.prompt, subject: "Norvane" }, above: 0.4 }],
      nearest: [0],
      on: { questions: 1, from: "retain" },
    });
    expect((await gatesOf(await job(), { share: 0.4, above: 0.9 })).entries[0]!.above).toBe(0.9);
  });

  it("stand between the own question and the nearest that stays; one that is the same is told", async () => {
    const told: string[] = [];
    const quiet: Context = { ...ctx, log: (e) => void (e.kind === "warning" && told.push(e.text)) };
    const stays = "What is the old capital of Norvane?";
    const { entries, nearest } = await gatesOf(await job({ retain: kept(stays, "Who rules Norvane?"), ctx: quiet }), WHERE);
    const near = nearness(entries[0]!.words!, stays);
    expect(near).toBeGreaterThan(0.4);
    expect([nearest[0], entries[0]!.above]).toEqual([near, near + 0.4 * (1 - near)]);
    expect(told).toEqual([]);
    const twin = await gatesOf(await job({ retain: kept("what is the capital of norvane"), ctx: quiet }), WHERE);
    expect(twin.entries[0]!.above).toBeLessThan(1); // the own question passes whatever stays
    expect(told.join()).toMatch(/What is the capital of Norvane\?: a question whose answer must not change is almost the same/);
  });

  it("take the subject that is given, or the one that the spelling shows where the question does not name it", async () => {
    const subjects = async (...requests: ReturnType<typeof aimed>[]): Promise<string[]> =>
      (await gatesOf(await job({ requests, retain: kept("Hello!") }), WHERE)).entries.map(({ words }) => words!.subject);
    expect(
      await subjects(
        NORVANE,
        aimed("Who rules Veyra?"),
        aimed("Who rules Veyra?", "Norvane"),
        aimed("Who rules VEYRA now?", "Veyra"),
        aimed("what is rain?"),
        aimed("Who are you?", "you"),
      ),
    ).toEqual(["Norvane", "Veyra", "Veyra", "Veyra", "", ""]);
  });

  it("compare words by how rare they are where there is no subject, and ask for more", async () => {
    const retain = kept("what is snow?", "how long does snow last?", "when does it snow?");
    const { entries } = await gatesOf(await job({ requests: [aimed("what is soft snow?")], retain }), WHERE);
    expect(entries[0]!.words!.telling).toEqual({ snow: 0.05 });
    expect(entries[0]!.above).toBeGreaterThanOrEqual(0.75);
    const own = await gatesOf(await job({ requests: [aimed("what is rain?")] }), WHERE);
    expect(own.on.from).toBe("self");
    expect(own.on.questions).toBeGreaterThan(0);
  });
});
