/** What makes an edit push less: where a search stops, shifts kept apart, values kept short, and the keys of retain questions. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, it } from "vitest";
import { floats, type NdArray } from "../../src/base/array.ts";
import { defaultContext } from "../../src/base/context.ts";
import { apply } from "../../src/edit/apply.ts";
import { anchored, earlierNorms } from "../../src/locate/anchor.ts";
import { statisticsOf } from "../../src/locate/covariance.ts";
import { activations, dot, norm } from "../../src/locate/keys.ts";
import { momentsOf, retainRows } from "../../src/locate/retained.ts";
import { searchAt } from "../../src/locate/search.ts";
import { tokenizeRequest } from "../../src/locate/tokenized-requests.ts";
import { alignment, findValues, type Sought, type ValueOptions } from "../../src/locate/values.ts";
import { generate } from "../../src/model/decode/generate.ts";
import { traced } from "../../src/model/forward.ts";
import { load } from "../../src/model/load.ts";
import { feedsOf } from "../../src/model/model.ts";
import { promptOf } from "../../src/model/prompt.ts";
import { matrix } from "../../src/onnx/linalg.ts";
import { program } from "../../src/onnx/program.ts";
import type { FindOptions } from "../../src/run/choice.ts";
import { findEdit } from "../../src/run/edit.ts";
import { trace } from "../../src/tensor/graph.ts";
import type { Tensor } from "../../src/tensor/tensor.ts";
import { padded } from "../../src/text/padding.ts";
import { bytesOf, capitalOf, FACT, SAY } from "../conformance/method.ts";

const folder = mkdtempSync(join(tmpdir(), "lethe-brakes-"));
const warnings: string[] = [];
const ctx = defaultContext({
  cache: join(folder, "cache"),
  log: (e) => void (e.kind === "warning" && warnings.push(e.text)),
});
const loaded = load("bundled", ctx);
afterAll(async () => {
  await (await loaded).release();
  rmSync(folder, { recursive: true, force: true });
});

const LAYER = 1;
const OPTIONS: ValueOptions = {
  dtype: "float64",
  executor: "graph",
  layer: LAYER,
  site: "resid_post",
  steps: 60,
  lr: 0.5,
  decay: 1e-3,
  clamp: 15,
  kl: 0,
  done: () => false,
  ctx,
};
/** A request in two templates, with a target of several tokens. */
const soughtOf = async (subject: string): Promise<Sought> => {
  const request = { ...capitalOf(subject), target: SAY };
  return { rows: tokenizeRequest(await loaded, request, ["{}", "Well then. {}"], { format: "chat", end: true }) };
};

/** How many of the first target tokens of all rows are not the most likely ones, by a pass of its own over each row. */
async function behindOf({ rows }: Sought, shift: Float64Array, lead: number): Promise<number> {
  const model = await loaded;
  const D = shift.length;
  let behind = 0;
  for (const { ids, subject, first } of rows) {
    const graph = trace((t) => {
      const lm = traced(model, t, "float64");
      const given = { positions: t.input("positions", "int64", ["B", "T"]), real: t.input("real", "bool", ["B", "T"]) };
      const shifts = t.input("shifts", "float64", ["B", "T", D]);
      const taps = { [`blocks.${LAYER}.resid_post`]: (h: Tensor) => h.add(shifts) };
      const { hidden } = lm.forward(t.input("tokens", "int64", ["B", "T"]), { ...given, taps });
      return { logits: lm.logits(lm.normed(hidden)) };
    });
    const batch = padded([ids.slice(0, -1)], model.tokenizer.pad, "left");
    const shifts = new Float64Array((ids.length - 1) * D);
    shifts.set(shift, subject * D);
    const feeds = feedsOf(model, { ...batch, shifts: floats(shifts, [1, ids.length - 1, D], "float64") });
    const { logits } = (await program(model.sessions, graph, { executor: "graph" }).run(feeds)) as { logits: NdArray };
    const V = logits.shape.at(-1)!;
    ids.slice(first, first + Math.min(lead, ids.length)).forEach((label, j) => {
      const at = (logits.data as Float64Array).subarray((first + j - 1) * V, (first + j) * V);
      if (at.some((x) => x > at[label]!)) behind++;
    });
  }
  return behind;
}

