/** The races by name: what each side does in its turn, and what the project asks of it. */
import { existsSync } from "node:fs";
import { fileURLToPath } from "node:url";
import type { ForgetRequest } from "../src/data/request.ts";
import { bundled } from "../src/data/sets/bundled.ts";
import { factual } from "../src/data/sets/factual.ts";
import type { Ours, TrainingKind } from "./ours.ts";
import { type Given, STEP } from "./ours-edits.ts";
import type { Peer } from "./peer.ts";
import type { Race, Took, Turn } from "./race.ts";
import {
  adapterWork,
  BATCH_CONTEXTS,
  CONTEXTS,
  evalWork,
  prompts,
  requestWork,
  romeWork,
  type Sizes,
  textRows,
  type Wanted,
  wantedFacts,
} from "./work.ts";

/** What a suite is given; `peer` is absent where no Python has torch. */
export interface Stage {
  readonly ours: Ours;
  readonly peer: Peer | undefined;
  readonly sizes: Sizes;
}

/** Share of a row's tokens that are its answer: that of TOFU's rows in the chat template (PISTOL's is a fifth of it). */
const ANSWER = 0.43;

/** Facts, questions or rows of text from which a turn takes minutes. */
const LONG = 8;

/** Every suite starts with a peer and a model of its own, since training changes both. */
export const SUITES: Readonly<Record<string, (stage: Stage) => Race[] | Promise<Race[]>>> = {
  decode,
  forward,
  evaluate,
  train: train("full", "training step", 1.15),
  "train-lora": train("lora", "LoRA step, r 8", 1.4),
  "train-top": train("top", "step of the top third", 1.8, ANSWER),
  "train-top-text": train("top", "step of the top third"),
  rome,
  statistics,
  memit: (stage) => batch(stage, { title: "MEMIT", method: "memit", weight: 15_000, named: "weight" }),
  alphaedit: (stage) => batch(stage, { title: "AlphaEdit", method: "alphaedit", weight: 1, named: "l2" }),
  // a radius that is given, as EasyEdit's is: nothing is measured
  grace: (stage) => adapter(stage, "grace", [], { params: { radius: 1 }, compat: [] }),
  // one question that stays, the gradient as it is, and every evaluation
  wise: (stage) => adapter(stage, "wise", CONTEXTS.slice(5, 15), { params: { locality: 1, patience: 0 }, compat: ["plain-gradient"] }),
};

/** The suites that take minutes: those that run when none is named. */
export const EVERYDAY: readonly string[] = ["decode", "forward", "evaluate", "train", "train-lora", "train-top", "rome", "statistics"];

function decode({ ours, peer, sizes }: Stage): Race[] {
  const kinds = [1, 8].flatMap((batch) => [false, true].map((freeze) => [batch, freeze] as const));
  return kinds.map(([batch, freeze]) => {
    const rows = prompts(ours.words, batch);
    return {
      name: `decode, batch ${batch}${freeze ? ", frozen" : ""}`,
      unit: "tok/s",
      tokens: batch * sizes.newTokens,
      wanted: 2,
      ours: () => ours.decode(rows, sizes.newTokens, freeze),
      peer: peer && (() => peer.ask("decode", { prompts: rows, new_tokens: sizes.newTokens })),
      same: (a, b) => {
        const [mine, theirs] = [a["ids"], b["ids"]] as [number[][], number[][]];
        return `${mine.filter((row, i) => String(row) === String(theirs[i])).length}/${batch} rows`;
      },
    };
  });
}

function forward({ ours, peer, sizes }: Stage): Race[] {
  const ids = textRows(ours.words, sizes);
  return [
    {
      name: `forward, ${sizes.rows} x ${sizes.columns}`,
      unit: "ms",
      wanted: 1.2,
      ours: () => ours.forward(ids),
      peer: peer && (() => peer.ask("forward", { ids })),
      same: (a, b) => {
        const [mine, theirs] = [a["argmax"], b["argmax"]] as [number[], number[]];
        return `${mine.filter((id, i) => id === theirs[i]).length}/${ids.length} tokens`;
      },
    },
  ];
}

/** Questions of a batch, and new tokens of an answer. */
const [TOGETHER, ANSWERED] = [16, 24];

const at = (path: string): string => fileURLToPath(new URL(path, import.meta.url));
const FACTUAL = at("../../shared/data/pistol/factual_data.json");

/** Questions of an evaluation: the factual set where it is, otherwise the bundled world. */
const evaluated = (): readonly ForgetRequest[] =>
  existsSync(FACTUAL) ? factual.read({ path: FACTUAL }).requests : bundled.read({ path: at("../bundled") }).requests;

/** An evaluation of the factual set: answers generated, given answers read, metrics. */
function evaluate({ ours, peer }: Stage): Race[] {
  const asked = evaluated().map(({ id, prompt, answer }) => ({ id, group: "all", question: prompt, answer }));
  const work = evalWork(ours.words, asked);
  const given = { ...work, new_tokens: ANSWERED, together: TOGETHER, stops: ours.words.ends };
  return [
    {
      name: `evaluation of ${asked.length} questions`,
      unit: "s",
      wanted: 2.5,
      isLong: asked.length > LONG,
      ours: () => ours.evaluate(asked, TOGETHER, ANSWERED),
      peer: peer && (() => peer.ask("evaluate", given)),
      same: (a, b) => {
        const [mine, theirs] = [a["said"] as string[], (b["ids"] as number[][]).map((ids) => ours.words.decode(ids))];
        return `${mine.filter((text, i) => text === theirs[i]).length}/${asked.length} answers, ${byLoss("loss")(a, b)}`;
      },
    },
  ];
}

