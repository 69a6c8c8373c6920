/** A scripted model for tests of targets. */
import type { Asking } from "../../src/ask/ask.ts";
import type { AskAll } from "../../src/ask/in-turns.ts";

/** A model that gives these answers one after the other, and then the last one again and again. `asked` holds the questions that it got. */
export function scripted(...lines: readonly string[]): { readonly ask: AskAll; readonly asked: Asking[] } {
  const asked: Asking[] = [];
  const ask: AskAll = (all) => {
    asked.push(...all);
    return Promise.resolve(all.map(() => ({ answer: lines[Math.min(asked.length, lines.length) - 1]! })));
  };
  return { ask, asked };
}
