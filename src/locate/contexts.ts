/**
 * Context templates: short texts that the model generates by seed. They are put before a question, so that an edit also works after other
 * text.
 */
import type { Context } from "../base/context.ts";
import { generate } from "../model/decode/generate.ts";
import type { Model } from "../model/model.ts";

/** The first words of the generated texts (kmeng01/memit). */
const STARTS = ["The", "Therefore", "Because", "I", "You"];

/**
 * The template "{}" (the question alone) and, for each [length, count] of `shape`, `count` generated texts of at most `length` tokens, which
 * take turns with five first words. Each token is drawn from the five likeliest; ". {}" is appended (ROME, section 3.1; EasyEdit's
 * `context_template_length_params`).
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
    const texts = await generate(model, prompts, {
      maxTokens: longest,
      temperature: 1,
      topK: 5,
      seed: seed * 1009 + length,
      stopIds: new Set(model.tokenizer.eos),
      freeze: false,
      ctx,
    });
    texts.forEach(({ text }, i) =>
      templates.push(`${`${starts[i]}${text}`.normalize("NFKD").replace(/\n\n/g, " ").replace(/[{}]/g, "")}. {}`),
    );
  }
  return templates;
}
