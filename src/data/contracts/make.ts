/** Contracts of a graph: invented parties, terms drawn with a seed, and each term as a request. */
import { fail } from "../../base/fail.ts";
import { type Rng, rng } from "../../base/rng.ts";
import type { ForgetRequest, QA } from "../request.ts";
import { componentsOf, type Edge, type Graph, type Kind } from "./graph.ts";
import { type Source, type Term, TERMS } from "./terms.ts";

/** A company or a person; the same in all its contracts. */
export interface Party {
  readonly id: string;
  readonly name: string;
  readonly address: string;
}

export interface Contract {
  readonly edge: Edge;
  /** Seller and customer, or employer and employee. */
  readonly parties: readonly [first: Party, second: Party];
  readonly date: string;
  /** The value of each term, in their order. */
  readonly values: readonly string[];
}

/** All contracts of a graph and their parties. */
export interface Contracts {
  readonly graph: Graph;
  readonly seed: number | string;
  readonly parties: readonly Party[];
  readonly contracts: readonly Contract[];
}

const SUFFIXES = "Ltd Inc Corp LLC PLC GmbH AG SA SARL SRL BV BVBA NV SE SAS".split(" ");
const STREETS = "Street Road Lane Drive Avenue Boulevard Court Crescent Highway Terrace Way Place Square Alley Circle".split(" ");
const [FIRST_YEAR, YEARS] = [1980, 40];
/** Two parties with fewer contracts than half the days of these years always have a free day in common. */
const MOST = 7_000;

const pick = <T>(chance: Rng, items: readonly T[]): T => items[chance.below(items.length)]!;
function word(chance: Rng, length: number): string {
  let letters = "";
  for (let i = 0; i < length; i++) letters += String.fromCharCode(97 + chance.below(26));
  return letters[0]!.toUpperCase() + letters.slice(1);
}
const two = (n: number): string => String(n).padStart(2, "0");

function dateOf(chance: Rng): string {
  const year = FIRST_YEAR + chance.below(YEARS);
  const month = 1 + chance.below(12);
  const days = new Date(Date.UTC(year, month, 0)).getUTCDate(); // the day before the next month begins
  return `${two(1 + chance.below(days))}-${two(month)}-${year}`;
}

/** Unique names and addresses: the six letters of a company or a street and the name of a person are used once, whatever follows them. */
class Register {
  private readonly taken = new Set<string>();

  company(chance: Rng): string {
    return `${this.once(() => word(chance, 6))} ${pick(chance, SUFFIXES)}`;
  }
  person(chance: Rng): string {
    return this.once(() => `${word(chance, 4)} ${word(chance, 4)}`);
  }
  address(chance: Rng): string {
    const number = String(chance.below(1000)).padStart(3, "0");
    return `${number} ${this.once(() => word(chance, 6))} ${pick(chance, STREETS)}`;
  }

  private once(draw: () => string): string {
    for (;;) {
      const text = draw();
      if (!this.taken.has(text) && this.taken.add(text)) return text;
    }
  }
}

/** The contracts of a graph. The same graph and seed give the same contracts. A company with more than 7,000 is refused, because days run out. */
export function drawContracts(graph: Graph, seed: number | string): Contracts {
  const chance = rng(seed).split("contracts");
  const register = new Register();
  const named =
    (draw: (chance: Rng) => string) =>
    (id: string): [string, Party] => {
      const own = chance.split(`party ${id}`);
      return [id, { id, name: draw(own), address: register.address(own) }];
    };
  const parties = new Map([
    ...graph.companies.map(named((own) => register.company(own))),
    ...graph.people.map(named((own) => register.person(own))),
  ]);
  const days = new Map([...parties.keys()].map((id) => [id, new Set<string>()]));
  const once = Object.fromEntries(
    (["sale", "employment"] as const).map((kind) => [kind, TERMS[kind].map(({ name, from }) => inTurn(name, from, chance))]),
  ) as Record<Kind, (((own: Rng) => string) | undefined)[]>;
  const contracts = graph.edges.map((edge): Contract => {
    const own = chance.split(`edge ${edge.id}`);
    const [from, to] = [parties.get(edge.from)!, parties.get(edge.to)!];
    const date = freeDay(own, days.get(edge.from)!, days.get(edge.to)!, edge);
    const isTurned = edge.kind === "sale" && own.below(2) === 1; // either end sells
    const between: Contract["parties"] = isTurned ? [to, from] : [from, to];
    const values: string[] = [];
    TERMS[edge.kind].forEach((term, i) => values.push(once[edge.kind][i]?.(own) ?? valueOf(term, between, date, values, own, register)));
    return { edge, parties: between, date, values };
  });
  return { graph, seed, parties: [...parties.values()], contracts };
}

