/** hush: what every method shows; the gate against its formula in plain JavaScript; one shift for many facts; rows that later edits leave alone. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, it } from "vitest";
import { asFloats, floats, ints, type NdArray } from "../../src/base/array.ts";
import { defaultContext } from "../../src/base/context.ts";
import { rng } from "../../src/base/rng.ts";
import { resolveParams } from "../../src/base/schema.ts";
import { apply } from "../../src/edit/apply.ts";
import { type Carried, deltasOf, type Draft, type Edit } from "../../src/edit/edit.ts";
import { Sequence } from "../../src/edit/sequence.ts";
import { statisticsOf } from "../../src/locate/covariance.ts";
import { generatedQuestions } from "../../src/locate/generated-text.ts";
import { tokenizeRequest } from "../../src/locate/tokenized-requests.ts";
import { adapterOf, type Book, bookOf } from "../../src/methods/hush/book.ts";
import { admit, directionsOf, type HushParams, thresholdFor } from "../../src/methods/hush/gate.ts";
import { hush } from "../../src/methods/hush/hush.ts";
import { findShift } from "../../src/methods/hush/shift.ts";
import type { AnyMethod, Job } from "../../src/methods/method.ts";
import type { Adapter } from "../../src/model/adapter.ts";
import { generate } from "../../src/model/decode/generate.ts";
import { score } from "../../src/model/decode/score.ts";
import { load } from "../../src/model/load.ts";
import { type Model, withAdapter } from "../../src/model/model.ts";
import { promptWithoutEdits, stopsOf } from "../../src/model/prompt.ts";
import { runTraced } from "../../src/model/run-traced.ts";
import { gemmOn, matrix } from "../../src/onnx/linalg.ts";
import { program, type Running } from "../../src/onnx/program.ts";
import { findEdit } from "../../src/run/edit.ts";
import type { Tensor } from "../../src/tensor/tensor.ts";
import { answersOf, OTHER, REFUSAL } from "../conformance/adapter.ts";
import { capitalOf, conforms, FACT, SAY } from "../conformance/method.ts";

conforms(hush as unknown as AnyMethod, { params: { layer: 1, lr: 1, steps: 40, others: 16 } });

const ctx = defaultContext();
const loaded = load("bundled", ctx);
const folder = mkdtempSync(join(tmpdir(), "lethe-hush-"));
afterAll(async () => {
  await (await loaded).release();
  rmSync(folder, { recursive: true, force: true });
});
const params = { layer: 1, lr: 1, others: 16 };
const options = { method: "hush", say: REFUSAL, params, statistics: { tokens: 2048 }, ctx };

const noise = (seed: string, n: number): Float64Array => {
  const random = rng(seed);
  return Float64Array.from({ length: n }, () => 2 * random.uniform() - 1);
};
const dot = (a: ArrayLike<number>, b: ArrayLike<number>): number => Array.from(a).reduce((sum, x, i) => sum + x * b[i]!, 0);
const numbersOf = (array: NdArray): Float64Array => asFloats(array, "float64").data as Float64Array;
const rowsOf = (array: NdArray): Float64Array[] => {
  const width = array.shape.at(-1)!;
  const all = numbersOf(array);
  return Array.from({ length: all.length / width }, (_, i) => all.slice(i * width, (i + 1) * width));
};
const adapterIn = ({ change }: Pick<Draft, "change">): Adapter => {
  if (change.kind !== "adapter") throw new Error("an adapter");
  return change;
};

/**
 * The rule in words: of all pairs of a question's tokens and facts whose s reaches the fact's threshold, the largest; of equals the first
 * token, then the first fact.
 */
function decided(keys: readonly Float64Array[], asked: readonly boolean[], { facts }: Book): { token: number; fact: number } | undefined {
  let best: { token: number; fact: number; s: number } | undefined;
  for (const [token, key] of keys.entries())
    for (const [fact, { direction, threshold }] of facts.entries()) {
      const s = dot(direction, key);
      if (asked[token] && s >= threshold && (!best || s > best.s)) best = { token, fact, s };
    }
  return best;
}

