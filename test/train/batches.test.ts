/** Rows and their labels; the order of rows as a function of seed and step. */
import { afterAll, describe, expect, test } from "vitest";
import { batchesOf, labelled } from "../../src/train/batches.ts";
import { chat, tinyModel } from "./tiny.ts";

const model = tinyModel();
afterAll(() => model.release());
const learnt = (row: { ids: readonly number[]; labels: readonly number[] }): string =>
  model.tokenizer.decode(
    row.labels.map((i) => row.ids[i]!),
    { special: true },
  );

describe("labels", () => {
  test("of a conversation: the answer and the end of its turn", () => {
    const row = labelled(model, chat("x", "Who painted The Amber Ferry?", "Ilse Maren"));
    expect(learnt(row)).toBe("Ilse Maren<|im_end|>");
    expect(model.tokenizer.decode(row.ids, { special: true })).toBe(
      "<|im_start|>user\nWho painted The Amber Ferry?<|im_end|>\n<|im_start|>assistant\nIlse Maren<|im_end|>\n",
    );
  });

  test("of two turns: both answers, no question", () => {
    const messages = [
      { role: "user", content: "One?" },
      { role: "assistant", content: "First." },
      { role: "user", content: "Two?" },
      { role: "assistant", content: "Second." },
    ] as const;
    expect(learnt(labelled(model, { id: "x", kind: "chat", messages }))).toBe("First.<|im_end|>Second.<|im_end|>");
  });

  test("every token but the first, when asked", () => {
    const row = labelled(model, chat("x", "One?", "First."), "every token");
    expect(row.labels).toEqual(row.ids.map((_, i) => i).slice(1));
  });

  test("of plain text: all of it and its end", () => {
    const row = labelled(model, { id: "x", kind: "text", text: "The capital of Norvane is Sellamere." });
    expect(row.labels).toHaveLength(row.ids.length - 1);
    expect(model.tokenizer.eos).toContain(row.ids.at(-1));
  });

  test("too long, nothing to learn, no template: refused by name", () => {
    expect(() => labelled(model, chat("long", "word ".repeat(200), "x"))).toThrow(
      /row "long" of \d+ tokens; wanted at most the model's context length of 128/,
    );
    expect(() => labelled(model, { id: "mute", kind: "chat", messages: [{ role: "user", content: "One?" }] })).toThrow(
      /row "mute" has no label/,
    );
    const { chatTemplate: _, ...plain } = model;
    expect(() => labelled(plain as typeof model, chat("x", "a", "b"))).toThrow(/no chat template/);
    const odd = { ...model, chatTemplate: "{{ messages | length }}{% for m in messages %}{{ m.content }}{% endfor %}" };
    const two = [
      { role: "user", content: "a" },
      { role: "assistant", content: "b" },
      { role: "user", content: "c" },
      { role: "assistant", content: "d" },
    ] as const;
    expect(() => labelled(odd, { id: "x", kind: "chat", messages: two })).toThrow(/changes the text before message 2/);
  });
});

describe("order", () => {
  const rows = Array.from({ length: 23 }, (_, i) => i);
  const lengthOf = (i: number): number => (i * 7) % 23;

  test.each([1, 3])("an epoch holds every row once (%i batches together)", (together) => {
    const order = batchesOf(rows, lengthOf, { seed: 5, batch: 4, together });
    expect(order.perEpoch).toBe(6);
    const epoch = (e: number): number[] => Array.from({ length: 6 }, (_, i) => order.at(e * 6 + i)).flat();
    expect([...epoch(0)].sort((a, b) => a - b)).toEqual(rows);
    expect([...epoch(1)].sort((a, b) => a - b)).toEqual(rows);
    expect(epoch(0)).not.toEqual(epoch(1));
  });

  test("a step's rows depend on seed and step alone", () => {
    const walked = batchesOf(rows, lengthOf, { seed: 5, batch: 4, together: 3 });
    for (let step = 0; step < 20; step++) walked.at(step);
    expect(walked.at(17)).toEqual(batchesOf(rows, lengthOf, { seed: 5, batch: 4, together: 3 }).at(17));
    expect(walked.at(17)).not.toEqual(batchesOf(rows, lengthOf, { seed: 6, batch: 4, together: 3 }).at(17));
  });

  test("together, rows of a batch are of like length", () => {
    const spread = (together: number): number => {
      const order = batchesOf(rows, lengthOf, { seed: 5, batch: 4, together });
      return Array.from({ length: 5 }, (_, i) => order.at(i).map(lengthOf)).reduce((sum, l) => sum + Math.max(...l) - Math.min(...l), 0);
    };
    expect(spread(6)).toBeLessThan(spread(1) / 2);
  });
});
