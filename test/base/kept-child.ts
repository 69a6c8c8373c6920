/** Another process of a test of the cache: makes a thing slowly, step by step, saying each step, so that a test can wait for it or kill it. */
import { appendFileSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { z } from "zod";
import { json } from "../../src/base/codec.ts";
import { defaultContext } from "../../src/base/context.ts";
import { kept } from "../../src/base/kept.ts";

const [cache, journal, steps, ms] = process.argv.slice(2) as [string, string, string, string];
const numbers = json(z.array(z.number()));
const made = await kept(defaultContext({ cache }), "steps", [Number(steps)], numbers, async (part) => {
  const sum = part.load(numbers) ?? [];
  appendFileSync(journal, `${process.pid} from ${sum.length}\n`);
  while (sum.length < Number(steps)) {
    await sleep(Number(ms));
    sum.push(Math.sqrt(sum.length));
    part.save(numbers, sum);
    process.stdout.write(`step ${sum.length}\n`);
  }
  return sum;
});
process.stdout.write(`${JSON.stringify(made)}\n`);