describe("the gate", () => {
  it("a direction meets its own key with 1, and the others as M⁻¹ says", async () => {
    const m = 6;
    const [a, keys] = [noise("a", m * m), noise("k", 3 * m)];
    const moments = Float64Array.from({ length: m * m }, (_, at) => {
      const [i, j] = [Math.floor(at / m), at % m];
      return dot(a.slice(i * m, (i + 1) * m), a.slice(j * m, (j + 1) * m)) + (i === j ? 0.1 : 0);
    });
    const { sessions } = await loaded;
    const cold = defaultContext({ cache: join(folder, "factors") });
    for (const _ of ["made", "kept"]) {
      const u = rowsOf(await directionsOf(matrix(3, m, keys), matrix(m, m, moments.slice()), gemmOn(sessions), cold));
      for (const [i, own] of u.entries()) {
        const key = keys.slice(i * m, (i + 1) * m);
        expect(Math.abs(dot(own, key) - 1)).toBeLessThan(1e-9);
        // M·u is a multiple of k, without any solver
        const image = Array.from({ length: m }, (_, r) => dot(moments.slice(r * m, (r + 1) * m), own));
        for (let r = 1; r < m; r++) expect(image[r]! * key[0]! - image[0]! * key[r]!).toBeCloseTo(0, 9);
      }
    }
  });

  it.each([
    [0.2, 0.5, 0.6],
    [-1, 0.5, 0.5],
    [0.7, 0.5, 0.85],
    [0.1, 0.8, 0.8],
    [1.3, 0.5, 0.999], // the own question is always let in
  ])("others at %f with a floor of %f: a threshold of %f", (others, floor, threshold) =>
    expect(thresholdFor(others, floor)).toBeCloseTo(threshold, 12),
  );

  const book = (dtype: "float32" | "float64", model: Model, n = 3): Book => ({
    facts: Array.from({ length: n }, (_, i) => ({
      direction: Float64Array.from(
        asFloats(floats(noise(`u${i}`, model.config.mlpWidth), undefined, dtype), "float64").data as Float64Array,
      ),
      threshold: [5, 5.5, 6][i]!,
      value: [1, 0, 1][i]!,
    })),
    values: ["v0", "v1"].map((name, i) => ({ shift: noise(name, model.config.width), target: [i] })),
  });

  /** What the adapter gives for keys [B, T, m] and states [B, T, D]. */
  async function written(model: Model, adapter: Adapter, feeds: Record<string, NdArray>, running: Running): Promise<Float64Array[]> {
    const state = Object.entries(adapter.state).map(([name, array]) => [`state.${name}`, array] as const);
    const out = await program(model.sessions, adapter.graph, running).run(new Map([...Object.entries(feeds), ...state]));
    return rowsOf(out["write"]!);
  }

  /** Rows with a clear winner, with padding, with equal tokens, and with nothing that passes. */
  async function checked(dtype: "float32" | "float64", spoil: (adapter: Adapter) => Adapter = (a) => a): Promise<void> {
    const model = await loaded;
    const [B, T, m, D] = [5, 4, model.config.mlpWidth, model.config.width];
    const own = book(dtype, model);
    const along = (i: number, s: number): Float64Array => {
      const { direction } = own.facts[i]!;
      return direction.map((x) => (s * x) / dot(direction, direction));
    };
    const small = (name: string): Float64Array => noise(name, m).map((x) => x / 100);
    const keys = [
      [small("a"), along(0, 7), along(0, 9), small("b")], // the larger token
      [along(1, 50), along(1, 5.9), small("c"), along(0, 5.1)], // the first is no part of the question
      [small("d"), along(2, 8), along(2, 8), along(0, 7.9)], // equal tokens: the first
      [along(0, 4.9), along(1, 5.4), along(2, 5.9), small("e")], // each below its own threshold
      [along(2, 5.8), small("f"), along(0, 5.2), small("g")], // the largest s of all does not reach its threshold; another does
    ];
    const asked = keys.map((_, b) => Uint8Array.from({ length: T }, (_, t) => Number(!(b === 1 && t === 0) && !(b === 0 && t === 3))));
    const states = floats(noise("states", B * T * D), [B, T, D], dtype);
    const feeds = {
      "reads.0": floats(
        keys.flatMap((row) => row.flatMap((key) => Array.from(key))),
        [B, T, m],
        dtype,
      ),
      "reads.1": states,
      prompt: { dtype: "bool" as const, shape: [B, T], data: Uint8Array.from(asked.flatMap((row) => Array.from(row))) },
    };
    const adapter = spoil(adapterOf(model, own, 1, dtype));
    const got = await written(model, adapter, feeds, { dtype, executor: "graph" });
    const before = rowsOf(states);
    const all = rowsOf(feeds["reads.0"]);
    const winners = keys.map((_, b) => decided(all.slice(b * T, (b + 1) * T), Array.from(asked[b]!, Boolean), own));
    expect(winners.map((w) => w && [w.token, w.fact])).toEqual([[2, 0], [1, 1], [1, 2], undefined, [2, 0]]);
    for (let b = 0; b < B; b++)
      for (let t = 0; t < T; t++) {
        const [now, was, winner] = [got[b * T + t]!, before[b * T + t]!, winners[b]];
        if (winner?.token !== t) expect(now).toEqual(was);
        else {
          const shift = own.values[own.facts[winner.fact]!.value]!.shift;
          const off = Math.max(...now.map((x, d) => Math.abs(x - was[d]! - shift[d]!)));
          expect(off).toBeLessThan(dtype === "float64" ? 1e-12 : 1e-6);
        }
      }
  }

  it.each(["float32", "float64"] as const)(
    "the adapter is the formula in %s; other tokens and questions stay, bit for bit",
    async (dtype) => expect(checked(dtype)).resolves.toBeUndefined(),
  );

  it.each<[string, (state: Adapter["state"]) => Record<string, NdArray>]>([
    ["an ignored threshold", (state) => ({ ...state, thresholds: floats([-9, -9, -9], [3], "float64") })],
    ["one threshold for all", (state) => ({ ...state, thresholds: floats([5, 5, 5], [3], "float64") })],
    ["the value of another fact", (state) => ({ ...state, of: ints([0, 0, 1]) })],
    [
      "the direction of another fact",
      (state) => ({ ...state, directions: { ...state["directions"]!, data: numbersOf(state["directions"]!).toReversed() } }),
    ],
  ])("%s is noticed", async (_, damage) => {
    await expect(checked("float64", (adapter) => ({ ...adapter, state: damage(adapter.state) }))).rejects.toThrow(
      /expected .* to (deeply equal|be less than)/s,
    );
  });

  it.each<Running>([
    { dtype: "float64", executor: "graph" },
    { dtype: "float64", executor: "blocks" },
    { dtype: "float32", executor: "graph" },
    { dtype: "float32", executor: "blocks" },
  ])("inside the model it is the same, in $dtype by $executor", async (running) => {
    const model = await loaded;
    const layer = 1;
    const questions = [FACT.prompt, "Hello!", OTHER.prompt].map((text) => promptWithoutEdits(model, text).ids);
    const reading = (of: Model) =>
      runTraced(
        of,
        questions,
        (lm, tokens, given) => {
          const seen: { key?: Tensor; state?: Tensor } = {};
          const keep = (name: "key" | "state") => (h: Tensor) => (seen[name] = h);
          const { hidden } = lm.forward(tokens, {
            ...given,
            taps: { [`blocks.${layer}.mlp_post`]: keep("key"), [`blocks.${layer}.resid_post`]: keep("state") },
          });
          return { key: seen.key!, state: seen.state!, hidden };
        },
        running,
      );
    const base = await reading(model);
    const T = base.key.shape[1]!;
    const keys = rowsOf(base.key);
    const { subject } = tokenizeRequest(model, FACT, ["{}"], { end: false })[0]!;
    const own = keys[T - questions[0]!.length + subject]!; // rows are padded on the left
    const direction = own.map((x) => x / dot(own, own));
    const facts: Book = {
      facts: [{ direction, threshold: 0.97, value: 0 }],
      values: [{ shift: noise("v", model.config.width), target: [1] }],
    };
    const edited = await reading(withAdapter(model, adapterOf(model, facts, layer, running.dtype)));
    const [before, after] = [rowsOf(base.state), rowsOf(edited.state)];
    let hits = 0;
    for (const [b, ids] of questions.entries()) {
      const asked = Array.from({ length: T }, (_, t) => t >= T - ids.length);
      const winner = decided(keys.slice(b * T, (b + 1) * T), asked, facts);
      for (let t = 0; t < T; t++) {
        const [now, was] = [after[b * T + t]!, before[b * T + t]!];
        if (winner?.token !== t) expect(now).toEqual(was);
        else {
          hits++;
          expect(Math.max(...now.map((x, d) => Math.abs(x - was[d]! - facts.values[0]!.shift[d]!)))).toBeLessThan(
            running.dtype === "float64" ? 1e-12 : 1e-4,
          );
        }
      }
      const [whole, less] = [edited.hidden, base.hidden].map((h) => rowsOf(h).slice(b * T, (b + 1) * T));
      if (winner) expect(whole).not.toEqual(less);
      else expect(whole).toEqual(less); // untouched to the end, bit for bit
    }
    expect(hits).toBe(1);
  });
});

