/** Patterns in the settings of a PEFT adapter. They may come from anybody, so they are matched under a time limit. */
import { bounded } from "../base/bounded.ts";
import { fail } from "../base/fail.ts";

export const CONFIG = "adapter_config.json";

/** The time limit for one pattern and all names, in milliseconds. An ordinary pattern takes less than 1 ms. */
const MATCHING = 250;

/** Which of a model's modules a pattern matches; refuses one that JavaScript does not read, or that takes too long. */
export function matching(text: string, whole: string, modules: readonly string[]): ReadonlySet<string> {
  let pattern: RegExp;
  try {
    pattern = new RegExp(whole);
  } catch {
    return fail(
      "lora",
      `the pattern ${quoted(text)} of ${CONFIG}`,
      "one that JavaScript reads too",
      "List the modules' names.",
      "unavailable",
    );
  }
  const who = `the pattern ${quoted(text)} of ${CONFIG}`;
  return new Set(
    bounded(who, MATCHING, "It may be damaged or hostile: list the modules' names.", () => modules.filter((m) => pattern.test(m))),
  );
}

const quoted = (text: string): string => (text.length > 80 ? `${text.slice(0, 79)}…` : text);

/** The largest number of patterns in one adapter. PEFT writes one for each module with its own setting. */
const MOST_PATTERNS = 10_000;

/**
 * Numbers by pattern. The first pattern that matches the end of a module's name counts, as in PEFT's get_pattern_key (utils/other.py 0.21).
 */
export function patterned(
  patterns: Readonly<Record<string, number>> | null | undefined,
  modules: readonly string[],
): (module: string) => number | undefined {
  const all = Object.entries(patterns ?? {});
  if (all.length > MOST_PATTERNS) fail("lora", `${all.length} patterns in ${CONFIG}`, `${MOST_PATTERNS} at most`, "", "unavailable");
  const found = new Map<string, number>();
  for (const [key, value] of all)
    for (const module of matching(key, `^(?:.*\\.)?(?:${key})$`, modules)) if (!found.has(module)) found.set(module, value);
  return (module) => found.get(module);
}
