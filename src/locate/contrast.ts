/** Contrast keys: what the model would put in the subject's place, so that an edit of one subject does not answer for its like. */
import type { Context } from "../base/context.ts";
import { generate } from "../model/generate.ts";
import type { Model } from "../model/model.ts";
import type { EditRow } from "./rows.ts";

/**
 * The bare question up to its subject, with up to `count` other endings sampled from the model (as many tokens as the subject has),
 * the subject itself left out. Rows end in their stand-in's last token.
 */
export async function contrastRows(model: Model, bare: EditRow, count: number, seed: number, ctx: Context): Promise<EditRow[]> {
  const before = bare.ids.slice(0, bare.subject + 1 - bare.width);
  const own = bare.ids.slice(bare.subject + 1 - bare.width, bare.subject + 1).join();
  if (before.length === 0 || count === 0) return [];
  const ends = new Set(model.tokenizer.eos);
  const made = await generate(model, new Array<readonly number[]>(count).fill(before), {
    maxTokens: bare.width,
    temperature: 1,
    topK: 64,
    seed,
    freeze: false,
    ctx,
  });
  const distinct = new Map(
    made.filter((g) => g.ids.length === bare.width && !g.ids.some((id) => ends.has(id))).map((g) => [g.ids.join(), g.ids]),
  );
  distinct.delete(own);
  return [...distinct.values()].map((ids) => ({
    text: "",
    ids: [...before, ...ids],
    subject: before.length + ids.length - 1,
    first: before.length + ids.length,
    width: ids.length,
  }));
}