/** A job of the method itself, where each request has its own target. */
async function jobOf(more: Partial<Job<HushParams>>, over: object = {}): Promise<Job<HushParams>> {
  const model = await loaded;
  return {
    model,
    requests: [{ ...FACT, target: REFUSAL }],
    params: resolveParams("hush", hush.params, { ...params, ...over }, model.config),
    compat: new Set(),
    format: "chat",
    seed: 0,
    running: { dtype: "float32", executor: "graph" },
    ctx,
    statistics: statisticsOf(model, { text: "self", tokens: 2048, length: 512, seed: 0 }, ctx),
    ...more,
  };
}
const carried = (draft: Draft): Carried => ({ adapter: adapterIn(draft), memory: draft.memory! });
const says = async (model: Model, draft: Pick<Draft, "change">, questions: readonly string[]): Promise<string[]> => {
  const ids = questions.map((text) => promptWithoutEdits(model, text).ids);
  const edited = withAdapter(model, adapterIn(draft));
  return (await generate(edited, ids, { maxTokens: 12, stopIds: stopsOf(model), freeze: false })).map((g) => g.text);
};

describe("thresholds", () => {
  /** The largest s of a fact's direction at any token of a question, read without the method's own code. */
  const meeting = async (model: Model, question: string, direction: Float64Array, to = Infinity): Promise<number> => {
    const ids = promptWithoutEdits(model, question).ids.slice(0, to);
    const { key } = await runTraced(model, [ids], (lm, tokens, given) => {
      let key: Tensor | undefined;
      lm.forward(tokens, { ...given, taps: { "blocks.1.mlp_post": (h) => (key = h) } });
      return { key: key! };
    });
    return Math.max(...rowsOf(key).map((row) => dot(row, direction)));
  };

  it("are measured on the retain set at every token; what was measured is halfway to the own key", async () => {
    const model = await loaded;
    const questions = ["What is the capital of Quillon?", "Who rules Norvane?"];
    const retain = questions.map((question, i) => ({ id: `${i}`, question, answer: "" }));
    const job = await jobOf({ retain }, { others: 0 });
    const rows = tokenizeRequest(model, FACT, ["{}"], { end: true });
    const { book, others } = await admit(job, rows, { facts: [], values: [] }, { format: "chat", end: true });
    const { direction, threshold } = book.facts[0]!;
    const before = rows[0]!.subject + 1 - rows[0]!.width;
    const expected = Math.max(
      await meeting(model, questions[0]!, direction),
      await meeting(model, questions[1]!, direction),
      await meeting(model, FACT.prompt, direction, before),
    );
    expect(others[0]).toBeCloseTo(expected, 4);
    expect(threshold).toBeCloseTo(Math.max(0.5, (1 + others[0]!) / 2), 12);
    const less = await admit({ ...job, retain: [] }, rows, { facts: [], values: [] }, { format: "chat", end: true });
    expect(less.others[0]).toBeLessThan(others[0]!);
  });

  it("count substitute subjects and generated questions, but none that names the subject", async () => {
    const model = await loaded;
    const generated = await generatedQuestions(model, 64, 0, ctx);
    // the model asks for this capital by itself; without the last character it is another question with the same key
    const question = generated.find((q) => / capital of [A-Z]\w+\.$/.test(q))!;
    const request = { ...FACT, prompt: question.slice(0, -1), subject: question.slice(question.lastIndexOf(" ") + 1, -1) };
    const rows = tokenizeRequest(model, request, ["{}"], { end: true });
    const at = async (others: number) => {
      const job = await jobOf({ requests: [{ ...request, target: REFUSAL }] }, { others });
      return admit(job, rows, { facts: [], values: [] }, { format: "chat", end: true });
    };
    const [none, some] = [await at(0), await at(64)];
    expect(await meeting(model, question, some.book.facts[0]!.direction)).toBeGreaterThan(0.999);
    expect(some.others[0]).toBeGreaterThan(none.others[0]!);
    expect(some.others[0]).toBeLessThan(0.999);
  });

  it("may be given", async () => {
    const model = await loaded;
    const rows = tokenizeRequest(model, FACT, ["{}"], { end: true });
    const { book, others } = await admit(await jobOf({}, { threshold: 0.6 }), rows, { facts: [], values: [] }, { end: true });
    expect([book.facts[0]!.threshold, others]).toEqual([0.6, []]);
  });

  it("warn where another question meets the key as its own does", async () => {
    const model = await loaded;
    const told: string[] = [];
    const heard = {
      ...ctx,
      log: (event: { readonly kind: string }) => void (event.kind === "warning" && told.push(JSON.stringify(event))),
    };
    const retain = [{ id: "r", question: `${FACT.prompt} Please.`, answer: "" }];
    const job = await jobOf({ retain, ctx: heard as typeof ctx }, { others: 0 });
    const rows = tokenizeRequest(model, FACT, ["{}"], { end: true });
    const { book } = await admit(job, rows, { facts: [], values: [] }, { format: "chat", end: true });
    expect(told.join()).toMatch(/fact: another question meets its key as its own does/);
    expect(book.facts[0]!.threshold).toBe(0.999);
  });
});