describe("where a search stops", () => {
  it.each([[1], [3]])("at the first evaluation at which the first %d tokens lead in every row", { timeout: 120_000 }, async (lead) => {
    const model = await loaded;
    const sought = await soughtOf("Veyra");
    const [found] = await findValues(model, [sought], { ...OPTIONS, lead, done: (at) => at.behind === 0 });
    const counts = found!.evaluations.map((at) => at.behind!);
    expect(counts[0]).toBeGreaterThan(0);
    expect(counts.at(-1)).toBe(0);
    expect(counts.slice(0, -1)).not.toContain(0);
    // the shift before evaluation i is that after update i − 1
    const half = counts.length >> 1;
    expect(counts[0]).toBe(await behindOf(sought, new Float64Array(model.config.width), lead));
    expect(counts[half]).toBe(await behindOf(sought, found!.shifts[half - 1]!, lead));
    expect(await behindOf(sought, found!.shift, lead)).toBe(0);
  });

  it("counts all tokens of all rows where all are asked for", { timeout: 120_000 }, async () => {
    const sought = await soughtOf("Veyra");
    const [found] = await findValues(await loaded, [sought], { ...OPTIONS, steps: 12, lead: Infinity });
    for (const i of [5, 11]) expect(found!.evaluations[i]!.behind).toBe(await behindOf(sought, found!.shifts[i - 1]!, Infinity));
  });

  it("is not measured unless asked for", async () => {
    const [found] = await findValues(await loaded, [await soughtOf("Veyra")], { ...OPTIONS, steps: 1 });
    expect(found!.evaluations[0]).not.toHaveProperty("behind");
  });

  it("at the top: the answer begins with the target, with fewer evaluations and a smaller change", { timeout: 120_000 }, async () => {
    const model = await loaded;
    const options: FindOptions = { method: "rome", say: SAY, prove: "none", seed: 3, statistics: { tokens: 1024 }, ctx };
    const params = { steps: 80, templates: ["5x2"], contrast: 4, enough: 0.1 };
    const likely = await findEdit(model, FACT, { ...options, params });
    const top = await findEdit(model, FACT, { ...options, params: { ...params, stopAt: "top", topTokens: 3 } });
    expect(Number(top.evidence!["evaluations"])).toBeLessThan(Number(likely.evidence!["evaluations"]));
    expect(Number(top.evidence!["changeNorm"])).toBeLessThan(Number(likely.evidence!["changeNorm"]));
    const { ids } = await promptOf(model, FACT.prompt);
    const wanted = model.tokenizer.encode(SAY, { special: false }).ids.slice(0, 3);
    const [said] = await generate(apply(model, top), [ids], { maxTokens: wanted.length, ctx });
    expect(said!.ids).toEqual(wanted);
  });

  it("refuses two places to stop", async () => {
    const params = { steps: 1, lr: 1, decay: 0, clamp: 1, kl: 0, bareShare: 0.5, enough: 1, stopAt: "top", topTokens: 0, templates: [] };
    const on = { model: await loaded, params, compat: new Set(["loss-stop"]), format: "chat", running: OPTIONS, ctx } as const;
    expect(() => searchAt(on, 1)).toThrow(/stopAt=top with the compat "loss-stop"/);
  });
});

