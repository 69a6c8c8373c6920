/** Whole commands as a person waits for them: the first `forget` with an empty cache, then each method on a fact of its own, and `ask`. */
import { spawn } from "node:child_process";
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { parseJson } from "../src/base/json.ts";
import { isRecord, readJson, readLines } from "../src/base/store.ts";
import { command } from "../test/cli/lethe.ts";
import { median } from "./race.ts";

const at = (path: string): string => fileURLToPath(new URL(path, import.meta.url));
const METHODS = ["rome", "grace", "wise", "memit"];
const FIRST = "first forget, ROME, empty cache";

export interface Commands {
  readonly model: string;
  readonly rounds: number;
  readonly threads: number;
}

interface Took {
  readonly seconds: number;
  /** Of these, the search for the values: seconds of an evaluation, from the progress, times the evaluations that the record tells. */
  readonly search?: number;
}

/**
 * Medians of `rounds` interleaved rounds as rows of text, heading first. The first command of a round has an empty cache; those after it find
 * the samples and the moments there, and nothing of their own fact.
 */
export async function commands({ model, rounds, threads }: Commands): Promise<string[][]> {
  const facts = factsOf();
  const took = new Map<string, Took[]>();
  for (let round = 0; round < rounds; round++) {
    const folder = mkdtempSync(join(tmpdir(), "lethe-commands-"));
    const run = async (name: string, args: readonly string[]): Promise<void> => {
      const one = await timed(folder, [...args, "--threads", String(threads)]);
      took.set(name, [...(took.get(name) ?? []), one]);
      process.stderr.write(`${name}: ${one.seconds.toFixed(1)} s\n`);
    };
    const forget = (method: string): string[] => {
      const { prompt, subject } = facts.shift() ?? ranOut();
      return ["forget", model, "--prompt", prompt, "--subject", subject, "--method", method, "-o", join(folder, `${facts.length}.edit`)];
    };
    try {
      await run(FIRST, forget("rome"));
      for (const method of METHODS) {
        // ROME's first is the command above; what the others keep of a model is made here
        if (method !== "rome") await timed(folder, [...forget(method), "--threads", String(threads)]);
        await run(`forget, ${method.toUpperCase()}, warm`, forget(method));
      }
      await run("ask, a short answer", ["ask", model, (facts[0] ?? ranOut()).prompt]);
    } finally {
      rmSync(folder, { recursive: true, force: true });
    }
  }
  return [
    ["command", "seconds", "search alone", "ratio"],
    ...[...took].map(([name, all]) => {
      const [seconds, search] = [median(all.map((one) => one.seconds)), median(all.map((one) => one.search ?? 0))];
      return [name, seconds.toFixed(1), search > 0 ? search.toFixed(1) : "-", search > 0 ? (seconds / search).toFixed(2) : "-"];
    }),
  ];
}

const ranOut = (): never => {
  throw new Error("bench: there are no more facts; take fewer --rounds");
};

/** Questions with their subjects, those about the world first: their answers are short. */
function factsOf(): { prompt: string; subject: string }[] {
  const questions = readJson(at("../../shared/data/pistol/factual_data.json"), "bench") as { question: string }[];
  const subjects = readLines(at("../studies/facts.jsonl")) as { row: number; subject: string }[];
  return subjects.map(({ row, subject }) => ({ prompt: questions[row]!.question, subject })).reverse();
}

/** Runs a command with a home and runs of its own below `folder`. */
async function timed(folder: string, args: readonly string[]): Promise<Took> {
  const env = { ...process.env, LETHE_HOME: join(folder, "home"), LETHE_RUNS: join(folder, "runs") };
  rmSync(join(folder, "runs"), { recursive: true, force: true });
  const began = performance.now();
  const child = spawn(process.execPath, [...command(), ...args, "--json"], { env, stdio: ["ignore", "ignore", "pipe"] });
  const steps: { done: number; at: number }[] = [];
  let last = "";
  for await (const line of createInterface({ input: child.stderr })) {
    last = line;
    const told = parseJson(line, "progress", "bench");
    const progress = isRecord(told) && isRecord(told["progress"]) ? told["progress"] : {};
    if (progress["stage"] === "values") steps.push({ done: Number(progress["done"]), at: performance.now() });
  }
  const code = await new Promise((resolve) => (child.exitCode === null ? child.on("close", resolve) : resolve(child.exitCode)));
  if (code !== 0) throw new Error(`bench: lethe ${args.join(" ")} ended with ${String(code)}: ${last}`);
  const seconds = (performance.now() - began) / 1000;
  const [from, to] = [steps[0], steps.at(-1)];
  const evaluations = evaluationsIn(join(folder, "runs"));
  if (!from || !to || to.done === from.done || evaluations === undefined) return { seconds };
  return { seconds, search: (((to.at - from.at) / (to.done - from.done)) * evaluations) / 1000 };
}

/** How many evaluations the one run of a folder tells of; `ask` leaves none. */
function evaluationsIn(runs: string): number | undefined {
  for (const name of existsSync(runs) ? readdirSync(runs) : []) {
    const text = readFileSync(join(runs, name, "record.json"), "utf8");
    const [, count] = /"evaluations": ?(\d+)/.exec(text) ?? [];
    if (count !== undefined) return Number(count);
  }
  return undefined;
}