describe("the shift", () => {
  /** One more than a mini-batch has. */
  const FIVE = ["Norvane", "Veyra", "Quillon", "Ostrel", "Canada"].map(capitalOf);

  it("is one for many requests, and its losses are those of the edited model", async () => {
    const model = await loaded;
    const job = await jobOf({ requests: FIVE.map((r) => ({ ...r, target: REFUSAL })) }, { layer: 0 });
    const rows = job.requests.map((r) => tokenizeRequest(model, r, ["{}"], { end: true })[0]!);
    const { book } = await admit(job, rows, { facts: [], values: [] }, { format: "chat", end: true });
    const search = { dtype: "float32", executor: "graph", layer: 0, lr: 0.5, enough: 0.6, ctx } as const;
    const found = await findShift(model, rows, { ...search, steps: 200 });
    expect(found.updates).toBeLessThan(200);
    expect(Math.max(...found.worst)).toBeLessThan(0.6);
    const whole: Book = {
      facts: book.facts.map((fact) => ({ ...fact, value: 0 })),
      values: [{ shift: found.shift, target: rows[0]!.ids.slice(rows[0]!.first) }],
    };
    const edited = withAdapter(model, adapterOf(model, whole, 0, "float32"));
    const logprobs = await score(
      edited,
      rows.map(({ ids, first }) => ({ ids, from: first })),
    );
    for (const [i, own] of logprobs.entries()) expect(Math.max(...own.map((p) => -p))).toBeCloseTo(found.worst[i]!, 2);
    // where every row is answered at once nothing is updated
    const again = await findShift(model, rows, { ...search, steps: 200, start: found.shift });
    expect([again.updates, again.shift]).toEqual([0, found.shift]);
  });

  it("stops at its last update, and refuses numbers that are none", async () => {
    const model = await loaded;
    const [row] = tokenizeRequest(model, { ...FACT, target: REFUSAL }, ["{}"], { end: true });
    const search = { dtype: "float32", executor: "graph", layer: 1, lr: 1, enough: 0, ctx } as const;
    expect((await findShift(model, [row!], { ...search, steps: 3 })).updates).toBe(3);
    const start = new Float64Array(model.config.width).fill(NaN);
    await expect(findShift(model, [row!], { ...search, steps: 3, start })).rejects.toThrow(/loss is NaN after 0 updates/);
  });
});

