/** Generated contracts: the published structure, nothing twice, the same bytes for the same seed, false answers that are false. */
import { describe, expect, test } from "vitest";
import { apart, contractText, drawContracts, factsOf, requestsOf } from "../../src/data/contracts/make.ts";
import { componentsOf, drawGraph, edgesNamed, type GraphSpec, SHAPES } from "../../src/data/contracts/graph.ts";
import { TERMS } from "../../src/data/contracts/terms.ts";

const draw = (spec: GraphSpec) => drawContracts(drawGraph(spec), spec.seed);
const rows = (spec: GraphSpec, gone?: ReadonlySet<string>) => [...requestsOf(draw(spec), gone)].flat();
const ids = (spec: GraphSpec): string[] => drawGraph(spec).edges.map(({ id }) => id);
/** Every shape, with employees. */
const EACH = Object.keys(SHAPES).map((shape): GraphSpec => ({ shape, seed: 4, employment: 1 }));

describe("shapes", () => {
  test("sample 1: twenty contracts, two hubs, three clusters apart", () => {
    const graph = drawGraph({ shape: "sample-1", seed: 0 });
    const of = (kind: string): string => graph.edges.flatMap((edge) => (edge.kind === kind ? edge.id : [])).join(" ");
    expect(of("sale")).toBe("A_B A_C A_C2 A_C3 B_D B_D2 B_D3 E1_F1 E2_F2 E3_F3");
    expect(of("employment")).toBe("A_m A_n A_n2 A_n3 B_p B_p2 B_p3 E1_q1 E2_q2 E3_q3");
    expect([graph.companies.length, graph.people.length]).toEqual([14, 10]);
    expect(componentsOf(graph).map((c) => c.length)).toEqual([14, 2, 2, 2]);
  });

  test("sample 2: a chain, a half dense and a complete graph of ten companies each", () => {
    const graph = drawGraph({ shape: "sample-2", seed: 0 });
    expect([graph.companies.length, graph.people.length, graph.edges.length]).toEqual([30, 0, 75]);
    expect(componentsOf(graph).map((c) => c.length)).toEqual([9, 21, 45]);
    const half = graph.edges.slice(9, 30).map(({ id }) => id);
    expect(half.slice(9)).toEqual("10_19 11_18 12_17 13_16 10_18 11_17 12_16 13_15 14_16 13_17 12_18 11_19".split(" "));
    expect(new Set(graph.edges.map(({ id }) => id)).size).toBe(75);
  });

  test("star, chain, ring and complete graph", () => {
    expect(ids({ shape: "star", seed: 0, nodes: 4 })).toEqual(["0_1", "0_2", "0_3"]);
    expect(ids({ shape: "chain", seed: 0, nodes: 4 })).toEqual(["0_1", "1_2", "2_3"]);
    expect(ids({ shape: "ring", seed: 0, nodes: 4 })).toEqual(["0_1", "1_2", "2_3", "0_3"]);
    expect(ids({ shape: "complete", seed: 0, nodes: 4 })).toEqual(["0_1", "0_2", "0_3", "1_2", "1_3", "2_3"]);
    expect(ids({ shape: "chain", seed: 0, nodes: 2, employment: 2 })).toEqual(["0_1", "0_0w1", "0_0w2", "1_1w1", "1_1w2"]);
  });

  test.each([
    [30, 29],
    [30, 70],
    [30, 400],
    [30, 435],
  ])("random: %i companies and %i sales are connected and no pair stands twice", (nodes, edges) => {
    const graph = drawGraph({ shape: "random", seed: 5, nodes, edges });
    expect(graph.edges).toHaveLength(edges);
    expect(new Set(graph.edges.map(({ from, to }) => [from, to].sort().join())).size).toBe(edges);
    expect(componentsOf(graph)).toHaveLength(1);
    expect(graph.companies).toHaveLength(nodes);
    if (edges < 435) expect(ids({ shape: "random", seed: 6, nodes, edges })).not.toEqual(graph.edges.map(({ id }) => id));
  });

  const refusals: [GraphSpec, RegExp][] = [
    [{ shape: "sampel-1", seed: 0 }, /--shape: there is no shape "sampel-1"; wanted star.*Did you mean "sample-1"/],
    [{ shape: "ring", seed: 0, nodes: 2 }, /--nodes: 2; wanted at least 3 companies for ring/],
    [{ shape: "star", seed: 0, nodes: 1.5 }, /--nodes: 1\.5; wanted a whole number/],
    [{ shape: "sample-2", seed: 0, nodes: 9 }, /--nodes: 9; wanted no number/],
    [{ shape: "star", seed: 0, edges: 9 }, /--edges: 9; wanted no number/],
    [{ shape: "random", seed: 0, nodes: 5, edges: 3 }, /--edges: 3; wanted from 4 to 10/],
    [{ shape: "random", seed: 0, nodes: 5, edges: 11 }, /--edges: 11; wanted from 4 to 10/],
    [{ shape: "complete", seed: 0, nodes: 1e9 }, /contracts: \d+ contracts; wanted at most 100000/],
    [{ shape: "chain", seed: 0, nodes: 1000, employment: 1000 }, /contracts: 1000999 contracts/],
  ];
  test.each(refusals)("refuses %o", (spec, message) => expect(() => drawGraph(spec)).toThrow(message));

  test("more contracts of one company than there are days are refused", () => {
    expect(() => draw({ shape: "star", seed: 0, nodes: 7_100 })).toThrow(/contracts: more than 7000 contracts of one party/);
  });
});

