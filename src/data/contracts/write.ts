/** A folder of generated contracts: requests, the published layout, the contracts' texts, the graph, and what a forget set leaves. */
import { appendFileSync, existsSync, mkdirSync, readdirSync, renameSync, writeFileSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import { setImmediate } from "node:timers/promises";
import { checkAbort, type Context } from "../../base/context.ts";
import { fail } from "../../base/fail.ts";
import { complain, discard, holding, refuseTaken, unfinishedName } from "../../base/store.ts";
import { componentsOf, drawGraph, edgesNamed, type GraphSpec, SHAPES } from "./graph.ts";
import { apart, contractText, drawContracts, factsOf, requestsOf } from "./make.ts";
import type { ForgetRequest } from "../request.ts";

export interface ContractOptions extends GraphSpec {
  /** Edges, or nodes for all their edges, that are to be forgotten. */
  readonly forget?: readonly string[];
  /** Replace a folder that is there. */
  readonly force?: boolean;
}

/** What was written, each file with its rows. */
export interface Generated {
  readonly folder: string;
  readonly shape: string;
  readonly seed: number | string;
  readonly companies: number;
  readonly people: number;
  readonly contracts: number;
  readonly forgotten: readonly string[];
  readonly files: Readonly<Record<string, number>>;
}

/** Names and descriptions of the shapes, for help. */
export const shapes = (): { name: string; doc: string }[] => Object.entries(SHAPES).map(([name, { doc }]) => ({ name, doc }));

/** Contracts between two chances for others: to show how far it is, and to stop. */
const BATCH = 64;

/** Draws contracts and writes them as a folder that is there whole or not at all. The same options give the same bytes. */
export async function generateContracts(folder: string, options: ContractOptions, ctx: Context): Promise<Generated> {
  const { forget = [], force = false, ...spec } = options;
  return holding(folder, "data", async (output) => {
    refuseOccupied(folder, force);
    const graph = drawGraph(spec);
    const gone = new Set(edgesNamed(graph, forget));
    const all = drawContracts(graph, spec.seed);
    const independent = apart(all, gone);
    const making = join(dirname(output.path), unfinishedName(basename(output.path)));
    try {
      mkdirSync(making);
      const out = new Lines(making);
      let done = 0;
      for (const requests of requestsOf(all, gone)) {
        const contract = all.contracts[done]!;
        const { id, kind } = contract.edge;
        out.add("requests.jsonl", requests);
        out.add(
          "published.jsonl",
          requests.map(({ prompt, answer }) => ({ question: prompt, answer, edge: id })),
        );
        out.add("contracts.jsonl", [{ edge: id, kind, facts: factsOf(contract), text: contractText(contract) }]);
        if (gone.has(id)) out.add("forget.jsonl", requests);
        else if (gone.size > 0) {
          out.add("retain.jsonl", requests.map(asked));
          if (independent.has(id)) out.add("independent.jsonl", requests.map(asked));
        }
        if (++done % BATCH > 0 && done < all.contracts.length) continue;
        out.flush();
        ctx.log({ kind: "progress", stage: "writing contracts", done, total: all.contracts.length, unit: "contracts" });
        await setImmediate();
        checkAbort(ctx, "data");
      }
      writeFileSync(join(making, GRAPH), `${JSON.stringify(graphOf(all, options, [...gone]), null, 1)}\n`);
      output.put((place) => renameSync(making, place));
      const { shape, companies, people, edges } = graph;
      const counts = { companies: companies.length, people: people.length, contracts: edges.length };
      return { folder, shape, seed: spec.seed, ...counts, forgotten: [...gone], files: out.counts };
    } catch (error) {
      discard(making);
      return complain("write", folder, error);
    }
  });
}

const GRAPH = "graph.json";

function refuseOccupied(folder: string, force: boolean): void {
  if (!existsSync(folder)) return;
  if (!force) refuseTaken(folder, "data");
  if (!existsSync(join(folder, GRAPH)) && readdirSync(folder).length > 0)
    fail("data", `${folder} holds no ${GRAPH}: it is something else`, "a folder of contracts, or an empty one", "Choose another name.");
}

const asked = ({ id, prompt, answer }: ForgetRequest): object => ({ id, question: prompt, answer });

/** What graph.json says: how it was asked for, nodes with their names, edges with their parties, and what is joined to what. */
function graphOf(all: ReturnType<typeof drawContracts>, { forget: _, force: __, ...spec }: ContractOptions, forget: string[]): object {
  const people = new Set(all.graph.people);
  return {
    ...spec,
    nodes: all.parties.map((party) => ({ ...party, kind: people.has(party.id) ? "person" : "company" })),
    edges: all.contracts.map(({ edge, parties, date }) => ({ ...edge, parties: parties.map(({ id }) => id), date })),
    components: componentsOf(all.graph),
    forget,
  };
}

/** Files of JSON lines that grow together. */
class Lines {
  readonly counts: Record<string, number> = {};
  private readonly pending = new Map<string, string[]>();
  private readonly folder: string;

  constructor(folder: string) {
    this.folder = folder;
  }

  add(file: string, rows: readonly object[]): void {
    this.counts[file] = (this.counts[file] ?? 0) + rows.length;
    const lines = this.pending.get(file) ?? [];
    for (const row of rows) lines.push(`${JSON.stringify(row)}\n`);
    this.pending.set(file, lines);
  }

  flush(): void {
    for (const [file, lines] of this.pending) appendFileSync(join(this.folder, file), lines.join(""));
    this.pending.clear();
  }
}