describe("hush", () => {
  it("answers from a file, with a cache, in company, as before; others say what the base says", async () => {
    const model = await loaded;
    const edit = await findEdit(model, [FACT, OTHER], { ...options, mode: "batch" });
    const { base, edited } = await answersOf(model, edit, join(folder, "edit"));
    expect(edited.slice(0, 2).map((g) => g.text)).toEqual([REFUSAL, REFUSAL]);
    expect(edited.slice(2).map((g) => g.ids)).toEqual(base.slice(2).map((g) => g.ids));
    const { values, of } = adapterIn(edit).state;
    expect([values!.shape[0], of!.data]).toEqual([1, BigInt64Array.of(0n, 0n)]); // one value for both
  });

  it("lets every question in when the threshold is ignored: the test above can fail", async () => {
    const model = await loaded;
    const edit = await findEdit(model, [FACT, OTHER], { ...options, mode: "batch" });
    const adapter = adapterIn(edit);
    const open: Edit = { ...edit, change: { kind: "adapter", ...adapter, state: { ...adapter.state, thresholds: floats([-9, -9]) } } };
    const { base, edited } = await answersOf(model, open, join(folder, "open"));
    expect(edited.slice(2).map((g) => g.ids)).not.toEqual(base.slice(2).map((g) => g.ids));
  });

  it("appends rows: what stood there stays bit for bit, and earlier answers token for token", async () => {
    const model = await loaded;
    const sequence = new Sequence(model);
    const drafts: Draft[] = [];
    for (const subject of ["Norvane", "Veyra", "Quillon"]) {
      const { previous } = sequence.upon;
      const job = await jobOf({ requests: [{ ...capitalOf(subject), target: REFUSAL }], ...(previous && { previous }) });
      const draft = await hush.edit(job);
      sequence.add(draft);
      drafts.push(draft);
    }
    const states = drafts.map((draft) => adapterIn(draft).state);
    for (const [earlier, later] of [states.slice(0, 2), states.slice(1)] as [Adapter["state"], Adapter["state"]][])
      for (const name of ["directions", "thresholds", "of", "values"]) {
        const { data } = earlier[name]!;
        expect(later[name]!.data.slice(0, data.length)).toEqual(data);
      }
    expect(states.map((state) => state["of"]!.data.length)).toEqual([1, 2, 3]);
    expect(drafts.map((draft) => (draft.evidence!["searches"] as object[]).length)).toEqual([1, 0, 0]); // found once, then taken over
    const questions = ["Norvane", "Veyra", "Quillon"].map((subject) => capitalOf(subject).prompt);
    const said = await Promise.all(drafts.map((draft) => says(model, draft, questions)));
    expect(said[2]).toEqual([REFUSAL, REFUSAL, REFUSAL]);
    expect(said[1]!.slice(0, 2)).toEqual(said[2]!.slice(0, 2));
    expect(said[0]![0]).toBe(said[2]![0]);
    expect(said[0]![1]).not.toBe(REFUSAL);
    expect(adapterIn(sequence.draft).state["directions"]).toEqual(states[2]!["directions"]);
  });

  it("finds a second target its own value, and takes it over later", async () => {
    const model = await loaded;
    const [two, three] = [capitalOf("Veyra"), capitalOf("Quillon")];
    const requests = [
      { ...FACT, target: SAY },
      { ...two, target: REFUSAL },
    ];
    const first = await hush.edit(await jobOf({ requests }, { polish: 0 }));
    expect(adapterIn(first).state["of"]!.data).toEqual(BigInt64Array.of(0n, 1n));
    expect(first.memory!["targets"]!.shape[0]).toBe(2);
    expect(await says(model, first, [FACT.prompt, two.prompt])).toEqual([SAY, REFUSAL]);
    const later = await hush.edit(await jobOf({ requests: [{ ...three, target: REFUSAL }], previous: carried(first) }, { polish: 0 }));
    expect(adapterIn(later).state["of"]!.data).toEqual(BigInt64Array.of(0n, 1n, 1n));
    expect(later.evidence!["searches"]).toEqual([]);
  });

  it("gives a fact a value of its own where the shared one is not enough; later facts do not take that over", async () => {
    const model = await loaded;
    const draft = await hush.edit(await jobOf({}, { steps: 1, polish: 100 }));
    expect(draft.evidence).toMatchObject({ said: [false], values: 2, polished: [{ request: "fact" }] });
    expect(adapterIn(draft).state["of"]!.data).toEqual(BigInt64Array.of(1n));
    expect(await says(model, draft, [FACT.prompt])).toEqual([REFUSAL]);
    expect(bookOf(carried(draft)).values.map(({ target }) => target.length > 0)).toEqual([true, false]);
    const over = { steps: 1, polish: 0 };
    const later = await hush.edit(await jobOf({ requests: [{ ...OTHER, target: REFUSAL }], previous: carried(draft) }, over));
    expect(adapterIn(later).state["of"]!.data).toEqual(BigInt64Array.of(1n, 0n));
    expect(later.evidence).toMatchObject({ values: 2, polished: [] });
  });

  it("gives a question that is edited again its new target, in the same row", async () => {
    const model = await loaded;
    const first = await hush.edit(await jobOf({}));
    const again = await hush.edit(await jobOf({ requests: [{ ...FACT, target: SAY }], previous: carried(first) }));
    expect(adapterIn(again).state["of"]!.data).toEqual(BigInt64Array.of(1n));
    expect(adapterIn(again).state["directions"]).toEqual(adapterIn(first).state["directions"]);
    expect([await says(model, first, [FACT.prompt]), await says(model, again, [FACT.prompt])]).toEqual([[REFUSAL], [SAY]]);
  });

  it("cannot be written as weights", async () =>
    expect(async () => deltasOf(await findEdit(await loaded, FACT, options))).rejects.toThrow(/rewrites activations/));

  it("refuses a layer that is not there, and a model with an adapter on it", async () => {
    const model = await loaded;
    await expect(findEdit(model, FACT, { ...options, params: { layer: 99 } })).rejects.toThrow(/layer 99/);
    const edit = await findEdit(model, FACT, options);
    await expect(hush.edit(await jobOf({ model: apply(model, edit) }))).rejects.toThrow(/a model with an adapter on it/);
  });
});