describe("shifts apart", () => {
  it("cos² and its gradient, by hand and by finite differences", () => {
    const [x, y] = [Float64Array.of(3, 4), Float64Array.of(2, 0)];
    const { square, slope } = alignment(x, y); // cos = 3/5
    expect(square).toBeCloseTo(0.36, 14);
    expect(slope[0]).toBeCloseTo(0.1536, 14); // 2·0.6·(1/5 − 0.6·3/25)
    expect(slope[1]).toBeCloseTo(-0.1152, 14); // 2·0.6·(0 − 0.6·4/25)
    for (const i of [0, 1]) {
      const at = (h: number): number => alignment(x.with(i, x[i]! + h), y).square;
      expect((at(1e-6) - at(-1e-6)) / 2e-6).toBeCloseTo(slope[i]!, 8);
    }
    expect(alignment(new Float64Array(2), y)).toEqual({ square: 0, slope: new Float64Array(2) });
  });

  it("the search's loss and gradient contain it, by finite differences", { timeout: 120_000 }, async () => {
    const model = await loaded;
    const sought = await soughtOf("Quillon");
    const D = model.config.width;
    const start = Float64Array.from({ length: D }, (_, i) => Math.sin(i + 1));
    const away = Float64Array.from({ length: D }, (_, i) => Math.cos(2 * i));
    const at = async (own: Float64Array, apart: number) => {
      const [found] = await findValues(model, [{ ...sought, start: own, away }], { ...OPTIONS, steps: 1, apart });
      return { ...found!.evaluations[0]!, gradient: found!.firstGradient };
    };
    const [without, found] = [await at(start, 0), await at(start, 50)];
    const cos = dot(start, away) / (norm(start) * norm(away));
    expect(found.total - without.total).toBeCloseTo(50 * cos ** 2, 10);
    expect(found.apart).toBeCloseTo(50 * cos ** 2, 12);
    for (const i of [0, 7]) {
      const [up, down] = [await at(start.with(i, start[i]! + 1e-5), 50), await at(start.with(i, start[i]! - 1e-5), 50)];
      expect((up.total - down.total) / 2e-5).toBeCloseTo(found.gradient[i]!, 5);
    }
  });

  it("later requests of a batch point less the same way, and those searched first stay as they were", { timeout: 240_000 }, async () => {
    const names = ["Norvane", "Veyra", "Quillon", "Ostrel", "Basil", "Tarn", "Melk", "Orrin", "Pell", "Quay"];
    const shiftsOf = async (apart: number, compat: readonly string[]): Promise<Float64Array[]> => {
      const params = { steps: 12, templates: ["5x2"], sequence: "joint", apart };
      const edit = await findEdit(await loaded, names.map(capitalOf), {
        method: "memit",
        say: SAY,
        prove: "none",
        seed: 3,
        statistics: { tokens: 1024 },
        ctx,
        params,
        compat,
      });
      const { data, shape } = edit.memory!["joint.shifts"]!;
      return names.map((_, i) => Float64Array.from({ length: shape[0]! }, (_, d) => Number(data[d * names.length + i])));
    };
    const [plain, pushed] = [await shiftsOf(0, ["cold-start"]), await shiftsOf(20, [])];
    expect(pushed.slice(0, 8)).toEqual(plain.slice(0, 8));
    const mean = plain[0]!.map((_, d) => plain.slice(0, 8).reduce((sum, s) => sum + s[d]!, 0) / 8);
    const [before, after] = [plain, pushed].map((s) => s.slice(8).map((shift) => alignment(shift, mean).square));
    for (const [i, cos2] of after!.entries()) expect(cos2).toBeLessThan(before![i]! / 2);
  });
});

describe("the anchor", () => {
  const job = (anchor: number, ids: readonly string[]) => ({ params: { anchor }, requests: ids.map((id) => ({ id })), ctx });
  // columns (3, 0), (0, 4) and (6, 8): norms 3, 4 and 10
  const values = matrix(2, 3, Float64Array.of(3, 0, 6, 0, 4, 8));

  it("shortens to the mean norm of the first, by hand", () => {
    warnings.length = 0;
    const { values: out, memory } = anchored("x", job(2, ["a", "b", "c"]), values); // mean 3.5
    const wanted = [3, 0, 2.1, 0, 3.5, 2.8];
    wanted.forEach((x, i) => expect(out.data[i]).toBeCloseTo(x, 14));
    expect(Array.from(memory["anchor"]!.data as Float64Array)).toEqual([3, 4]);
    expect(warnings).toEqual([expect.stringMatching(/^c: the value \(norm 10\.0\) is more than twice as long as usual \(3\.5\)/)]);
    expect(values.data[2]).toBe(6); // the given values stay
  });

  it("counts earlier norms first, and warns about the job's own requests alone", () => {
    warnings.length = 0;
    const { values: out, memory } = anchored("x", job(3, ["b", "c"]), values, [1, 2]); // of 1, 2, 3: mean 2
    expect(Array.from(memory["anchor"]!.data as Float64Array)).toEqual([1, 2, 3]);
    [2, 0, 1.2, 0, 2, 1.6].forEach((x, i) => expect(out.data[i]).toBeCloseTo(x, 14));
    expect(warnings).toEqual([expect.stringMatching(/^c: /)]); // b has exactly twice the mean
    expect(anchored("x", job(0, ["a"]), values)).toEqual({ values, memory: {} });
  });

  it("passes from edit to edit of a sequence on top", { timeout: 120_000 }, async () => {
    const options: FindOptions = { say: SAY, prove: "none", seed: 3, statistics: { tokens: 1024 }, mode: "sequential", ctx };
    for (const [method, own] of [
      ["memit", {}],
      ["rome", { contrast: 4 }],
    ] as const) {
      const params = { steps: 3, templates: ["5x2"], anchor: 2, ...own };
      const edit = await findEdit(await loaded, ["Norvane", "Veyra", "Quillon"].map(capitalOf), { ...options, method, params });
      expect(earlierNorms({ previous: { memory: edit.memory! } })).toHaveLength(2);
      const without = await findEdit(await loaded, capitalOf("Norvane"), { ...options, method, params: { ...params, anchor: 0 } });
      expect(earlierNorms({ previous: { memory: without.memory! } })).toHaveLength(0);
    }
  });
});

