/** Finetuning as a command does it: the trainer's events become progress. */
import type { Context } from "../base/context.ts";
import { type Finetuned, type FinetuneOptions, finetuneRecipe } from "../train/finetune.ts";

export type { Finetuned } from "../train/finetune.ts";

/** Builds the model of a recipe at `dir`; a run that was stopped is continued. */
export async function finetune(recipe: string, dir: string, ctx: Context, options: FinetuneOptions): Promise<Finetuned> {
  const events = finetuneRecipe(recipe, dir, ctx, options);
  const note = (text: string): void => ctx.log({ kind: "note", who: "finetune", text });
  for (;;) {
    const { value: event, done } = await events.next();
    if (done) return event;
    if (event.kind === "data") note(`${event.rows} rows of ${event.tokens} tokens for ${event.parameters} weights`);
    else if (event.kind === "resumed") note(`going on after step ${event.step}`);
    else if (event.kind === "step")
      ctx.log({
        kind: "progress",
        stage: "training",
        done: event.step,
        total: event.steps,
        unit: "steps",
        detail: `loss ${event.loss.toFixed(3)}, ${Math.round(event.tokensPerSecond)} tokens/s`,
      });
  }
}
