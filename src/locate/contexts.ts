/** Context templates: short seeded samples of the model's own, put before a question so that an edit holds in company. */
import type { Context } from "../base/context.ts";
import { generate } from "../model/decode/generate.ts";
import type { Model } from "../model/model.ts";

/** The words that samples begin with (kmeng01/memit). */
const STARTS = ["The", "Therefore", "Because", "I", "You"];

/**
 * "{}" and, for each [length, count] of `shape`, count samples of at most `length` tokens in all, spread over five first words;
 * drawn from the five likeliest tokens at each step, ended by ". {}" (ROME, section 3.1; EasyEdit's `context_template_length_params`).
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
    const prompts = starts.map((s) => model.tokenizer.encode(s).ids);
    const longest = Math.max(1, ...prompts.map((p) => length - p.length));
    const samples = await generate(model, prompts, {
      maxTokens: longest,
      temperature: 1,
      topK: 5,
      seed: seed * 1009 + length,
      stopIds: new Set(model.tokenizer.eos),
      freeze: false,
      ctx,
    });
    samples.forEach(({ text }, i) =>
      templates.push(`${`${starts[i]}${text}`.normalize("NFKD").replace(/\n\n/g, " ").replace(/[{}]/g, "")}. {}`),
    );
  }
  return templates;
}
