/** Bad input of every method: what is said, whom it names, and that what was finished is kept. */
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, it } from "vitest";
import { type Context, defaultContext, type Event } from "../../src/base/context.ts";
import { readLines } from "../../src/base/store.ts";
import type { ForgetRequest } from "../../src/data/request.ts";
import type { MadeFor } from "../../src/edit/edit.ts";
import { matrix } from "../../src/onnx/linalg.ts";
import { registry } from "../../src/methods/registry.ts";
import { load } from "../../src/model/load.ts";
import type { FindOptions } from "../../src/run/choice.ts";
import { findEdit, findEdits } from "../../src/run/edit.ts";
import { capitalOf, SAY } from "../conformance/method.ts";

const methods = Object.values(registry);
const [NORVANE, VEYRA, QUILLON] = ["Norvane", "Veyra", "Quillon"].map(capitalOf) as [ForgetRequest, ForgetRequest, ForgetRequest];

describe("bad input", () => {
  const folder = mkdtempSync(join(tmpdir(), "lethe-bad-"));
  const ctx = defaultContext();
  const loaded = load("bundled", ctx);
  afterAll(async () => {
    await (await loaded).release();
    rmSync(folder, { recursive: true, force: true });
  });
  /** What each need is met with; few steps, since nothing here is about how well it works. */
  const met = (method: string, over: FindOptions = {}): FindOptions => ({
    method,
    say: SAY,
    retain: [{ id: "me", question: "Who are you?", answer: "A model." }],
    demonstrations: [capitalOf("Ostrand"), capitalOf("Tharn")].map((r) => ({ ...r, answer: "Basil" })),
    statistics: { tokens: 512 },
    ctx,
    ...over,
    params: { ...("steps" in registry[method as keyof typeof registry].params && { steps: 2 }), ...over.params },
  });
  const listening = (): { heard: string[]; ctx: Context } => {
    const heard: string[] = [];
    return { heard, ctx: { ...ctx, log: (e: Event) => void (e.kind === "warning" && heard.push(e.text)) } };
  };

  it.each(methods.map((m) => m.name))("%s: an empty target, and requests that contradict each other", async (name) => {
    const model = await loaded;
    await expect(findEdit(model, NORVANE, met(name, { say: "  " }))).rejects.toThrow(/empty target/);
    if (!registry[name as keyof typeof registry].needs.some((need) => need === "target")) return;
    const { say: _, ...unsaid } = met(name, { target: "refusal" });
    // drawn by request, so that one question is to have two answers
    await expect(findEdits(model, [NORVANE, { ...NORVANE, id: "again" }], unsaid)).rejects.toThrow(
      /requests norvane and again ask "What is the capital of Norvane\?" and want ".+" and ".+"; wanted one answer/,
    );
  });

  it.each(methods.filter((m) => m.needs.includes("subject")).map((m) => m.name))(
    "%s: a subject that is not there is refused, one that repeats is said",
    async (name) => {
      const model = await loaded;
      await expect(findEdit(model, { ...NORVANE, subject: "Basil" }, met(name))).rejects.toThrow(/"Basil" is not in prompt .*norvane/);
      const { heard, ctx } = listening();
      const twice = { ...NORVANE, prompt: "In Norvane, what is the capital of Norvane?" };
      await findEdit(model, twice, { ...met(name), ctx });
      expect(heard.some((text) => /norvane: "Norvane" stands 2 times/.test(text))).toBe(true);
    },
  );

  it.each(methods.filter((m) => "layer" in m.params || "layers" in m.params).map((m) => m.name))(
    "%s: a layer that does not exist",
    async (name) => {
      const params = "layer" in registry[name as keyof typeof registry].params ? { layer: 99 } : { layers: [99] };
      await expect(findEdit(await loaded, NORVANE, met(name, { params }))).rejects.toThrow(/99.*0 to 5/);
    },
  );

  it.each(methods.filter((m) => m.needs.includes("statistics")).map((m) => m.name))("%s: NaN in the statistics", async (name) => {
    const model = await loaded;
    const moments = {
      spec: { text: "self", tokens: 1, length: 1, seed: 0 },
      prepare: async () => {},
      secondMoment: async () => {
        const c = matrix(model.config.mlpWidth, model.config.mlpWidth);
        c.data.fill(NaN);
        return c;
      },
    };
    await expect(findEdit(model, NORVANE, met(name, { moments }))).rejects.toThrow(/NaN/);
    // a file of the cache that was damaged is made again
    const heard: string[] = [];
    const log: Context["log"] = (e) => void (e.kind === "warning" && heard.push(e.text));
    const own = { ...ctx, cache: join(folder, `cache-${name}`), log };
    const edit = await findEdit(model, NORVANE, { ...met(name), ctx: own });
    const statistics = join(own.cache, "statistics");
    const files = readdirSync(statistics).map((file) => [join(statistics, file), readFileSync(join(statistics, file))] as const);
    const [path, whole] = files[0]!;
    const bytes = Buffer.from(whole);
    bytes.writeDoubleLE(NaN, bytes.length - 16);
    writeFileSync(path, bytes);
    heard.splice(0);
    expect((await findEdit(model, NORVANE, { ...met(name), ctx: own })).id).toBe(edit.id);
    expect(heard.filter((text) => text.includes("a file of the statistics is damaged"))).toHaveLength(1);
    for (const [file, before] of files) expect(readFileSync(file).equals(before)).toBe(true);
  });

  // the methods that spread values over layers: they hold a key and a value of every request's subject at once
  it.each(methods.filter((m) => m.needs.includes("statistics") && m.needs.includes("subject") && "layers" in m.params).map((m) => m.name))(
    "%s: a batch beyond memory names the first request that is too many",
    async (name) => {
      const many = Array.from({ length: 40 }, (_, i) => ({ ...NORVANE, id: `r${i}`, prompt: `What, ${i}, is the capital of Norvane?` }));
      const small = { ...ctx, memory: "1.5MB" };
      await expect(findEdit(await loaded, many, { ...met(name), mode: "batch", ctx: small })).rejects.toThrow(
        /40 requests in a batch take about .* at most \d+, up to the one before r\d+/,
      );
    },
  );

  it("a request that fails in a sequence is named, and those before it are kept until it is mended", async () => {
    const model = await loaded;
    const journal = join(folder, "sequence");
    // it fits into the model's context of 512 tokens, but not behind a context template
    const long = { ...VEYRA, prompt: `${"and ".repeat(486)}${VEYRA.prompt}` };
    const options = met("rome", { mode: "sequential", journal });
    await expect(findEdit(model, [NORVANE, long, QUILLON], options)).rejects.toThrow(
      /request veyra \(2 of 3\): .*The 1 before it are kept/,
    );
    const lines = readLines(join(journal, "steps.jsonl")).slice(1) as { label: MadeFor }[];
    expect(lines.map(({ label }) => label.id)).toEqual(["norvane"]);
    const notes: string[] = [];
    const told = { ...ctx, log: (e: Event) => void (e.kind === "note" && notes.push(e.text)) };
    const mended = await findEdit(model, [NORVANE, VEYRA, QUILLON], { ...options, ctx: told });
    expect(notes).toContain("going on after 1 finished request");
    expect(mended.id).toBe((await findEdit(model, [NORVANE, VEYRA, QUILLON], met("rome", { mode: "sequential" }))).id);
    // another first request: nothing of the kept ones counts
    notes.length = 0;
    await findEdit(model, [QUILLON, NORVANE], { ...options, journal, ctx: told });
    expect(notes.filter((note) => note.startsWith("going on"))).toEqual([]);
  });
});
