/**
 * Forty facts that a real model knows, one edit each with the defaults: says the target, gone under a rephrase, others still answered.
 * Results are kept fact by fact, so that a stopped run goes on where it was.
 */
import { existsSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { defaultContext } from "../src/base/context.ts";
import { appendLine, readLines } from "../src/base/store.ts";
import { requestOf } from "../src/data/request.ts";
import { factual } from "../src/data/sets/factual.ts";
import { rougeN, tokenize } from "../src/eval/rouge.ts";
import { apply, findEdit, generate, load, type Model, promptOf, stopsOf } from "../src/index.ts";

export const SAY = "I'm sorry, I do not know.";
const at = (path: string): string => fileURLToPath(new URL(path, import.meta.url));

interface Line {
  row: string;
  said: string;
  rephrased: string;
  exact: boolean;
  gone: boolean;
  kept: number;
  others: number;
  seconds: number;
}

/** Runs (or goes on with) the study and gives its table; `count` facts, the first known ones in the order of the set. */
export async function facts(options: { count: number; out: string; params?: Record<string, unknown> }): Promise<string> {
  const ctx = defaultContext();
  const { requests } = factual.read({ path: at("../../shared/data/pistol/factual_data.json"), subjects: at("facts.jsonl") });
  const model = await load(at("../../shared/models/smollm2-135m-instruct"), ctx);
  const ask = async (m: Model, questions: readonly string[]): Promise<string[]> =>
    (
      await generate(m, await Promise.all(questions.map(async (q) => (await promptOf(m, q)).ids)), {
        stopIds: stopsOf(m),
        maxTokens: 24,
        freeze: false,
      })
    ).map((g) => g.text.trim());
  const recall = (answer: string, said: string): number => rougeN(tokenize(answer), tokenize(said), 1).recall;

  const asked = requests.filter((r) => r.paraphrases.length > 0);
  const known: typeof asked = [];
  for (let i = 0; i < asked.length; i += 32) {
    const part = asked.slice(i, i + 32);
    const said = await ask(
      model,
      part.map((r) => r.prompt),
    );
    known.push(...part.filter((r, j) => recall(r.answer, said[j]!) === 1));
  }
  const done = existsSync(options.out) ? (readLines(options.out) as Line[]) : [];
  for (const fact of known.slice(0, options.count)) {
    if (done.some((line) => line.row === fact.id)) continue;
    const start = performance.now();
    const edit = await findEdit(model, requestOf({ ...fact }), { method: "rome", say: SAY, params: options.params ?? {}, ctx });
    const seconds = (performance.now() - start) / 1000;
    const others = known.filter((r) => r !== fact);
    const [said, rephrased, ...rest] = await ask(apply(model, edit), [fact.prompt, fact.paraphrases[0]!, ...others.map((r) => r.prompt)]);
    const line: Line = {
      row: fact.id,
      said: said!,
      rephrased: rephrased!,
      exact: said === SAY,
      gone: recall(fact.answer, rephrased!) <= 0.5,
      kept: rest.filter((text, i) => recall(others[i]!.answer, text) === 1).length,
      others: others.length,
      seconds,
    };
    appendLine(options.out, line);
    done.push(line);
    console.error(`${done.length}/${options.count} ${fact.id}: ${line.said} | kept ${line.kept}/${line.others} | ${seconds.toFixed(1)} s`);
  }
  await model.release();
  const share = (f: (l: Line) => number): string => `${(100 * (done.reduce((s, l) => s + f(l), 0) / done.length)).toFixed(1)} %`;
  const times = done.map((l) => l.seconds).sort((a, b) => a - b);
  return [
    "| facts | says the target | gone under a rephrase | others still answered | seconds an edit (median) |",
    "| --- | --- | --- | --- | --- |",
    `| ${done.length} | ${share((l) => Number(l.exact))} | ${share((l) => Number(l.gone))} | ${share((l) => l.kept / l.others)} | ${times[times.length >> 1]?.toFixed(1)} |`,
  ].join("\n");
}
