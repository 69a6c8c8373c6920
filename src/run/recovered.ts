/** The numbers of an attack, by the names that assertions use. */
import type { Known, Stated } from "./assertions.ts";
import { type AttackRecord, NOT_ASKED, WORDLESS } from "./attack.ts";

const [DIRECT, MEAN, WORST] = ["direct", "mean", "worst"] as const;

/** The numbers that an attack will have: as it is, and mean and worst for all attempts or for a number of them. */
export function knownInAttack(sizes: readonly number[] | undefined): Known {
  const sized = (name: string): boolean => /^(mean|worst)\/\d+$/.test(name) && (sizes?.includes(Number(name.split("/")[1])) ?? true);
  const plain = [DIRECT, MEAN, WORST];
  const ofSizes = sizes?.flatMap((size) => [`${MEAN}/${size}`, `${WORST}/${size}`]) ?? [`${MEAN}/N`, `${WORST}/N`];
  return {
    names: [...plain, ...ofSizes],
    has: (name) => plain.some((one) => one === name) || sized(name),
    hasIntervals: false,
  };
}

/** The numbers of an attack. A request that was left out is in none of them, so none of them may be used. */
export function numbersOfAttack({ direct, sweep, dropped }: AttackRecord): ReadonlyMap<string, Stated> {
  const left = [NOT_ASKED, WORDLESS].flatMap((what) => (what in dropped ? [`left out: ${dropped[what]} × ${what}`] : []));
  const stated = (value: number): Stated => ({ value, interval: null, ...(left.length > 0 && { reason: left.join("; ") }) });
  const most = sweep.reduce((a, b) => (b.size > a.size ? b : a));
  return new Map([
    [DIRECT, stated(direct)],
    [MEAN, stated(most.mean)],
    [WORST, stated(most.worst)],
    ...sweep.flatMap(({ size, mean, worst }) => [[`${MEAN}/${size}`, stated(mean)] as const, [`${WORST}/${size}`, stated(worst)] as const]),
  ]);
}
