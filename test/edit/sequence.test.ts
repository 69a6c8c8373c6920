/** Drafts in a row as one: found upon what the one edit of them gives, folded past the rank, and the same from wherever they were kept. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, it } from "vitest";
import { floats, type NdArray } from "../../src/base/array.ts";
import { hash } from "../../src/base/hash.ts";
import { rng } from "../../src/base/rng.ts";
import { isSame } from "../../src/base/blocks.ts";
import { apply } from "../../src/edit/apply.ts";
import { arraysOf, type Delta, deltasOf, type Draft, type Edit, type PromptChange, sign, wordsOf } from "../../src/edit/edit.ts";
import { loadEdits, saveEdits } from "../../src/edit/io.ts";
import { draftAlone, inSequence, Sequence, type Step, stepAlone } from "../../src/edit/sequence.ts";
import { load } from "../../src/model/load.ts";
import type { Model } from "../../src/model/model.ts";
import { score } from "../../src/model/decode/score.ts";
import { asIfAtOnce } from "./at-once.ts";

const WEIGHT = "blocks.1.mlp.out";
const OTHER = "blocks.2.mlp.out";
const random = rng("sequence");
const drawn = (shape: readonly number[], scale = 1): NdArray =>
  floats(
    Array.from({ length: shape.reduce((a, b) => a * b, 1) }, () => scale * random.normal()),
    shape,
  );
const deltas = (weights: Readonly<Record<string, Delta>>, rest: Partial<Draft> = {}): Draft => ({
  change: { kind: "delta", weights },
  ...rest,
});
const prompt = (context: string, over: Partial<PromptChange> = {}): Draft => ({
  change: { kind: "prompt", entries: [{ shown: [], context }], frame: "{}", encoder: "", select: "all", ...over },
});
/** A draft without its numbers, and their hash: what is slow to compare. */
const briefly = (draft: Draft): unknown => {
  const { change, memory: _, ...rest } = draft;
  return { ...rest, words: wordsOf(change), numbers: hash(...arraysOf(draft).flat()) };
};
const signed = (model: Model, draft: Draft): Edit =>
  sign(draft, {
    base: model.id,
    on: [],
    format: "chat",
    by: { method: "x", params: {}, compat: [], seed: 0, departures: [], requests: [], code: "" },
  });

