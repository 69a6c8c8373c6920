/** The graph of contracts: companies and people are nodes, contracts are edges; each shape has a name. */
import { fail, nearest } from "../../base/fail.ts";
import { type Rng, rng } from "../../base/rng.ts";

export type Kind = "sale" | "employment";

/** A contract; for an employment, `from` is the employer. */
export interface Edge {
  /** `A_B`: both ends. */
  readonly id: string;
  readonly kind: Kind;
  readonly from: string;
  readonly to: string;
}
export interface Graph {
  readonly shape: string;
  readonly companies: readonly string[];
  readonly people: readonly string[];
  readonly edges: readonly Edge[];
}

export interface GraphSpec {
  readonly shape: string;
  readonly seed: number | string;
  /** Number of companies, for a shape with any number of them. */
  readonly nodes?: number;
  /** Sales of a random graph; by default twice as many as companies. */
  readonly edges?: number;
  /** Employees of each company. */
  readonly employment?: number;
}

type Pair = readonly [from: string, to: string];
interface Shape {
  readonly doc: string;
  /** The least and the default number of companies; absent: the shape has a fixed number. */
  readonly nodes?: readonly [least: number, usual: number];
  readonly sales: (n: number, edges: number | undefined, chance: Rng) => readonly Pair[];
  readonly jobs?: readonly Pair[];
  /** Whether the number of sales can be chosen. */
  readonly isDrawn?: true;
}

/** The maximal number of contracts; more would fill a disk. */
const MOST = 100_000;

const upTo = (n: number): number[] => Array.from({ length: Math.max(0, n) }, (_, i) => i);
const pair = (a: number, b: number): Pair => [String(a), String(b)];
const chain = (first: number, last: number): Pair[] => upTo(last - first).map((i) => pair(first + i, first + i + 1));
const complete = (first: number, n: number): Pair[] =>
  upTo(n).flatMap((i) => upTo(n - i - 1).map((k) => pair(first + i, first + i + k + 1)));
const pairs = (list: string): Pair[] => list.split(" ").map((id) => id.split("_") as unknown as Pair);

export const SHAPES: Readonly<Record<string, Shape>> = {
  star: { doc: "one company trades with all others", nodes: [2, 10], sales: (n) => upTo(n - 1).map((i) => pair(0, i + 1)) },
  chain: { doc: "each company trades with the next", nodes: [2, 10], sales: (n) => chain(0, n - 1) },
  ring: { doc: "a chain whose two ends also trade", nodes: [3, 10], sales: (n) => [...chain(0, n - 1), pair(0, n - 1)] },
  complete: { doc: "every company trades with every other", nodes: [2, 10], sales: (n) => complete(0, n) },
  random: { doc: "a connected graph with --edges sales, drawn with the seed", nodes: [2, 10], sales: connected, isDrawn: true },
  "sample-1": {
    doc: "PISTOL's first sample: two hubs and three separate clusters; 10 sales and 10 employments",
    sales: () => pairs("A_B A_C A_C2 A_C3 B_D B_D2 B_D3 E1_F1 E2_F2 E3_F3"),
    jobs: pairs("A_m A_n A_n2 A_n3 B_p B_p2 B_p3 E1_q1 E2_q2 E3_q3"),
  },
  "sample-2": {
    doc: "PISTOL's second sample: three graphs of 10 companies (sparse, half dense, dense); 75 sales",
    sales: () => [
      ...chain(0, 9),
      ...chain(10, 19),
      ...upTo(4).map((i) => pair(10 + i, 19 - i)),
      ...upTo(4).map((i) => pair(10 + i, 18 - i)),
      ...upTo(4).map((i) => pair(14 - i, 16 + i)),
      ...complete(20, 10),
    ],
  },
};