/**
 * A step of training, its moments kept from turn to turn; each kind is a suite, since each changes what it trains. Labels are the last
 * `share` of each row's tokens; by default all of them, as of running text.
 */
function train(kind: TrainingKind, named: string, wanted?: number, share = 1): (stage: Stage) => Race[] {
  return ({ ours, peer, sizes }) => {
    const ids = textRows(ours.words, sizes);
    const answer = Math.round(share * sizes.columns);
    return [
      {
        name: `${named}, ${sizes.rows} x ${sizes.columns}${share < 1 ? `, answers of ${answer}` : ""}`,
        unit: "ms",
        ...(wanted !== undefined && { wanted }),
        ours: () => ours.train(ids, answer, kind),
        peer: peer && (() => peer.ask("train", { ids, answer, kind })),
        same: byLoss("loss"),
      },
    ];
  };
}

/** Facts that the race of whole edits takes in turn, one a turn. */
const EDITED = 10;

function rome({ ours, peer, sizes }: Stage): Race[] {
  const { layer, evaluations } = sizes;
  const work = romeWork(ours.words, sizes);
  const { key_rows: _rows, key_at: _at, ...value } = work;
  const facts = wantedFacts(EDITED);
  return [
    {
      name: "ROME step",
      unit: "ms",
      wanted: 2,
      ours: () => ours.romeStep(work),
      peer: peer && (() => peer.ask("rome-step", value)),
      same: byLoss("loss"),
    },
    {
      name: `ROME edit, ${evaluations} evaluations`,
      unit: "s",
      wanted: 4,
      ours: inTurn(facts, (fact) => ours.romeEdit(fact, layer, evaluations)),
      peer: peer && inTurn(facts, (fact) => peer.ask("rome-edit", { ...romeWork(ours.words, sizes, fact), evaluations, stop: 0 })),
      same: byLoss("norm"),
    },
  ];
}

/** A side's turns, each with the next of the facts, from the first again behind the last: both sides have the same one in a round. */
function inTurn(facts: readonly Wanted[], turn: (fact: Wanted) => Promise<Took>): Turn {
  let turns = 0;
  return () => turn(facts[turns++ % facts.length]!);
}

/** Tokens of a row of the text that second moments are taken over. */
const LENGTH = 512;

/** Five blocks that end at the edited one, fewer where there are not so many below it. */
const layersOf = ({ layer }: Sizes): number[] => Array.from({ length: Math.min(5, layer + 1) }, (_, i) => Math.max(0, layer - 4) + i);

const momentRows = ({ ours, sizes }: Stage): (readonly number[])[] =>
  textRows(ours.words, { rows: Math.max(1, Math.round(sizes.tokens / LENGTH)), columns: LENGTH });

function statistics(stage: Stage): Race[] {
  const { ours, peer, sizes } = stage;
  const [rows, layers] = [momentRows(stage), layersOf(sizes)];
  return [
    {
      name: `second moments, ${layers.length} layers, ${rows.length * LENGTH} tokens`,
      unit: "s",
      isLong: rows.length > LONG,
      wanted: 4,
      ours: () => ours.edits.statistics(rows, layers),
      peer: peer && (() => peer.ask("statistics", { layers, rows, together: STEP / LENGTH })),
      same: byLoss("norm"),
    },
  ];
}

interface Batch {
  readonly title: string;
  readonly method: "memit" | "alphaedit";
  readonly weight: number;
  /** What the peer calls the weight. */
  readonly named: string;
}

async function batch(stage: Stage, { title, method, weight, named }: Batch): Promise<Race[]> {
  const { ours, peer, sizes } = stage;
  const { evaluations } = sizes;
  const facts = wantedFacts(sizes.facts);
  const layers = layersOf(sizes);
  const file = fileURLToPath(new URL("../runs/bench-moments.safetensors", import.meta.url));
  const moments = await ours.edits.moments(momentRows(stage), layers, file);
  const asked = {
    layers,
    requests: facts.map((fact) => requestWork(ours.words, fact, BATCH_CONTEXTS)),
    evaluations,
    moments: file,
    [named]: weight,
    ...(method === "alphaedit" && { thresholds: moments.medians }),
  };
  return [
    {
      name: `${title} edit, ${facts.length} facts, ${evaluations} evaluations`,
      unit: "s",
      isLong: facts.length > LONG,
      wanted: 5,
      ours: () => ours.edits.batch(method, facts, moments, { evaluations, weight }),
      peer: peer && (() => peer.ask(method, asked)),
      same: byLoss("norm"),
    },
  ];
}

/** A method that may not be there (yet): then there is nothing to race, and it is said. */
function adapter({ ours, peer, sizes }: Stage, method: string, contexts: readonly string[], given: Given): Race[] {
  const mine = ours.edits.adapter(method, sizes.evaluations, given);
  if (!mine) {
    process.stderr.write(`${method}: there is no such method here, so nothing to race\n`);
    return [];
  }
  const work = adapterWork(ours.words, contexts);
  return [
    {
      name: `${method.toUpperCase()} edit, ${mine.iterations} iterations`,
      unit: "s",
      wanted: 5,
      ours: () => mine.edit(work, contexts),
      peer: peer && (() => peer.ask(method, { layer: mine.layer, iterations: mine.iterations, ...work })),
      same: (a, b) => `nll ${Number(a["nll"]).toPrecision(2)}, ${Number(b["nll"]).toPrecision(2)}`,
    },
  ];
}

/** Relative difference of one number of both answers. */
const byLoss =
  (name: string): NonNullable<Race["same"]> =>
  (a, b) => {
    const [mine, theirs] = [a[name], b[name]] as [number, number];
    return `${name} ${(Math.abs(mine - theirs) / Math.abs(theirs)).toExponential(0)}`;
  };
