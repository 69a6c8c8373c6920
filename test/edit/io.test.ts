/** Edit files: stacks, undoing, wrong models, and 600 seeded mutations that are loaded or refused clearly. */
import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, it } from "vitest";
import { floats } from "../../src/base/array.ts";
import { rng } from "../../src/base/rng.ts";
import { deltasOf, sign, type Edit } from "../../src/edit/edit.ts";
import { loadEdits, saveEdits, without } from "../../src/edit/io.ts";
import { changed } from "../../src/edit/apply.ts";
import type { WordGate } from "../../src/edit/word-gate.ts";
import { mutateBytes, survive } from "../mutate.ts";

const random = rng("edits");
const numbers = (n: number): number[] => Array.from({ length: n }, () => random.normal());
const editOf = (on: readonly string[]): Edit =>
  sign(
    {
      change: { kind: "delta", weights: { "blocks.1.mlp.out": { outer: [floats(numbers(4), [4, 1]), floats(numbers(6), [1, 6])] } } },
      evidence: { loss: random.uniform() },
    },
    {
      base: "a".repeat(64),
      on,
      format: "chat",
      by: {
        method: "m",
        params: { layer: 1 },
        compat: [],
        seed: 0,
        departures: [],
        requests: [{ id: "r", prompt: "p", subject: "s", answer: "", target: "t" }],
        code: "0",
      },
    },
  );

describe("edit files", () => {
  const folder = mkdtempSync(join(tmpdir(), "lethe-edits-"));
  afterAll(() => rmSync(folder, { recursive: true, force: true }));
  const [a, b] = [editOf([]), editOf(["x"])];
  const path = join(folder, "stack");
  const { id: _, evidence: _e, change: _c, memory: _m, ...about } = a;
  const entry = { shown: [{ asked: "New Fact: p t\nPrompt: p", said: "t" }], context: "New Fact: p t\n" };
  const prompt = sign(
    {
      change: {
        kind: "prompt",
        entries: [
          { ...entry, key: floats(numbers(3), [1, 3]), above: 0.7 },
          { ...entry, key: floats(numbers(6), [2, 3]), above: 0.8 },
        ],
        frame: "Prompt: {}",
        encoder: "words@0123456789abcdef",
        select: { nearest: 1 },
      },
    },
    about,
  );

  it("hold a stack in order, and its bytes depend on nothing else", () => {
    saveEdits(path, [a, b]);
    const loaded = loadEdits(path);
    expect(loaded).toEqual([a, b]);
    const first = readFileSync(path);
    saveEdits(path, loaded);
    expect(readFileSync(path).equals(first)).toBe(true);
    expect(statSync(path).size).toBeLessThan(4096);
  });

  it("hold prompt edits, alone and among others, with their texts in the id", () => {
    saveEdits(path, [a, prompt]);
    expect(loadEdits(path)).toEqual([a, prompt]);
    if (prompt.change.kind !== "prompt") throw new Error("a prompt edit");
    const { id: _old, evidence: _none, ...rest } = prompt;
    expect(sign({ change: { ...prompt.change, frame: "{}" } }, rest).id).not.toBe(prompt.id);
    const every: Edit = { ...prompt, change: { ...prompt.change, entries: [entry], encoder: "", select: "all" } };
    saveEdits(path, [every]);
    expect(loadEdits(path)).toEqual([every]);
  });

  it("hold gates in words, with their words in the id", () => {
    const inWords = (words: WordGate): Edit => {
      const change = { kind: "prompt", entries: [{ ...entry, words, above: 0.4 }], frame: "{}", encoder: "words:1" } as const;
      return sign({ change: { ...change, select: { nearest: 1 } } }, about);
    };
    const gates: WordGate[] = [
      { question: "Où est l'Égypte ?", subject: "Égypte" },
      { question: "埃及在哪里?", subject: "埃及" },
      { question: "what is rain?", subject: "", telling: { rain: 0.75, constructor: 0.5 } },
    ];
    const edits = gates.map(inWords);
    saveEdits(path, edits);
    expect(loadEdits(path)).toEqual(edits);
    expect(new Set(edits.map(({ id }) => id)).size).toBe(3);
  });

  it("are undone from the top or by id", () => {
    expect(without([a, b], { last: 1 })).toEqual([a]);
    expect(without([a, b], { id: a.id.slice(0, 8) })).toEqual([b]);
    expect(() => without([a, b], { last: 3 })).toThrow(/1 to 2/);
    expect(() => without([a, b], { id: "zz" })).toThrow(/names 0 edits/);
  });

  it("refuse numbers that are not finite, and changes that do not fit", () => {
    const bad: Edit = { ...a, change: { kind: "delta", weights: { w: { dense: floats([NaN], [1, 1]) } } } };
    saveEdits(join(folder, "nan"), [bad]);
    expect(() => loadEdits(join(folder, "nan"))).toThrow(/NaN/);
    expect(() => changed("w", floats(numbers(6), [2, 3]), deltasOf(a)["blocks.1.mlp.out"]!)).toThrow(/\[2, 3\]/);
  });

  it("survive mutation: each file loads or is refused with a sentence", () => {
    saveEdits(path, [a, prompt]);
    const bytes = new Uint8Array(readFileSync(path));
    const target = join(folder, "mutant");
    const outcome = survive(
      mutateBytes(bytes, "edit", 600),
      (mutant) => {
        writeFileSync(target, mutant);
        loadEdits(target);
      },
      { seconds: 2, bytes: 4e6 },
    );
    expect(outcome.loaded + outcome.refused).toBe(600);
    expect(outcome.refused).toBeGreaterThan(300);
  });
});