/** The graph of a shape. Refuses an unknown shape, numbers that do not fit it, and more than 100,000 contracts. */
export function drawGraph({ shape: name, seed, nodes, edges, employment = 0 }: GraphSpec): Graph {
  const names = Object.keys(SHAPES);
  const near = nearest(name, names);
  const shape = Object.hasOwn(SHAPES, name)
    ? SHAPES[name]!
    : fail("--shape", `there is no shape "${name}"`, names.join(", "), near ? `Did you mean "${near}"?` : "");
  const wholes = Object.entries({ nodes, edges, employment }).filter(([, n]) => n !== undefined && !(Number.isInteger(n) && n >= 0));
  for (const [flag, n] of wholes) fail(`--${flag}`, `${n}`, "a whole number", "");
  if (!shape.nodes && nodes !== undefined)
    fail("--nodes", `${nodes}`, `no number: ${name} has a fixed number of companies`, "Omit --nodes.");
  if (edges !== undefined && !shape.isDrawn)
    fail("--edges", `${edges}`, `no number: ${name} has a fixed number of contracts`, "Omit --edges, or use --shape random.");
  const [least, usual] = shape.nodes ?? [0, 0];
  const n = nodes ?? usual;
  if (n < least) fail("--nodes", `${n}`, `at least ${least} companies for ${name}`, "");
  const most = (count: number): void => {
    if (count > MOST) fail("contracts", `${count} contracts`, `at most ${MOST}`, "Use fewer --nodes, --edges or --employment.");
  };
  most(name === "complete" ? (n * (n - 1)) / 2 : Math.max(n, edges ?? 0));
  const sales = shape.sales(n, edges, rng(seed).split("contracts").split("graph"));
  const companies = [...new Set(sales.flat())];
  most(sales.length + companies.length * employment);
  const jobs = [...(shape.jobs ?? []), ...companies.flatMap((c) => upTo(employment).map((i): Pair => [c, `${c}w${i + 1}`]))];
  const edge =
    (kind: Kind) =>
    ([from, to]: Pair): Edge => ({ id: `${from}_${to}`, kind, from, to });
  return {
    shape: name,
    companies,
    people: jobs.map(([, person]) => person),
    edges: [...sales.map(edge("sale")), ...jobs.map(edge("employment"))],
  };
}

/** A random tree, and then distinct random pairs until there are enough edges. */
function connected(n: number, edges: number | undefined, chance: Rng): Pair[] {
  const all = (n * (n - 1)) / 2;
  const m = edges ?? Math.min(2 * n, all);
  if (m < n - 1 || m > all)
    fail(
      "--edges",
      `${m}`,
      `from ${n - 1} to ${all} for ${n} companies`,
      "Fewer edges leave a company unconnected; more would join a pair twice.",
    );
  const taken = new Set(upTo(n - 1).map((i) => chance.below(i + 1) * n + i + 1));
  if (m > all / 2) {
    const rest = upTo(n).flatMap((a) => upTo(n - a - 1).map((k) => a * n + a + k + 1));
    for (const code of chance.shuffled(rest)) if (taken.size < m) taken.add(code);
  }
  while (taken.size < m) {
    const [a, b] = [chance.below(n), chance.below(n)];
    if (a < b) taken.add(a * n + b);
  }
  return [...taken].sort((a, b) => a - b).map((code) => pair(Math.floor(code / n), code % n));
}

/** The connected components, by contracts of either kind: each as the ids of its edges. */
export function componentsOf({ edges }: Graph): string[][] {
  const at = new Map<string, string>();
  const root = (node: string): string => {
    let top = node;
    while (at.has(top) && at.get(top) !== top) top = at.get(top)!;
    at.set(node, top);
    return top;
  };
  for (const { from, to } of edges) {
    const [a, b] = [root(from), root(to)];
    if (a !== b) at.set(b, a);
  }
  const found = new Map<string, string[]>();
  for (const { id, from } of edges) {
    const top = root(from);
    const known = found.get(top);
    if (known) known.push(id);
    else found.set(top, [id]);
  }
  return [...found.values()];
}

/** The edges named by ids of edges or nodes, in the graph's order; an unknown id is refused. */
export function edgesNamed(graph: Graph, ids: readonly string[]): string[] {
  const wanted = new Set<string>();
  for (const id of ids) {
    const meant = graph.edges.filter((edge) => edge.id === id || edge.from === id || edge.to === id);
    if (meant.length === 0) {
      const near = nearest(id, [...graph.companies, ...graph.people, ...graph.edges.map((edge) => edge.id)].slice(0, 5000));
      fail("--forget", `there is no edge or node "${id}"`, "an id of graph.json", near ? `Did you mean "${near}"?` : "");
    }
    for (const edge of meant) wanted.add(edge.id);
  }
  return graph.edges.map(({ id }) => id).filter((id) => wanted.has(id));
}
