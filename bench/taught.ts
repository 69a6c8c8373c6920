/**
 * What was finetuned, forgotten: one edge of PISTOL's contracts by every method, beside what stays of the others and of the world.
 * Results are kept line by line, so that a stopped run goes on where it was.
 */
import { spawnSync } from "node:child_process";
import { existsSync, mkdirSync, readFileSync, rmSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { defaultContext } from "../src/base/context.ts";
import { hash } from "../src/base/hash.ts";
import { rng } from "../src/base/rng.ts";
import { appendLine, readLines, writeAtomic } from "../src/base/store.ts";
import type { ForgetRequest } from "../src/data/request.ts";
import { pistol } from "../src/data/sets/pistol.ts";
import { apply, load, loadEdits, type Model } from "../src/index.ts";
import type { Need } from "../src/methods/method.ts";
import { methodOf, paramsOf } from "../src/run/choice.ts";
import { ask, factsFor, knownOf, recall } from "./known.ts";
import { codeOf, hasRate, perplexityOf, RATES, SAY } from "./methods.ts";

const at = (path: string): string => fileURLToPath(new URL(path, import.meta.url));
const CLI = at("../src/cli/main.ts");

/** Rows of other edges that are asked: after the edit that counts, and after one that tries a rate. */
const [KEPT, KEPT_TRIED] = [100, 20];

export interface TaughtStudy {
  /** The finetuned model. */
  readonly model: string;
  /** The contracts that it learnt, as published. */
  readonly data: string;
  readonly methods: readonly string[];
  readonly params: Readonly<Record<string, unknown>>;
  readonly out: string;
  readonly threads: number;
  readonly kept: boolean;
}

/** One edge forgotten by one method with one rate. */
export interface TaughtLine {
  readonly key: string;
  readonly method: string;
  readonly edge: string;
  readonly lr: number | null;
  /** Mean ROUGE-1 recall of the old answers, and the share that say the target. */
  readonly forget: number;
  readonly given: number;
  /** Mean ROUGE-1 recall of the answers of rows that were to stay. */
  readonly retain: number;
  /** Known facts that nobody taught, still answered: kept, asked. Not asked where a rate is tried, nor is the text read. */
  readonly facts?: readonly [number, number];
  readonly perplexity?: number;
  readonly minutes: number;
  /** Bytes at most while it was found. */
  readonly peak: number;
  readonly bytes: number;
}

/** Runs (or goes on with) the study: the line of each method on the edge to forget. */
export async function taughtStudy(study: TaughtStudy): Promise<TaughtLine[]> {
  const model = await load(study.model, defaultContext({ threads: study.threads }));
  try {
    return await new Taught(model, study).run();
  } finally {
    await model.release();
  }
}

class Taught {
  private readonly model: Model;
  private readonly study: TaughtStudy;
  private readonly lines: Record<string, unknown>[];
  private readonly edges: ReadonlyMap<string, readonly ForgetRequest[]>;
  private known: readonly ForgetRequest[] = [];

  constructor(model: Model, study: TaughtStudy) {
    [this.model, this.study] = [model, study];
    this.lines = existsSync(study.out) ? (readLines(study.out) as Record<string, unknown>[]) : [];
    const edges = new Map<string, ForgetRequest[]>();
    for (const request of pistol.read({ path: study.data }).requests)
      edges.set(request.group!, [...(edges.get(request.group!) ?? []), request]);
    this.edges = edges;
  }

  async run(): Promise<TaughtLine[]> {
    this.known = this.study.kept ? [] : await knownOf(this.model, factsFor(this.study.model));
    // the edge to forget, and another on which rates are chosen
    const [forgotten, other] = rng("taught").shuffled([...this.edges.keys()]) as [string, string];
    const found: TaughtLine[] = [];
    for (const method of this.study.methods) {
      const rates = this.ratesOf(method);
      const tried: (TaughtLine | undefined)[] = [];
      if (rates.length > 1) for (const lr of rates) tried.push(await this.line(method, other, lr, true));
      const best = tried.filter((line) => line !== undefined).sort((a, b) => worth(b) - worth(a))[0];
      const line = await this.line(method, forgotten, rates.length > 1 ? (best?.lr ?? null) : (rates[0] ?? null));
      if (line) found.push(line);
    }
    return found;
  }

  /** Rates to choose from: none for a method that does not descend over steps of batches, one where it is given. */
  private ratesOf(method: string): readonly number[] {
    const declared = methodOf(method);
    if (!("batch" in declared.params)) return [];
    const given = paramsOf(declared, this.study.params, this.model.config)["lr"] as number;
    return hasRate(method, this.study.params) ? RATES : [given];
  }

  private async line(method: string, edge: string, lr: number | null, isTried = false): Promise<TaughtLine | undefined> {
    const { study } = this;
    const known = isTried ? [] : this.known;
    const key = hash(this.model.id, method, edge, lr, study.params, codeOf(method)).slice(0, 16);
    const kept = this.lines.find((line) => line["key"] === key) as TaughtLine | undefined;
    if (kept || study.kept) return kept;
    const folder = join(dirname(study.out), "taught", key);
    mkdirSync(folder, { recursive: true });
    const requests = this.edges.get(edge)!;
    const stay = rng(edge)
      .shuffled([...this.edges].flatMap(([name, rows]) => (name === edge ? [] : rows)))
      .slice(0, isTried ? KEPT_TRIED : KEPT);
    const cost = this.find(method, requests, lr, folder);
    const edited = apply(this.model, loadEdits(join(folder, "edit"))[0]!);
    const said = await ask(
      edited,
      [...requests, ...stay, ...known].map((r) => r.prompt),
    );
    const mean = (rows: readonly ForgetRequest[], from: number): number =>
      rows.reduce((sum, { answer }, i) => sum + recall(answer, said[from + i]!), 0) / rows.length;
    const facts = known.filter(({ answer }, i) => recall(answer, said[requests.length + stay.length + i]!) === 1).length;
    const line: TaughtLine = {
      key,
      method,
      edge,
      lr,
      forget: mean(requests, 0),
      given: requests.filter((_, i) => said[i] === SAY).length / requests.length,
      retain: mean(stay, requests.length),
      ...(!isTried && { facts: [facts, known.length] as const, perplexity: await perplexityOf(edited) }),
      ...cost,
    };
    mkdirSync(dirname(study.out), { recursive: true });
    appendLine(study.out, line);
    this.lines.push({ ...line });
    rmSync(folder, { recursive: true, force: true });
    process.stderr.write(
      `${method} ${edge} lr ${lr ?? "-"}: forget ${line.forget.toFixed(2)}, retain ${line.retain.toFixed(2)}, facts ${facts}/${known.length}, ${cost.minutes.toFixed(1)} min\n`,
    );
    return line;
  }

  /** Finds the edit in a process of its own, so that its memory is its own; a found one is not sought again. */
  private find(
    method: string,
    requests: readonly ForgetRequest[],
    lr: number | null,
    folder: string,
  ): Pick<TaughtLine, "minutes" | "peak" | "bytes"> {
    const { study } = this;
    const data = join(folder, "requests.jsonl");
    writeAtomic(data, requests.map(({ group: _, relation: __, ...r }) => `${JSON.stringify(r)}\n`).join(""));
    const retain = join(folder, "retain.jsonl");
    const names = new Set(requests.map(({ id }) => id));
    const others = [...this.edges.values()].flat().filter(({ id }) => !names.has(id));
    writeAtomic(retain, others.map(({ id, prompt, answer }) => `${JSON.stringify({ id, question: prompt, answer })}\n`).join(""));
    const needs = methodOf(method).needs as readonly Need[];
    const given = [
      ...(needs.includes("target") ? ["--say", SAY] : []),
      ...(needs.includes("retain") ? ["--retain", retain] : []),
      ...(needs.includes("demonstrations") ? ["--demonstrations", `pistol:${study.data}`] : []),
      ...(needs.includes("training") ? ["--training", `${study.model}.training`] : []),
      ...Object.entries(study.params).flatMap(([name, value]) =>
        name in methodOf(method).params ? ["--set", `${name}=${String(value)}`] : [],
      ),
      ...(lr === null ? [] : ["--set", `lr=${lr}`]),
    ];
    const peak = join(folder, "peak");
    const began = performance.now();
    const run = spawnSync(
      process.execPath,
      [
        "--import",
        "tsx",
        "--import",
        at("peak.mjs"),
        CLI,
        "forget",
        study.model,
        "--data",
        data,
        "--method",
        method,
        ...given,
        "-n",
        "0",
        "--force",
        "-o",
        join(folder, "edit"),
      ],
      { stdio: ["ignore", "ignore", "inherit"], env: { ...process.env, LETHE_BENCH_PEAK: peak, LETHE_THREADS: String(study.threads) } },
    );
    if (run.status !== 0) throw new Error(`bench: ${method} ended with ${run.status}`);
    return {
      minutes: (performance.now() - began) / 60_000,
      peak: Number(readFileSync(peak, "utf8")),
      bytes: readFileSync(join(folder, "edit")).length,
    };
  }
}

/** What is gone and what is left, alike. */
const worth = ({ forget, retain }: TaughtLine): number => retain - forget;

export const TAUGHT_HEAD = [
  "method",
  "lr",
  "forget",
  "says the target",
  "retain",
  "unrelated facts",
  "perplexity",
  "minutes",
  "peak, GB",
  "MB",
];

export const taughtRows = (lines: readonly TaughtLine[]): string[][] => [
  TAUGHT_HEAD,
  ...lines.map((line) => [
    methodOf(line.method).title,
    line.lr === null ? "" : String(line.lr),
    line.forget.toFixed(2),
    `${(100 * line.given).toFixed(0)} %`,
    line.retain.toFixed(2),
    line.facts?.join(" of ") ?? "",
    line.perplexity?.toFixed(2) ?? "",
    line.minutes.toFixed(1),
    (line.peak / 1e9).toFixed(1),
    (line.bytes / 1e6).toFixed(1),
  ]),
];
