/** Parameters: read from text and JSON, checked, documented. */
import { describe, expect, expectTypeOf, test } from "vitest";
import { type Declared, departures, paramsSchema, paramsTable, parseSet, resolveParams } from "../../src/base/schema.ts";

interface Config {
  readonly layers: number;
}
const define = <P extends object>(params: Declared<P, Config>): Declared<P, Config> => params;

const declared = define({
  lr: { default: 0.5, doc: "step size", source: "paper, table 1", min: 0 },
  layer: { default: (c: Config) => Math.floor(c.layers / 2), doc: "block to edit", source: "measured", min: 0, whole: true },
  blocks: { default: [0], doc: "blocks", source: "ours", whole: true },
  layers: { default: (c: Config) => [c.layers - 1], doc: "blocks to edit", source: "paper" },
  norm: { default: "l2", doc: "which norm", source: "paper", choices: ["l1", "l2"] },
  label: { default: "", doc: "a word", source: "ours" },
  chat: { default: true, doc: "use the | template", source: "ours" },
  names: { default: ["a", "b"], doc: "names", source: "ours" },
});
const resolve = (given: Record<string, unknown>, family?: Record<string, unknown>) =>
  resolveParams("rome", declared, given, { layers: 30 }, family);

describe("resolveParams", () => {
  test("defaults, with functions of the config, typed by the defaults", () => {
    const params = resolve({});
    expect(params).toEqual({ lr: 0.5, layer: 15, layers: [29], norm: "l2", label: "", chat: true, names: ["a", "b"], blocks: [0] });
    expectTypeOf(params.lr).toEqualTypeOf<number>();
    expectTypeOf(params.layers).toEqualTypeOf<number[]>();
    expectTypeOf(params.norm).toEqualTypeOf<string>();
    expectTypeOf(params.chat).toEqualTypeOf<boolean>();
  });

  test("a number that another parameter says in other words is 0 where that one is given; both are refused", () => {
    const both = define({
      steps: { default: 100, doc: "updates", source: "ours", min: 1 },
      epochs: { default: 2, doc: "times that each row is seen", source: "ours", min: 0, instead: "steps" },
    });
    const given = (values: Record<string, unknown>, family = {}) => resolveParams("altpo", both, values, { layers: 30 }, family);
    expect(given({})).toEqual({ steps: 100, epochs: 2 });
    expect(given({ steps: 7 })).toEqual({ steps: 7, epochs: 0 });
    expect(given({ steps: 7 }, { epochs: 3 })).toEqual({ steps: 7, epochs: 0 });
    expect(given({ epochs: 4 }, { steps: 9 })).toEqual({ steps: 9, epochs: 4 });
    expect(() => given({ steps: 7, epochs: 1 })).toThrow(/epochs and steps are both given/);
  });

  test("a given value replaces the family's, which replaces the declared default", () => {
    expect(resolve({ lr: 2 }, { lr: 3, layer: 7 })).toMatchObject({ lr: 2, layer: 7, norm: "l2" });
  });

  test.each([
    ["lr=1e-3", { lr: 0.001 }],
    ["layers=1,2,3", { layers: [1, 2, 3] }],
    ["layers=[4]", { layers: [4] }],
    ["chat=no", { chat: false }],
    ["label=12", { label: "12" }],
    ["label=a=b", { label: "a=b" }],
    ["names=x, y", { names: ["x", "y"] }],
    ["names=", { names: [] }],
    ["norm=l1", { norm: "l1" }],
  ])("%s", (text, expected) => {
    expect(resolve(Object.fromEntries([parseSet(text)]))).toMatchObject(expected);
  });

  test.each([
    [{ rl: 1 }, /no parameter "rl".*lr, layer.*Did you mean "lr"\?/],
    [{ toString: 1 }, /no parameter "toString"/],
    [{ lr: "fast" }, /lr is "fast"; wanted a number of at least 0\. step size; the default is 0\.5/],
    [{ lr: -1 }, /lr is -1/],
    [{ lr: NaN }, /lr is NaN/],
    [{ lr: "Infinity" }, /lr is "Infinity"/],
    [{ lr: "" }, /lr is ""/],
    [{ norm: "l3" }, /norm is "l3"; wanted l1 or l2/],
    [{ layers: "1,b" }, /layers is "1,b"; wanted a list of numbers/],
    [{ layers: 3 }, /layers is 3/],
    [{ chat: 1 }, /chat is 1; wanted true or false/],
    [{ label: null }, /label is null/],
    [{ layer: 1.5 }, /layer is 1\.5; wanted a whole number of at least 0/],
    [{ layer: "2.5" }, /layer is "?2\.5"?; wanted a whole number/],
    [{ layer: -1 }, /layer is -1; wanted a whole number of at least 0/],
    [{ blocks: [1, 2.5] }, /blocks is \[1,2\.5\]; wanted a list of whole numbers/],
  ])("refuses %j", (given, message) => {
    expect(() => resolve(given)).toThrow(message);
  });

  test("a value for a model family is checked like any other", () => {
    expect(() => resolve({}, { lr: "x" })).toThrow(/lr is "x"/);
    expect(() => resolve({}, { lrr: 1 })).toThrow(/Did you mean "lr"/);
  });
});

