/** How fast a model answers here and now. */
import type { Context } from "../base/context.ts";
import { stream } from "../model/decode/generate.ts";
import type { Model } from "../model/model.ts";
import { promptOf } from "../model/prompt.ts";

/** Conversations that are timed together. */
const ROWS = 16;

/** Seconds that a token takes which the model says, of sixteen conversations at once. */
export async function paceOf(model: Model, ctx: Context): Promise<number> {
  const { ids } = await promptOf(model, "?", {});
  const rows = Array.from({ length: ROWS }, () => ids);
  const told: number[] = [];
  for await (const _ of stream(model, rows, { maxTokens: 6, temperature: 1, topP: 0.95, stopIds: new Set(), freeze: false, ctx }))
    told.push(ctx.now());
  const [from, to] = [told[2 * rows.length - 1]!, told.at(-1)!]; // the first tokens wait for programs
  return (to - from) / 1000 / (told.length - 2 * rows.length);
}
