/** Replay: what was finetuned here is exactly unlearnt. */
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { hash } from "../../src/base/hash.ts";
import { requestOf } from "../../src/data/request.ts";
import { apply } from "../../src/edit/apply.ts";
import { replay } from "../../src/methods/replay.ts";
import type { Model } from "../../src/model/model.ts";
import { findEdit } from "../../src/run/edit.ts";
import { type Journal, readJournal, without } from "../../src/train/journal.ts";
import { trainOn, type Trained } from "../../src/train/loop.ts";
import { nll } from "../../src/train/objective.ts";
import { bitsOf, classroom, PAIRS } from "../conformance/classroom.ts";

describe(replay.title, () => {
  const { folder, ctx, opened, taught, close } = classroom();
  let base: Model;
  let whole: Awaited<ReturnType<typeof taught>>;
  beforeAll(async () => {
    base = await opened("bundled");
    whole = await taught("whole", { keep: true });
  }, 120_000);
  afterAll(close);

  const gone = PAIRS.filter((_, i) => [3, 11, 20, 38].includes(i));
  const requests = gone.map(({ id, question, answer }) => requestOf({ id, prompt: question, answer }));

  /** Every weight that was trained is that of the journal run without the rows; gives the journal. */
  async function check(after: Model, training: string): Promise<Journal> {
    const journal = readJournal(training);
    const steps = without(journal, new Set(gone.map((r) => r.id)));
    const never = await finished(trainOn(base, journal.rows, journal.recipe, ctx, { objective: nll, steps }));
    for (const [name, array] of never.weights) expect(hash(after.weights.get(name)!), name).toBe(hash(array));
    return journal;
  }

  it("of four rows is, byte for byte, a run that never saw them", async () => {
    const model = await opened(whole.dir);
    const edit = await findEdit(model, requests, { method: replay.name, training: whole.training, ctx });
    const after = apply(model, edit);
    const journal = await check(after, whole.training);
    expect(bitsOf(after)).not.toBe(bitsOf(model));
    const firstSeen = journal.steps.findIndex(({ passes }) => passes.flat().some((row) => gone.some((r) => r.id === row.id)));
    expect(edit.evidence).toMatchObject({ rows: 4, firstSeen: firstSeen + 1, from: 5 * Math.floor(firstSeen / 5) });
  });

  it("goes red when a row stays", async () => {
    const model = await opened(whole.dir);
    const edit = await findEdit(model, requests.slice(1), { method: replay.name, training: whole.training, ctx });
    const other = await findEdit(model, requests, { method: replay.name, training: whole.training, ctx });
    expect(bitsOf(apply(model, edit))).not.toBe(bitsOf(apply(model, other)));
  });

  it("replays low-rank training with dropout as exactly", async () => {
    const lora = await taught("lora", { keep: true, params: { rank: 2, dropout: 0.1, epochs: 2, lr: 5e-3 } });
    const model = await opened(lora.dir);
    const edit = await findEdit(model, requests, { method: replay.name, training: lora.training, ctx });
    await check(apply(model, edit), lora.training);
  });

  it("refuses what was not learnt here, and a folder without a journal", async () => {
    const model = await opened(whole.dir);
    const stranger = requestOf({ id: "x", prompt: "What is the capital of Norvane?", answer: "Sellamere" });
    await expect(findEdit(model, stranger, { method: replay.name, training: whole.training, ctx })).rejects.toThrow(
      /none of 1 requests was trained on/,
    );
    mkdirSync(join(folder, "empty"));
    await expect(findEdit(model, requests, { method: replay.name, training: join(folder, "empty"), ctx })).rejects.toThrow(
      /journal.jsonl is missing/,
    );
    await expect(findEdit(model, requests, { method: replay.name, ctx })).rejects.toThrow(/no training to go back to/);
  });
});

async function finished(events: ReturnType<typeof trainOn>): Promise<Trained> {
  for (;;) {
    const { value, done } = await events.next();
    if (done) return value;
  }
}