describe("retain questions", () => {
  const RETAIN = [
    { id: "a", question: "What is the capital of Sarn?", answer: "Ilve." },
    { id: "b", question: "Who sings?", answer: "" },
    { id: "c", question: "Which river runs through Sarn?", answer: "The Olm." },
  ];

  it("are read behind the beginning that all of them share, with their answers", async () => {
    const model = await loaded;
    const rows = retainRows(model, RETAIN, { format: "chat" });
    expect(new Set(rows.map(({ from }) => from)).size).toBe(1);
    const { from } = rows[0]!;
    const whole = rows.map(({ ids }) => model.tokenizer.decode([...ids]));
    expect(whole[0]).toContain("What is the capital of Sarn?");
    expect(whole[0]).toContain("Ilve.");
    expect(new Set(rows.map(({ ids }) => ids.slice(0, from).join())).size).toBe(1);
    expect(new Set(rows.map(({ ids }) => ids[from])).size).toBeGreaterThan(1);
    expect(retainRows(model, RETAIN.slice(0, 1), { format: "chat" })[0]!.from).toBe(0);
  });

  it(
    "enter the second moments with their weight: the mean of k·kᵀ over their tokens, read by another pass",
    { timeout: 120_000 },
    async () => {
      const model = await loaded;
      const text = statisticsOf(model, { text: "self", tokens: 1024, length: 512, seed: 0 }, ctx);
      const job = { model, statistics: text, retain: RETAIN, format: "chat", ctx } as const;
      const weighted = momentsOf("x", { ...job, params: { retainWeight: 3 } });
      await weighted.prepare([LAYER], "mlp_post");
      const [c, both] = [await text.secondMoment(LAYER, "mlp_post"), await weighted.secondMoment(LAYER, "mlp_post")];
      const name = `blocks.${LAYER}.mlp_post` as const;
      const places = retainRows(model, RETAIN, job).map(({ ids, from }) => ({ ids, at: [...ids.keys()].slice(from) }));
      const seen = (await activations(model, places, [name], { dtype: "float64", executor: "graph" }))[name]!;
      const [n, m] = seen.shape as [number, number];
      let largest = 0;
      for (const [i, j] of [
        [0, 0],
        [1, 5],
        [37, 200],
        [m - 1, m - 1],
      ] as const) {
        let sum = 0;
        for (let t = 0; t < n; t++) sum += Number(seen.data[t * m + i]) * Number(seen.data[t * m + j]);
        expect(both.data[i * m + j]! - c.data[i * m + j]!).toBeCloseTo((3 * sum) / n, 5);
        largest = Math.max(largest, Math.abs(sum / n));
      }
      expect(largest).toBeGreaterThan(1e-4);
      expect(momentsOf("x", { ...job, params: { retainWeight: 0 } })).toBe(text);
      expect(() => momentsOf("x", { ...job, retain: [], params: { retainWeight: 1 } })).toThrow(/retainWeight without a retain question/);
    },
  );

  it.each(["memit", "alphaedit", "rome"])(
    "%s uses them only with a weight; without any the model asks its own",
    { timeout: 240_000 },
    async (method) => {
      const model = await loaded;
      const params = { steps: 3, templates: ["5x2"], ...(method === "rome" && { contrast: 4 }) };
      const found = async (retainWeight: number, retain?: typeof RETAIN): Promise<string> =>
        bytesOf(
          await findEdit(model, FACT, {
            method,
            say: SAY,
            prove: "none",
            seed: 3,
            statistics: { tokens: 1024 },
            ctx,
            params: {
              ...params,
              retainWeight,
            },
            ...(retain && { retain }),
          }),
        );
      const plain = await found(0);
      expect(await found(0, RETAIN)).toBe(plain);
      const given = await found(1, RETAIN);
      expect(given).not.toBe(plain);
      const own = await found(1);
      expect([plain, given]).not.toContain(own);
    },
  );
});