function freeDay(chance: Rng, first: Set<string>, second: Set<string>, edge: Edge): string {
  if (first.size >= MOST || second.size >= MOST)
    fail(
      "contracts",
      `more than ${MOST} contracts of one party (at ${edge.id})`,
      "fewer",
      "No two contracts of a party have the same date. Use fewer companies.",
    );
  for (;;) {
    const date = dateOf(chance);
    if (first.has(date) || second.has(date)) continue;
    first.add(date);
    second.add(date);
    return date;
  }
}

/** Lists longer than this (goods and positions) are used up before an entry repeats. */
const LONG = 64;

function inTurn(name: string, from: Source, chance: Rng): ((own: Rng) => string) | undefined {
  if (typeof from === "string" || from.length < LONG || /^\d/.test(from[0]!)) return undefined;
  const order = chance.split(`order of ${name}`).shuffled(from);
  let next = 0;
  return () => order[next++ % order.length]!;
}

function valueOf(
  { name, from }: Term,
  [first, second]: Contract["parties"],
  date: string,
  before: readonly string[],
  chance: Rng,
  register: Register,
): string {
  const isSecond = /^(customer|employee)-/.test(name);
  const party = isSecond ? second : first;
  if (from === "date") return date;
  if (from === "company" || from === "person") return party.name;
  if (from === "address") return /^(delivery|work)-/.test(name) ? register.address(chance) : party.address;
  if (from === "product") return String(before.slice(-2).reduce((total, n) => total * Number(n), 1)); // quantity, unit price
  return pick(chance, from);
}

/** Maximal number of false answers per question. */
const WRONG = 5;
/** Neighbours per request. */
const NEAR = 3;

/**
 * The twenty requests of each contract, contract by contract. A neighbour asks the same question about another contract, preferably one that
 * shares a party. Contracts in `gone` are never neighbours.
 */
export function* requestsOf(all: Contracts, gone: ReadonlySet<string> = new Set()): Generator<readonly ForgetRequest[]> {
  const { contracts, graph, seed } = all;
  const near = neighboursIn(contracts, gone);
  const chance = rng(seed).split("contracts").split("false answers");
  const names = { company: graph.companies, person: graph.people };
  const byId = new Map(all.parties.map((party) => [party.id, party]));
  const drawName = (kind: "company" | "person", own: Rng): string => {
    const ids = names[kind];
    if (ids.length > 2 * WRONG) return byId.get(pick(own, ids))!.name;
    return kind === "company" ? `${word(own, 6)} ${pick(own, SUFFIXES)}` : `${word(own, 4)} ${word(own, 4)}`;
  };
  for (const [at, contract] of contracts.entries()) {
    const own = chance.split(contract.edge.id);
    const others = near(at).map((i) => contracts[i]!);
    yield TERMS[contract.edge.kind].map((term, i): ForgetRequest => {
      const [prompt, ...paraphrases] = term.asks.map((ask) => filled(ask, contract)) as [string, ...string[]];
      return {
        id: idOf(all, contract, term),
        subject: subjectOf(term, contract),
        prompt,
        answer: `${contract.values[i]}.`,
        paraphrases,
        neighbours: others.map((other): QA => ({
          id: idOf(all, other, term),
          question: filled(term.asks[0], other),
          answer: `${other.values[i]}.`,
        })),
        wrong: wrongOf(term, contract, i, own, drawName).map((value) => `${value}.`),
        relation: term.name,
        group: contract.edge.id,
      };
    });
  }
}

/** The id contains shape and seed, because the facts depend on them. */
const idOf = ({ graph, seed }: Contracts, { edge }: Contract, { name }: Term): string => `pistol/${graph.shape}-${seed}/${edge.id}/${name}`;
const filled = (text: string, { parties: [a, b], date }: Contract, value = ""): string =>
  text.replaceAll(/\{(A|B|date|v)\}/g, (_, key: string) => ({ A: a.name, B: b.name, date, v: value })[key]!);