test("an empty list holds numbers where a range is declared, otherwise texts", () => {
  const lists = define<{ layers: readonly number[]; weights: readonly string[] }>({
    layers: { default: [], doc: "blocks", source: "ours", min: 0 },
    weights: { default: [], doc: "endings", source: "ours" },
  });
  const read = (given: Record<string, unknown>) => resolveParams("ga", lists, given, { layers: 30 });
  expect(read({})).toEqual({ layers: [], weights: [] });
  for (const layers of ["3,4", "[3, 4]", [3, 4]]) expect(read({ layers })).toEqual({ layers: [3, 4], weights: [] });
  expect(read({ weights: "3,mlp.out" })).toEqual({ layers: [], weights: ["3", "mlp.out"] });
  expect(() => read({ layers: "first" })).toThrow(/layers is "first"; wanted a list of numbers of at least 0/);
  expect(() => read({ layers: [-1] })).toThrow(/layers is \[-1\]/);
  expect(paramsSchema(lists, { layers: 30 })).toMatchObject({ properties: { layers: { items: { type: "number" } } } });
});

test.each(["lr", "=1", ""])("parseSet refuses %j", (text) => expect(() => parseSet(text)).toThrow(/key=value/));

test("departures from what the sources say, those of a model family too", () => {
  const params = resolve({ layers: [29] }, { lr: 3 });
  expect(departures(declared, params, { layers: 30 })).toEqual([{ name: "lr", value: 3, default: 0.5, source: "paper, table 1" }]);
});

test("the table of a page", () => {
  const lines = paramsTable(declared).split("\n");
  expect(lines).toHaveLength(10);
  expect(lines[2]).toBe("| `lr` | `0.5` | >= 0 | step size | paper, table 1 |");
  expect(lines[3]).toContain("| by model | whole, >= 0 |");
  expect(lines[8]).toContain("use the \\| template");
});

test("JSON Schema, with and without a model", () => {
  const schema = paramsSchema(declared, { layers: 30 }) as {
    properties: Record<string, Record<string, unknown>>;
    additionalProperties: boolean;
  };
  expect(schema.additionalProperties).toBe(false);
  expect(schema.properties["lr"]).toMatchObject({ type: "number", minimum: 0, default: 0.5 });
  expect(schema.properties["lr"]).not.toHaveProperty("maximum");
  expect(schema.properties["layer"]).toMatchObject({ default: 15 });
  expect(schema.properties["norm"]).toMatchObject({ enum: ["l1", "l2"] });
  expect((paramsSchema(declared) as typeof schema).properties["layer"]).toEqual({ description: "block to edit (measured)" });
});
