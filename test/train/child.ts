/** Builds a recipe in a process of its own and tells each event, so that a test can kill it. */
import { defaultContext } from "../../src/base/context.ts";
import { events } from "../../src/run/run.ts";

const [recipe, runs, out] = process.argv.slice(2) as [string, string, string];
const stop = new AbortController();
process.on("SIGINT", () => stop.abort());
try {
  const ctx = defaultContext({ runs, signal: stop.signal });
  for await (const event of events({ step: "finetune", recipe, every: 2 }, ctx, { out }))
    process.stdout.write(event.kind === "progress" ? `step ${event.done}\n` : `${event.text}\n`);
} catch (error) {
  process.stdout.write(`${String(error)}\n`);
  process.exitCode = stop.signal.aborted ? 130 : 1;
}