/** The party that the question names first. */
function subjectOf({ asks: [ask] }: Term, { parties: [a, b] }: Contract): string {
  const [first, second] = [ask.indexOf("{A}"), ask.indexOf("{B}")];
  return second < 0 || (first >= 0 && first < second) ? a.name : b.name;
}

/** Values of the same kind that are not the right one; never a name or address of either party. */
function wrongOf(
  { from }: Term,
  { parties: [a, b], values }: Contract,
  at: number,
  chance: Rng,
  drawName: (kind: "company" | "person", chance: Rng) => string,
): string[] {
  const right = new Set([values[at]!, a.name, b.name, a.address, b.address]);
  if (typeof from !== "string" && from.length <= 2 * WRONG)
    return chance.shuffled(from.filter((value) => !right.has(value))).slice(0, WRONG);
  const draw = (): string => {
    if (typeof from !== "string") return pick(chance, from);
    if (from === "date") return dateOf(chance);
    if (from === "product") return String((1 + chance.below(100)) * (1 + chance.below(100)));
    if (from === "address") return `${String(chance.below(1000)).padStart(3, "0")} ${word(chance, 6)} ${pick(chance, STREETS)}`;
    return drawName(from, chance);
  };
  const wrong = new Set<string>();
  while (wrong.size < WRONG) {
    const value = draw();
    if (!right.has(value)) wrong.add(value);
  }
  return [...wrong];
}

/** For each contract up to three contracts of its kind: those that share a party, then the next ones. */
function neighboursIn(contracts: readonly Contract[], gone: ReadonlySet<string>): (at: number) => number[] {
  const stay = contracts.map((contract, i) => ({ ...contract.edge, i })).filter(({ id }) => !gone.has(id));
  const touching = new Map<string, number[]>();
  const byKind: Record<Kind, number[]> = { sale: [], employment: [] };
  const rank = { sale: new Map<number, number>(), employment: new Map<number, number>() };
  for (const { kind, from, to, i } of stay) {
    rank[kind].set(i, byKind[kind].push(i));
    for (const node of [from, to]) {
      const known = touching.get(`${kind} ${node}`);
      if (known) known.push(i);
      else touching.set(`${kind} ${node}`, [i]);
    }
  }
  return (at) => {
    const { kind, from, to } = contracts[at]!.edge;
    const found = new Set<number>();
    const after = rank[kind].get(at) ?? 0;
    const rest = [...byKind[kind].slice(after, after + NEAR), ...byKind[kind].slice(0, NEAR + 1)];
    for (const list of [touching.get(`${kind} ${from}`) ?? [], touching.get(`${kind} ${to}`) ?? [], rest])
      for (const i of list) {
        if (found.size === NEAR) return [...found];
        if (i !== at) found.add(i);
      }
    return [...found];
  };
}

const TITLES: Readonly<Record<Kind, readonly [title: string, opening: string]>> = {
  sale: ["Contract of sale", "This contract is made between {A}, who sells, and {B}, who buys."],
  employment: ["Contract of employment", "This contract is made between {A}, who employs, and {B}, who is employed."],
};

/** The text of a contract: parties, then twenty numbered clauses, each with one term. */
export function contractText(contract: Contract): string {
  const { kind } = contract.edge;
  const [title, opening] = TITLES[kind];
  const clauses = TERMS[kind].map(({ clause }, i) => `${i + 1}. ${filled(clause, contract, contract.values[i])}`);
  return [title, "", filled(opening, contract), "", ...clauses, "", `Signed by ${filled("{A} and {B}", contract)}.`].join("\n");
}

/** The values of a contract by the names of its terms. */
export const factsOf = ({ edge, values }: Contract): Record<string, string> =>
  Object.fromEntries(TERMS[edge.kind].map(({ name }, i) => [name, values[i]!]));

/** Edges that are not connected to any edge in `gone`. */
export function apart({ graph }: Contracts, gone: ReadonlySet<string>): Set<string> {
  return new Set(
    componentsOf(graph)
      .filter((ids) => !ids.some((id) => gone.has(id)))
      .flat(),
  );
}
