/** What a step needs of a worker, and what a worker has. */
import { fail } from "../../base/fail.ts";
import { hash } from "../../base/hash.ts";

/** Names with values: of a number a worker must have at least as much, of a text the same. */
export type Tags = Readonly<Record<string, string | number>>;

/** Whether a worker has what a step needs. */
export const suffices = (has: Tags, needs: Tags): boolean =>
  Object.entries(needs).every(([name, wanted]) => {
    const own = has[name];
    return typeof wanted === "number" ? typeof own === "number" && own >= wanted : String(own) === wanted;
  });

/** The queue of the steps with these needs. */
export const queueOf = (needs: Tags): string => `steps-${hash(needs).slice(0, 12)}`;

/** Tags as the command line gives them: name=value, where a number stays one. */
export function tagsIn(flag: string, texts: readonly string[]): Tags {
  const pairs = texts.map((text) => {
    const at = text.indexOf("=");
    if (at < 1) fail(flag, `"${text}"`, "name=value", `For example ${flag} device=gpu.`);
    const value = text.slice(at + 1).trim();
    return [text.slice(0, at).trim(), value !== "" && Number.isFinite(Number(value)) ? Number(value) : value] as const;
  });
  return Object.fromEntries(pairs);
}

/** "memory 2000000000, threads 2". */
export const shownTags = (tags: Tags): string =>
  Object.entries(tags)
    .map(([name, value]) => `${name} ${value}`)
    .join(", ");