describe("requests", () => {
  test.each(EACH)("$shape: twenty a contract, every way to ask stands once, and names its subject", (spec) => {
    const requests = rows(spec);
    expect(requests).toHaveLength(20 * drawGraph(spec).edges.length);
    const ways = requests.flatMap(({ prompt, paraphrases }) => [prompt, ...paraphrases]);
    expect(ways).toHaveLength(3 * requests.length);
    expect(new Set(ways).size).toBe(ways.length);
    expect(new Set(requests.map(({ id }) => id)).size).toBe(requests.length);
    for (const { prompt, subject, paraphrases } of requests) for (const way of [prompt, ...paraphrases]) expect(way).toContain(subject);
    for (const way of ways) expect(way).not.toMatch(/[{}]|undefined/);
  });

  test.each(EACH)("$shape: false answers are false, of the same kind, and stand once", (spec) => {
    for (const { answer, wrong, relation, prompt } of rows(spec)) {
      expect(wrong, prompt).not.toContain(answer);
      expect(new Set(wrong).size).toBe(wrong.length);
      const few = { "shipping-method": 1, "shipping-cost": 1, "pay-frequency": 2 }[relation!];
      expect(wrong.length, relation).toBe(few ?? (/^(invoice-issued|warranty|day-begins|day-ends|late-interest)$/.test(relation!) ? 4 : 5));
      const form = answer
        .replaceAll(/\d+/g, "9")
        .replaceAll(/[A-Z]/g, "A")
        .replaceAll(/[a-z]+/g, "a");
      if (/^\d/.test(answer))
        for (const other of wrong)
          expect(
            other
              .replaceAll(/\d+/g, "9")
              .replaceAll(/[A-Z]/g, "A")
              .replaceAll(/[a-z]+/g, "a"),
          ).toBe(form);
      // the other party stands in the question: as an answer it would give itself away
      for (const other of wrong) if (relation!.endsWith("-name")) expect(prompt).not.toContain(other.slice(0, -1));
    }
  });

  test("names, addresses and each party's dates stand once, and dates are days", () => {
    const { parties, contracts } = draw({ shape: "complete", seed: 11, nodes: 40, employment: 2 });
    const addresses = [
      ...parties.map(({ address }) => address),
      ...contracts.map((c) => factsOf(c)["delivery-address"] ?? factsOf(c)["work-location"]!),
    ];
    expect(new Set(addresses).size).toBe(addresses.length);
    expect(new Set(parties.map(({ name }) => name)).size).toBe(parties.length);
    const dates = contracts.flatMap(({ edge, date }) => [`${edge.from} ${date}`, `${edge.to} ${date}`]);
    expect(new Set(dates).size).toBe(dates.length);
    for (const { date } of contracts) {
      const [day, month, year] = date.split("-").map(Number) as [number, number, number];
      const real = new Date(Date.UTC(year, month - 1, day));
      expect([real.getUTCDate(), real.getUTCMonth() + 1]).toEqual([day, month]);
      expect(year).toBeGreaterThanOrEqual(1980);
      expect(year).toBeLessThan(2020);
    }
  });

  test("no company's name is part of another's", () => {
    const names = draw({ shape: "star", seed: 1, nodes: 3000 }).parties.map(({ name }) => name);
    expect(new Set(names.map((name) => name.slice(0, 6))).size).toBe(3000);
  });

  test("values are in range: total is quantity times price, either end sells, the employer is the edge's first node", () => {
    const { contracts } = draw({ shape: "complete", seed: 2, nodes: 20, employment: 3 });
    const sales = contracts.filter(({ edge }) => edge.kind === "sale");
    for (const contract of sales) {
      const facts = factsOf(contract);
      expect(Number(facts["total-price"])).toBe(Number(facts["quantity"]) * Number(facts["unit-price"]));
      expect(facts["seller-name"]).toBe(contract.parties[0].name);
      expect(facts["customer-address"]).toBe(contract.parties[1].address);
    }
    const turned = sales.filter(({ edge, parties }) => parties[0].id !== edge.from).length;
    expect(turned).toBeGreaterThan(sales.length / 4);
    expect(turned).toBeLessThan((3 * sales.length) / 4);
    const goods = sales.slice(0, 150).map((contract) => factsOf(contract)["good"]);
    expect(new Set(goods).size).toBe(150);
    for (const { edge, parties } of contracts)
      if (edge.kind === "employment") expect(parties.map(({ id }) => id)).toEqual([edge.from, edge.to]);
  });

  test("a contract's text says every term", () => {
    for (const contract of draw({ shape: "sample-1", seed: 3 }).contracts) {
      const text = contractText(contract);
      for (const value of Object.values(factsOf(contract)))
        expect(text).toMatch(new RegExp(`(^|[^0-9A-Za-z])${value}($|[^0-9A-Za-z])`, "m"));
      expect(text.split("\n").filter((line) => /^\d+\. /.test(line))).toHaveLength(20);
    }
    expect(TERMS.sale).toHaveLength(20);
    expect(TERMS.employment).toHaveLength(20);
  });

  test("neighbours ask the same of other contracts, and never of one that shall go", () => {
    const graph = drawGraph({ shape: "sample-1", seed: 3 });
    const gone = new Set(edgesNamed(graph, ["A_B", "B"]));
    expect([...gone].sort().join(" ")).toBe("A_B B_D B_D2 B_D3 B_p B_p2 B_p3");
    const all = rows({ shape: "sample-1", seed: 3 }, gone);
    const byId = new Map(all.map((request) => [request.id, request]));
    for (const { id, neighbours, relation } of all) {
      expect(neighbours.length).toBe(3);
      for (const near of neighbours) {
        expect(near.id).not.toBe(id);
        expect(byId.get(near.id)).toMatchObject({ prompt: near.question, answer: near.answer, relation });
        expect(gone.has(byId.get(near.id)!.group!)).toBe(false);
      }
    }
    expect([...apart(draw({ shape: "sample-1", seed: 3 }), gone)].sort().join(" ")).toBe("E1_F1 E1_q1 E2_F2 E2_q2 E3_F3 E3_q3");
    expect(() => edgesNamed(graph, ["A_Q"])).toThrow(/--forget: there is no edge or node "A_Q".*Did you mean/);
  });

  test("the same seed gives the same, another seed something else, and no contract hangs on the number of others", () => {
    const one = JSON.stringify(rows({ shape: "sample-1", seed: 7 }));
    expect(JSON.stringify(rows({ shape: "sample-1", seed: 7 }))).toBe(one);
    expect(JSON.stringify(rows({ shape: "sample-1", seed: 8 }))).not.toBe(one);
    const facts = (nodes: number) => draw({ shape: "star", seed: 7, nodes }).contracts.slice(0, 5);
    expect(facts(30).map(factsOf)).toEqual(facts(300).map(factsOf));
  });
});

test("100,000 rows in under 10 s, every question another", () => {
  const began = performance.now();
  const questions = new Set<string>();
  let count = 0;
  for (const requests of requestsOf(draw({ shape: "complete", seed: 1, nodes: 101 })))
    for (const { prompt } of requests) {
      count++;
      questions.add(prompt);
    }
  expect(performance.now() - began).toBeLessThan(10_000);
  expect(count).toBe(101_000);
  expect(questions.size).toBe(count);
});
