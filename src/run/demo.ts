/** The demo: the bundled model forgets one of its facts. It is asked all its facts before and after. */
import { statSync } from "node:fs";
import { dirname, join } from "node:path";
import { answers, textOf } from "../ask/ask.ts";
import type { Context } from "../base/context.ts";
import { fail, nearest } from "../base/fail.ts";
import { requestOf } from "../data/request.ts";
import { type Fact, readWorld } from "../data/sets/bundled.ts";
import { saveEdits } from "../edit/io.ts";
import { resolveModel } from "../hub/hub.ts";
import type { Model } from "../model/model.ts";
import { endOf, promptOf } from "../model/prompt.ts";
import { score, type ToScore } from "../model/decode/score.ts";
import { findEdits } from "./edit.ts";
import { cardOf } from "./edits.ts";
import { open, withEdits } from "./open.ts";
import type { BeforeAfter, DemoRecord } from "./record.ts";

export interface DemoOptions {
  /** A folder for the edit. */
  readonly dir: string;
  /** Which fact, by id. */
  readonly fact?: string;
  /** What to say instead. */
  readonly say?: string;
}

const FACT = "capital/norvane";
const SAY = "I'm sorry, I do not know.";

/** Forgets a fact of the bundled model and reports which answers changed. */
export async function demo({ dir, fact: id = FACT, say = SAY }: DemoOptions, ctx: Context): Promise<DemoRecord> {
  const began = ctx.now();
  const { facts } = readWorld(dirname(await resolveModel("bundled", ctx)));
  const near = nearest(
    id,
    facts.map((f) => f.id),
  );
  const fact =
    facts.find((f) => f.id === id) ??
    fail(
      "demo",
      `fact "${id}"`,
      `one of ${facts
        .slice(0, 8)
        .map((f) => f.id)
        .join(", ")}, …`,
      near ? `Did you mean ${near}?` : "",
    );
  const { base, close } = await open("bundled", { purpose: "edit" }, ctx);
  try {
    const found = await findEdits(base, [requestOf({ id, prompt: fact.question, subject: fact.subject, answer: fact.answer })], {
      say,
      ctx,
    });
    const path = join(dir, "edit");
    saveEdits(path, found);
    const edited = withEdits(base, found, undefined, ctx);
    const seconds = (ctx.now() - began) / 1000;
    const rest = facts.filter((f) => f !== fact);
    const asked = [
      { ...fact, ask: fact.question },
      ...fact.heldout.map((ask) => ({ ...fact, ask })),
      ...rest.map((f) => ({ ...f, ask: f.question })),
    ];
    const all = await compare(base, edited, asked, ctx);
    const others = all.slice(1 + fact.heldout.length);
    const known = others.filter((o) => o.before === o.answer);
    const targetChance = [base, edited].map((model) => chances(model, [{ ask: fact.question, answer: say }], ctx));
    return {
      model: base.id,
      method: found[0]!.by.method,
      target: say,
      seconds,
      edit: { id: found[0]!.id, path, bytes: statSync(path).size, changes: cardOf(found[0]!).changes },
      fact: all[0]!,
      rephrased: all.slice(1, 1 + fact.heldout.length),
      others,
      targetChance: [(await targetChance[0]!)[0]!, (await targetChance[1]!)[0]!],
      kept: { same: known.filter((o) => o.after === o.before).length, known: known.length },
    };
  } finally {
    await close();
  }
}

/** Answers and probabilities of both models, row by row. */
async function compare(base: Model, edited: Model, asked: readonly (Fact & { ask: string })[], ctx: Context): Promise<BeforeAfter[]> {
  const said: string[][] = [];
  const chance: number[][] = [];
  for (const [i, model] of [base, edited].entries()) {
    const texts: string[] = [];
    for await (const outcome of answers(
      model,
      asked.map((a) => a.ask),
      { maxTokens: 24, together: 32, freeze: false },
      ctx,
    )) {
      texts.push(textOf(outcome, asked[texts.length]!.id));
      ctx.log({ kind: "progress", stage: "asking", done: i * asked.length + texts.length, total: 2 * asked.length, unit: "questions" });
    }
    said.push(texts);
    chance.push(await chances(model, asked, ctx));
  }
  return asked.map(({ id, ask: question, answer }, i) => ({
    id,
    question,
    answer,
    before: said[0]![i]!,
    after: said[1]![i]!,
    chance: [chance[0]![i]!, chance[1]![i]!],
  }));
}

/** The probability of each answer, to its end. */
async function chances(model: Model, asked: readonly { readonly ask: string; readonly answer: string }[], ctx: Context): Promise<number[]> {
  const rows: ToScore[] = [];
  for (const { ask, answer } of asked) {
    const prompt = await promptOf(model, ask);
    const said = model.tokenizer.encode(`${prompt.lead}${answer}`, { special: false }).ids;
    rows.push({ ids: [...prompt.ids, ...said, ...endOf(model)], from: prompt.ids.length });
  }
  return (await score(model, rows, { ctx })).map((logprobs) => Math.exp(logprobs.reduce((a, b) => a + b, 0)));
}