describe("drafts in a row", () => {
  const loaded = load("bundled");
  const folder = mkdtempSync(join(tmpdir(), "lethe-sequence-"));
  afterAll(async () => {
    await (await loaded).release();
    rmSync(folder, { recursive: true, force: true });
  });
  const shapeOf = (model: Model, name = WEIGHT): [number, number] => model.weights.get(name)!.shape as [number, number];
  const product = (model: Model, name = WEIGHT): Delta => {
    const [rows, columns] = shapeOf(model, name);
    return { outer: [drawn([rows, 1], 0.05), drawn([1, columns], 0.05)] };
  };
  /** A product of some rank. */
  const wide = (model: Model, rank: number): Delta => {
    const [rows, columns] = shapeOf(model);
    return { outer: [drawn([rows, rank], 0.05), drawn([rank, columns], 0.05)] };
  };
  const wholeOf = (model: Model, drafts: readonly Draft[]): Draft => {
    const sequence = new Sequence(model);
    for (const draft of drafts) sequence.add(draft);
    return sequence.draft;
  };
  /** Log-probabilities of some tokens. */
  const said = async (model: Model): Promise<number[]> => (await score(model, [{ ids: [5, 9, 3, 7, 12, 90], from: 1 }]))[0]!;

  it("each is found upon what one edit of those before it gives, to the bit", async () => {
    const model = await loaded;
    const [rows, columns] = shapeOf(model, OTHER);
    const drafts = Array.from({ length: 4 }, () => deltas({ [WEIGHT]: product(model), [OTHER]: { dense: drawn([rows, columns], 0.01) } }));
    const sequence = new Sequence(model);
    expect(sequence.upon).toEqual({ model });
    for (const [i, draft] of drafts.entries()) {
      sequence.add(draft);
      const edited = apply(model, signed(model, wholeOf(model, drafts.slice(0, i + 1))));
      for (const name of [WEIGHT, OTHER]) {
        const found = sequence.upon.model.weights.get(name)!;
        const given = drafts.slice(0, i + 1).map((d) => deltasOf(d)[name]!);
        for (const other of [edited.weights.get(name)!, asIfAtOnce(model.weights.get(name)!, given)])
          expect(isSame(found, other)).toBe(true);
      }
      expect(sequence.upon.model.changed).toEqual(new Set([WEIGHT, OTHER]));
    }
  });

  it("more ranks than a dense difference would take become one, and the model stays what it was within rounding", async () => {
    const model = await loaded;
    const [rows, columns] = shapeOf(model);
    const most = Math.floor((rows * columns) / (rows + columns));
    const drafts = Array.from({ length: most + 12 }, () => deltas({ [WEIGHT]: product(model) }));
    const sequence = new Sequence(model);
    const kinds = drafts.map((draft) => {
      sequence.add(draft);
      return sequence.length === most || sequence.length === most + 1 ? Object.keys(deltasOf(sequence.draft)[WEIGHT]!)[0] : "";
    });
    expect(kinds.filter(Boolean)).toEqual(["outer", "dense"]);
    const path = join(folder, "folded");
    saveEdits(path, [signed(model, sequence.draft)]);
    const edited = apply(model, loadEdits(path)[0]!);
    expect(isSame(sequence.upon.model.weights.get(WEIGHT)!, edited.weights.get(WEIGHT)!)).toBe(true);
    const before = model.weights.get(WEIGHT)!;
    const factors = asIfAtOnce(
      before,
      drafts.map((d) => deltasOf(d)[WEIGHT]!),
    );
    const unfolded = apply(model, signed(model, deltas({ [WEIGHT]: { value: factors } })));
    const [a, b] = [edited, unfolded].map((m) => m.weights.get(WEIGHT)!.data as Float32Array) as [Float32Array, Float32Array];
    const largest = a.reduce((most, x) => Math.max(most, Math.abs(x)), 0);
    expect(a.every((x, i) => Math.abs(x - b[i]!) <= largest * 2 ** -23)).toBe(true);
    const [now, then, base] = [await said(edited), await said(unfolded), await said(model)];
    now.forEach((x, i) => expect(x).toBeCloseTo(then[i]!, 4));
    expect(now.some((x, i) => Math.abs(x - base[i]!) > 0.1)).toBe(true);
  });

  it("go on from wherever they were kept, to the same bits, whatever their changes are", async () => {
    const model = await loaded;
    const [rows, columns] = shapeOf(model);
    const memory = (i: number): Draft["memory"] => ({ keys: drawn([2, i + 1]) });
    const dense = (): Delta => ({ dense: drawn([rows, columns], 0.01) });
    const kinds: Record<string, readonly Draft[]> = {
      products: Array.from({ length: 4 }, (_, i) => deltas({ [WEIGHT]: product(model) }, { memory: memory(i)!, evidence: { i } })),
      differences: Array.from({ length: 4 }, () => deltas({ [WEIGHT]: dense() })),
      "a matrix each": [WEIGHT, OTHER, WEIGHT, OTHER].map((name, i) => deltas({ [name]: i < 2 ? dense() : product(model, name) })),
      "of every kind": [
        deltas({ [WEIGHT]: product(model) }, { memory: memory(1)! }),
        deltas({ [WEIGHT]: dense() }),
        deltas({ [WEIGHT]: product(model) }, { evidence: { loss: 2 } }),
        deltas({ [WEIGHT]: { value: drawn([rows, columns]) } }),
        deltas({ [WEIGHT]: product(model) }),
      ],
      "in the place of others": [
        deltas({ [WEIGHT]: product(model) }, { memory: memory(1)! }),
        deltas({ [WEIGHT]: wide(model, 3), [OTHER]: product(model, OTHER) }, { memory: memory(2)!, replaces: true }),
        deltas({ [WEIGHT]: product(model) }, { evidence: { i: 2 } }),
        deltas({ [WEIGHT]: wide(model, 4) }, { replaces: true }),
        deltas({ [OTHER]: dense() }),
        deltas({ [OTHER]: dense(), [WEIGHT]: product(model) }),
      ],
      prompts: ["a", "b", "c"].map((context, i) => ({
        ...prompt(context, { select: { nearest: 1 }, entries: [{ shown: [], context, key: drawn([1, 3]), above: 0.5 }] }),
        evidence: { i },
      })),
    };
    for (const [name, drafts] of Object.entries(kinds)) {
      const steps: Step[] = [];
      const find = (draft: Draft): Promise<Draft> => Promise.resolve(draft);
      const whole = await inSequence(model, drafts, find, { kept: () => [], keep: (step) => void steps.push(step) });
      expect(steps).toHaveLength(drafts.length);
      for (let kept = 0; kept <= drafts.length; kept++) {
        const asked: Draft[] = [];
        const given = steps.slice(0, kept).map((step, i) => (i < kept - 1 ? { ...step, standing: new Map() } : step));
        const again = await inSequence(model, drafts, (draft) => (asked.push(draft), find(draft)), { kept: () => given, keep: () => {} });
        expect(asked.length, name).toBe(drafts.length - kept);
        expect(briefly(again), `${name} from ${kept}`).toEqual(briefly(whole));
      }
    }
  });

  it("a change in the place of others leaves nothing of them, and later ones come on top of it", async () => {
    const model = await loaded;
    const [first, anew, later] = [
      deltas({ [WEIGHT]: product(model), [OTHER]: product(model, OTHER) }),
      deltas({ [WEIGHT]: wide(model, 2) }, { replaces: true, evidence: { a: 1 } }),
      deltas({ [WEIGHT]: product(model) }),
    ];
    const sequence = new Sequence(model);
    sequence.add(first);
    expect(sequence.upon.previous!.under).toBe(model);
    sequence.add(anew);
    const { replaces: _, ...alone } = anew;
    expect(briefly({ ...sequence.draft, evidence: { a: 1 } })).toEqual(briefly(alone));
    sequence.add(later);
    const given = [anew, later].map((d) => deltasOf(d)[WEIGHT]!);
    expect(isSame(sequence.upon.model.weights.get(WEIGHT)!, asIfAtOnce(model.weights.get(WEIGHT)!, given))).toBe(true);
    expect([...sequence.upon.model.changed]).toEqual([WEIGHT]);
    expect(sequence.draft.evidence).toEqual({ sequence: [{}, { a: 1 }, {}] });
    expect(() => new Sequence(model).add({ ...prompt("a"), replaces: true })).toThrow(/in the place of others/);
  });

  it("keep changes of other matrices, the later memory, and what each wrote down", async () => {
    const model = await loaded;
    const memory = (n: number): Draft["memory"] => ({ keys: drawn([n]) });
    const [first, second] = [
      deltas({ [WEIGHT]: product(model) }, { memory: memory(1)!, evidence: { a: 1 } }),
      deltas({ [WEIGHT]: product(model) }, { memory: memory(2)! }),
    ];
    const other = deltas({ [OTHER]: product(model, OTHER) });
    expect(Object.keys(deltasOf(wholeOf(model, [first, other])))).toEqual([WEIGHT, OTHER]);
    expect(wholeOf(model, [first, second]).memory).toEqual(second.memory);
    expect(wholeOf(model, [first, other]).memory).toEqual(first.memory);
    expect(wholeOf(model, [first, other]).evidence).toEqual({ sequence: [{ a: 1 }, {}] });
    for (const draft of [first, other]) expect(briefly(wholeOf(model, [draft]))).toEqual(briefly(draft));
  });

  it("put the contexts of prompt edits one after the other, and nothing else together", async () => {
    const model = await loaded;
    const { change } = wholeOf(model, [prompt("a"), prompt("b")]);
    expect(change.kind === "prompt" && change.entries.map((e) => e.context)).toEqual(["a", "b"]);
    for (const other of [
      prompt("b", { frame: "Q: {}" }),
      prompt("b", { encoder: "x" }),
      prompt("b", { select: { nearest: 1 } }),
      deltas({}),
    ])
      expect(() => wholeOf(model, [prompt("a"), other])).toThrow(/two of one kind/);
    expect(() => wholeOf(model, [deltas({}), prompt("a")])).toThrow(/two of one kind/);
  });

  it("are refused where the model has no such matrix", async () => {
    const model = await loaded;
    expect(() => wholeOf(model, [deltas({ "blocks.99.mlp.out": product(model) })])).toThrow(/blocks\.99\.mlp\.out/);
  });

  it("a draft that stands alone comes back from its step", async () => {
    const model = await loaded;
    for (const draft of [deltas({ [WEIGHT]: product(model) }, { memory: { keys: drawn([3]) }, evidence: { a: 1 } }), prompt("a")])
      expect(briefly(draftAlone(stepAlone(draft)))).toEqual(briefly(draft));
  });
});
