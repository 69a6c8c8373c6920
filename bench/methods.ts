/**
 * Every method in every mode over the same known facts: what goes, what stays, and what it costs.
 * Results are kept line by line, so that a stopped run goes on where it was; code or parameters that changed begin anew.
 */
import { cpSync, existsSync, mkdirSync, renameSync, rmSync, statSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { defaultContext } from "../src/base/context.ts";
import { hash } from "../src/base/hash.ts";
import { appendLine, readJson, readLines, writeAtomic } from "../src/base/store.ts";
import type { ForgetRequest, QA } from "../src/data/request.ts";
import { zsre } from "../src/data/sets/zsre.ts";
import { perplexity } from "../src/eval/metrics/perplexity.ts";
import { measureText } from "../src/eval/text.ts";
import { apply, type Edit, findEdit, type FindOptions, load, loadEdits, type Model, saveEdits } from "../src/index.ts";
import type { Need } from "../src/methods/method.ts";
import { methodOf, type Mode } from "../src/run/choice.ts";
import { closeJournal } from "../src/run/journal.ts";
import { tuned, version } from "../src/run/tuned.ts";
import { readFiles } from "../tools/files.ts";
import { imports } from "../tools/laws.ts";
import { ask, factsFor, knownOf, neighboursOf, recall, unknownTo } from "./known.ts";
import { median } from "./race.ts";

export const SAY = "I'm sorry, I do not know.";
/** An answer is gone when at most this share of its words is left. */
const GONE = 0.5;
/** Single edits after which perplexity is measured; there is one number for a batch or a sequence. */
const PERPLEXED = 5;

const at = (path: string): string => fileURLToPath(new URL(path, import.meta.url));
/** Running text, and questions that have nothing to do with the facts; the second of each is in every checkout. */
const TEXTS = ["../../shared/data/wikitext-2/test.txt", "../LICENSE"].map(at);
const ZSRE = at("../../shared/data/zsre/zsre_1037.json");

export interface Study {
  /** The path of the model. */
  readonly model: string;
  readonly methods: readonly string[];
  /** Those that a method cannot do are left out. */
  readonly modes: readonly Mode[];
  /** Facts to forget; the other known ones are what shall stay. */
  readonly count: number;
  /** Parameters of the methods by name. */
  readonly params: Readonly<Record<string, unknown>>;
  /** The file of lines; edits and caches stand in a folder beside it. */
  readonly out: string;
  readonly threads: number;
  /** Measure nothing: only what is kept already. */
  readonly kept: boolean;
  /** Make no edits beforehand, and share one cache: seconds hold what only a first edit takes, unless another method found it already. */
  readonly cold: boolean;
  /** As what must stay, lend methods that train the model's own answers to questions of the same set that it does not know. */
  readonly kin: boolean;
  /** Choose the learning rate of methods that train, by forgetting with each of {@link RATES} what is to stay while the facts stay. */
  readonly rates: boolean;
}

/** Learning rates that are tried on other facts than those that count. */
export const RATES = [1e-5, 2e-5, 5e-5, 1e-4] as const;

/** Whether a method descends over steps of batches, at a rate that was not given. */
export const hasRate = (method: string, params: Readonly<Record<string, unknown>>): boolean =>
  "batch" in methodOf(method).params && !("lr" in params);

/** What is measured of one fact after an edit; what is measured of an edit stands at each fact it was made for. */
export interface Line {
  readonly key: string;
  readonly method: string;
  readonly mode: Mode;
  readonly fact: string;
  readonly said: string;
  readonly rephrased: string;
  /** The target, word for word, and nothing else. */
  readonly given: boolean;
  readonly givenRephrased: boolean;
  /** ROUGE-1 recall of the old answer. */
  readonly recall: number;
  readonly recallRephrased: number;
  /** Of how many still answered. */
  readonly neighbours: readonly [kept: number, asked: number];
  readonly others: readonly [kept: number, asked: number];
  readonly perplexity?: number;
  /** Of the search, for each request of the edit. */
  readonly seconds: number;
  /** Of the edit's file. */
  readonly bytes: number;
  /** The learning rate, where one was chosen. */
  readonly lr?: number;
}

/** One learning rate, tried: shares of what was to go that is gone, and of what was to stay that is left. */
interface Tried {
  readonly key: string;
  readonly lr: number;
  readonly gone: number;
  readonly kept: number;
}

/** A method in a mode, as one row of the table. */
export interface Group {
  readonly method: string;
  readonly mode: Mode;
  readonly wanted: number;
  readonly lines: readonly Line[];
  /** Seconds that the first edit takes more than a later one. */
  readonly setUp?: number;
}

/** Runs (or goes on with) the study; the table's rows and the perplexity before any edit. */
export async function study(options: Study): Promise<{ groups: Group[]; before: number }> {
  const model = await load(options.model, defaultContext({ threads: options.threads }));
  try {
    const bench = new Bench(model, options);
    const { known, before } = await bench.base();
    const [forget, rest] = [known.slice(0, options.count), known.slice(options.count)];
    if (forget.length < options.count || rest.length < 2)
      throw new Error(`bench: ${known.length} facts are known, too few to forget ${options.count} and keep others`);
    const groups: Group[] = [];
    for (const method of options.methods)
      for (const mode of options.modes)
        if (mode !== "batch" || methodOf(method).takes === "many") groups.push(await bench.group(method, mode, forget, rest));
    return { groups, before };
  } finally {
    await model.release();
  }
}

class Bench {
  private readonly model: Model;
  private readonly options: Study;
  private readonly lines: Record<string, unknown>[];
  private readonly folder: string;
  private kin: readonly QA[] | undefined;

  constructor(model: Model, options: Study) {
    this.model = model;
    this.options = options;
    this.lines = existsSync(options.out) ? (readLines(options.out) as Record<string, unknown>[]) : [];
    this.folder = options.out.replace(/\.jsonl$/, "");
  }

  private line<T>(key: string): T | undefined {
    return this.lines.findLast((line) => line["key"] === key) as T | undefined;
  }

  private keep<T extends { readonly key: string }>(line: T): T {
    mkdirSync(dirname(this.options.out), { recursive: true });
    appendLine(this.options.out, line);
    this.lines.push(line as T & Record<string, unknown>);
    return line;
  }

  /** What the model knows and how well it reads, before any edit. */
  async base(): Promise<{ known: ForgetRequest[]; before: number }> {
    const asked = factsFor(this.options.model);
    const key = hash("base", this.model.id, asked);
    const kept = this.line<{ known: string[]; perplexity: number }>(key) ?? this.keep({ key, ...(await this.measureBase(asked)) });
    return { known: asked.filter((fact) => kept.known.includes(fact.id)), before: kept.perplexity };
  }

  /** Questions that none of the facts is about, as the model answers them now. */
  private async kinOf(): Promise<readonly QA[]> {
    if (this.kin) return this.kin;
    const others = unknownTo(this.options.model);
    const key = hash("kin", this.model.id, others);
    const prompts = others.map((fact) => fact.prompt);
    const { said } = this.line<{ said: string[] }>(key) ?? this.keep({ key, said: await ask(this.model, prompts) });
    this.kin = others.flatMap(({ id, prompt }, i) => (said[i] === "" ? [] : [{ id, question: prompt, answer: said[i]! }]));
    return this.kin;
  }

  private async measureBase(asked: readonly ForgetRequest[]): Promise<{ known: string[]; perplexity: number }> {
    if (this.options.kept) throw new Error(`bench: ${this.options.out} holds nothing of this model`);
    const known = (await knownOf(this.model, asked)).map((fact) => fact.id);
    return { known, perplexity: await perplexityOf(this.model) };
  }

  /** One row: every fact of `forget` after the edit that was made for it, alone or with the others. */
  async group(method: string, mode: Mode, forget: readonly ForgetRequest[], rest: readonly ForgetRequest[]): Promise<Group> {
    const isChosen = this.options.rates && mode === "batch" && hasRate(method, this.options.params);
    const lr = isChosen ? await this.rateOf(method, forget, rest) : undefined;
    const chosen = lr === undefined ? {} : { lr };
    const params = { ...this.options.params, ...chosen };
    const about = this.about(method, params);
    const warm = await this.warmUp(method, about, rest);
    const together = mode === "single" ? forget.map((fact) => [fact]) : [forget];
    const lines: Line[] = [];
    for (const [place, group] of together.entries()) {
      const keys = group.map((fact) => hash(about, mode, mode === "single" ? [] : forget.map((f) => f.id), fact.id).slice(0, 16));
      const done = keys.map((key) => this.line<Line>(key));
      if (this.options.kept || done.every((line) => line !== undefined)) lines.push(...done.filter((line) => line !== undefined));
      else {
        const made = await this.edit(group, { method, mode, params }, join(this.folder, `${keys[0]}.edit`), this.cacheOf(about, mode));
        const others = mode === "single" ? [...forget, ...rest].filter((fact) => fact !== group[0]) : rest;
        const isRead = mode !== "single" || place < PERPLEXED;
        for (const [i, after] of (await askAll(this.model, made.edit, { group, others, rest, isRead })).entries()) {
          const { seconds, bytes } = made;
          lines.push(
            done[i] ??
              this.keep({ key: keys[i]!, method, mode, ...chosen, ...after, seconds: Number((seconds / group.length).toFixed(2)), bytes }),
          );
        }
        drop(made.path);
      }
      tell(lines.at(-1), lines.length, forget.length);
    }
    return { method, mode, wanted: forget.length, lines, ...(warm !== undefined && { setUp: warm }) };
  }

  /** What an edit depends on beside its facts. */
  private about(method: string, params: Study["params"]): string {
    return hash(this.model.id, method, params, codeOf(method), SAY, ...(this.options.kin ? ["kin"] : [])).slice(0, 16);
  }

  /** The rate that takes and leaves most where the roles are changed: the others are to go, the facts to stay. */
  private async rateOf(method: string, facts: readonly ForgetRequest[], others: readonly ForgetRequest[]): Promise<number | undefined> {
    const tried: Tried[] = [];
    for (const lr of RATES) {
      const params = { ...this.options.params, lr };
      const key = hash(this.about(method, params), "tried", ...[others, facts].map((of) => of.map(({ id }) => id))).slice(0, 16);
      const kept = this.line<Tried>(key);
      if (kept || this.options.kept) {
        if (kept) tried.push(kept);
        continue;
      }
      const made = await this.edit(others, { method, mode: "batch", params }, join(this.folder, `${key}.edit`), join(this.folder, "cold"));
      const said = await ask(
        apply(this.model, made.edit),
        [...others, ...facts].map((fact) => fact.prompt),
      );
      const left = [...others, ...facts].map(({ answer }, i) => recall(answer, said[i]!));
      const gone = left.slice(0, others.length).filter((share) => share <= GONE).length / others.length;
      const stays = left.slice(others.length).filter((share) => share === 1).length / facts.length;
      tried.push(this.keep({ key, method, lr, gone, kept: stays }));
      process.stderr.write(`${method} lr ${lr}, tried on others: ${gone.toFixed(2)} gone, ${stays.toFixed(2)} left\n`);
      drop(made.path);
    }
    return tried.sort((a, b) => b.gone + b.kept - a.gone - a.kept)[0]?.lr;
  }

  /** Seconds that the first edit of all takes more than the next; leaves a cache behind that holds what both needed. */
  private async warmUp(method: string, about: string, rest: readonly ForgetRequest[]): Promise<number | undefined> {
    const key = `${about}-setup`;
    const kept = this.line<{ seconds: number }>(key)?.seconds;
    const cache = join(this.folder, about, "warm");
    if (this.options.cold || this.options.kept || (kept !== undefined && existsSync(cache))) return kept;
    mkdirSync(`${cache}.part`, { recursive: true });
    const took: { path: string; seconds: number }[] = [];
    const { params } = this.options;
    for (const [i, fact] of rest.slice(0, 2).entries())
      took.push(await this.edit([fact], { method, mode: "single", params }, join(this.folder, `${key}-${i}.edit`), `${cache}.part`));
    renameSync(`${cache}.part`, cache);
    const seconds = Number(Math.max(0, took[0]!.seconds - took[1]!.seconds).toFixed(2));
    process.stderr.write(`${method}: set up in ${seconds} s\n`);
    this.keep({ key, method, seconds });
    took.forEach(({ path }) => drop(path));
    return seconds;
  }

  /** A cache of the mode's own, begun from the warm one: what another mode found is not to be found here. Without a warm one, all share one. */
  private cacheOf(about: string, mode: Mode): string {
    if (this.options.cold) return join(this.folder, "cold");
    const cache = join(this.folder, about, mode);
    if (!existsSync(cache)) {
      rmSync(`${cache}.part`, { recursive: true, force: true });
      cpSync(join(this.folder, about, "warm"), `${cache}.part`, { recursive: true });
      renameSync(`${cache}.part`, cache);
    }
    return cache;
  }

  /** An edit for a group, or the one that an earlier run left at `path`; its seconds are counted over restarts. */
  private async edit(
    group: readonly ForgetRequest[],
    { method, mode, params }: { readonly method: string; readonly mode: Mode; readonly params: Study["params"] },
    path: string,
    cache: string,
  ): Promise<{ path: string; edit: Edit; seconds: number; bytes: number }> {
    const noted = `${path}.json`;
    const before = existsSync(noted) ? (readJson(noted, "bench") as { seconds: number }).seconds : 0;
    if (existsSync(path)) return { path, edit: loadEdits(path)[0]!, seconds: before, bytes: statSync(path).size };
    const start = performance.now();
    let written = start;
    const note = (): void => {
      written = performance.now();
      writeAtomic(noted, JSON.stringify({ seconds: before + (written - start) / 1e3 }));
    };
    const log = (): void => void (performance.now() - written > 5000 && note());
    const edit = await findEdit(this.model, group, {
      method,
      mode,
      ...(methodOf(method).needs.includes("target") && { say: SAY }),
      params,
      journal: `${path}.part`,
      ...Object.assign({}, ...methodOf(method).needs.map((need) => lent(need))),
      ...(this.options.kin && methodOf(method).needs.includes("retain") && { retain: await this.kinOf() }),
      ctx: defaultContext({ cache, log, threads: this.options.threads }),
    });
    note();
    saveEdits(path, [edit]);
    closeJournal(`${path}.part`);
    return { path, edit, seconds: before + (written - start) / 1e3, bytes: statSync(path).size };
  }
}

/** Forgets an edit whose lines are kept. */
function drop(path: string): void {
  for (const file of [path, `${path}.json`]) rmSync(file, { force: true });
}

/** What a method with a need is given beside the facts: other facts that have nothing to do with them. Retain sets are the model's own. */
const lent = (need: Need): Pick<FindOptions, "demonstrations"> =>
  need === "demonstrations" ? { demonstrations: existsSync(ZSRE) ? zsre.read({ path: ZSRE }).requests.slice(0, 40) : [] } : {};

/** The facts of a group, and what should have stayed, asked of the edited model. */
async function askAll(
  model: Model,
  edit: Edit,
  asked: { group: readonly ForgetRequest[]; others: readonly ForgetRequest[]; rest: readonly ForgetRequest[]; isRead: boolean },
): Promise<Omit<Line, "key" | "method" | "mode" | "seconds" | "bytes">[]> {
  const { group, others, rest, isRead } = asked;
  const edited = apply(model, edit);
  const questions = [group.map((f) => f.prompt), group.map((f) => f.paraphrases[0]!), others.map((f) => f.prompt)];
  const answers = await ask(edited, questions.flat());
  const stays = new Map(others.map((fact, i) => [fact.id, recall(fact.answer, answers[2 * group.length + i]!) === 1]));
  const count = (of: readonly ForgetRequest[]): [number, number] => [of.filter((fact) => stays.get(fact.id)).length, of.length];
  const read = isRead ? { perplexity: await perplexityOf(edited) } : {};
  return group.map((fact, i) => {
    const [said, rephrased] = [answers[i]!, answers[group.length + i]!];
    return {
      fact: fact.id,
      said,
      rephrased,
      given: said === SAY,
      givenRephrased: rephrased === SAY,
      recall: recall(fact.answer, said),
      recallRephrased: recall(fact.answer, rephrased),
      neighbours: count(neighboursOf(fact, rest)),
      others: count(others),
      ...read,
    };
  });
}

export async function perplexityOf(model: Model): Promise<number> {
  return perplexity.score({ rows: await measureText(model, TEXTS.find(existsSync)!), scores: {} }).value;
}

/** What a method is; it computes nothing. */
const CONTRACT = "src/methods/method.ts";

/** A hash of what finds a method's edits: its file, the shared craft that it imports, its tuned values, and the version of the rest. */
export function codeOf(method: string, files: ReadonlyMap<string, string> = readFiles()): string {
  const own = new Set<string>();
  const visit = (path: string): void => {
    if (own.has(path) || !files.has(path) || path === CONTRACT) return;
    own.add(path);
    for (const next of imports(files, path, "loaded")) if (/^src\/(methods|locate|train)\//.test(next)) visit(next);
  };
  visit(`src/methods/${method}.ts`);
  return hash(
    version,
    Object.values(tuned.families).map((family) => family[method] ?? {}),
    [...own].sort().map((path) => [path, files.get(path)!]),
  );
}

function tell(line: Line | undefined, done: number, wanted: number): void {
  if (!line) return;
  const { method, mode, fact, said, recallRephrased, others, seconds } = line;
  const shown = JSON.stringify(said.length > 60 ? `${said.slice(0, 60)}…` : said);
  process.stderr.write(
    `${method} ${mode} ${done}/${wanted} ${fact}: ${shown}, rephrased recall ${recallRephrased.toFixed(2)}, others ${others.join("/")}, ${seconds.toFixed(1)} s\n`,
  );
}

export const HEAD = [
  "method",
  "mode",
  "lr",
  "facts",
  "says the target",
  "gone",
  "recall",
  "rephrased: target",
  "rephrased: gone",
  "rephrased: recall",
  "neighbours",
  "others",
  "perplexity",
  "s an edit",
  "set-up, s",
  "KiB",
];

/** The groups as rows of text, heading first; a group of which nothing is kept is left out. */
export function rowsOf(groups: readonly Group[], before: number): string[][] {
  const rows = groups.filter(({ lines }) => lines.length > 0);
  return [
    HEAD,
    ...rows.map(({ method, mode, wanted, lines, setUp }) => {
      const mean = (of: (line: Line) => number): number => lines.reduce((sum, line) => sum + of(line), 0) / lines.length;
      const share = (of: (line: Line) => number): string => `${(100 * mean(of)).toFixed(1)} %`;
      const read = lines.flatMap((line) => line.perplexity ?? []);
      const { title, needs } = methodOf(method);
      const target = (of: (line: Line) => boolean): string => (needs.includes("target") ? share((line) => Number(of(line))) : "-");
      return [
        title,
        mode,
        lines[0]!.lr === undefined ? "-" : String(lines[0]!.lr),
        lines.length === wanted ? `${wanted}` : `${lines.length} of ${wanted}`,
        target((line) => line.given),
        share((line) => Number(line.recall <= GONE)),
        mean((line) => line.recall).toFixed(2),
        target((line) => line.givenRephrased),
        share((line) => Number(line.recallRephrased <= GONE)),
        mean((line) => line.recallRephrased).toFixed(2),
        share((line) => line.neighbours[0] / line.neighbours[1]),
        share((line) => line.others[0] / line.others[1]),
        `${before.toFixed(2)} → ${read.length ? (read.reduce((a, b) => a + b, 0) / read.length).toFixed(2) : "?"}`,
        median(lines.map((line) => line.seconds)).toFixed(1),
        setUp === undefined ? "-" : setUp.toFixed(0),
        (median(lines.map((line) => line.bytes)) / 1024).toFixed(0),
      ];
    }),
  ];
}
