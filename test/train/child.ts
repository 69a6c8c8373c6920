/** Builds a recipe in a process of its own, saying each step, so that a test can kill it. */
import { defaultContext } from "../../src/base/context.ts";
import { finetuneRecipe } from "../../src/train/from-recipe.ts";

const [recipe, out] = process.argv.slice(2) as [string, string];
const stop = new AbortController();
process.on("SIGINT", () => stop.abort());
try {
  for await (const event of finetuneRecipe(recipe, out, defaultContext({ signal: stop.signal }), { every: 2 }))
    process.stdout.write(`${event.kind} ${"step" in event ? event.step : ""}\n`);
} catch (error) {
  process.stdout.write(`${String(error)}\n`);
  process.exitCode = stop.signal.aborted ? 130 : 1;
}
