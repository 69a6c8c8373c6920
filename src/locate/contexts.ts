/**
 * Context templates: short texts that the model generates by seed. They are put before a question, so that an edit also works after other
 * text.
 */
import { z } from "zod";
import { lines } from "../base/codec.ts";
import type { Context } from "../base/context.ts";
import { kept } from "../base/kept.ts";
import { generate } from "../model/decode/generate.ts";
import { type Model, stateOf } from "../model/model.ts";

/** The first words of the generated texts (kmeng01/memit). */
const STARTS = ["The", "Therefore", "Because", "I", "You"];
/** How a generated token is drawn. */
const DRAWN = { temperature: 1, topK: 5, freeze: false };
const TEXTS = lines(z.string());

/**
 * The template "{}" (the question alone) and, for each [length, count] of `shape`, `count` generated texts of at most `length` tokens, which
 * take turns with five first words. Each token is drawn from the five likeliest; ". {}" is appended (ROME, section 3.1; EasyEdit's
 * `context_template_length_params`). The cache keeps them for each state of a model.
 */
export async function contextTemplates(
  model: Model,
  shape: readonly (readonly [length: number, count: number])[],
  seed: number,
  ctx: Context,
): Promise<string[]> {
  const templates = ["{}"];
  for (const [length, count] of shape) {
    const starts = Array.from({ length: count }, (_, i) => STARTS[i % STARTS.length]!);
    const dependsOn = [stateOf(model), { starts, length, seed, threads: ctx.threads, ...DRAWN }];
    templates.push(...(await kept(ctx, "templates", dependsOn, TEXTS, () => generated(model, starts, length, seed, ctx))));
  }
  return templates;
}

async function generated(model: Model, starts: readonly string[], length: number, seed: number, ctx: Context): Promise<string[]> {
  const prompts = starts.map((s) => model.tokenizer.encode(s).ids);
  const longest = Math.max(1, ...prompts.map((p) => length - p.length));
  const stopIds = new Set(model.tokenizer.eos);
  const texts = await generate(model, prompts, { maxTokens: longest, seed: seed * 1009 + length, stopIds, ctx, ...DRAWN });
  return texts.map(({ text }, i) => `${`${starts[i]}${text}`.normalize("NFKD").replace(/\n\n/g, " ").replace(/[{}]/g, "")}. {}`);
}
