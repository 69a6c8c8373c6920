/** Grids unfolded: points, the specs of their steps, what is left out, and each spec once behind those it names. */
import { describe, expect, test } from "vitest";
import { parseGrid } from "../../../src/run/grid/read.ts";
import { declaredBy, unfold } from "../../../src/run/grid/unfold.ts";
import { methodOf } from "../../../src/run/choice.ts";

const unfolded = (text: string, only: Record<string, string[]> = {}) =>
  unfold(parseGrid(text, "one.yaml"), (name) => declaredBy(methodOf(name)), { only });
/** One step alone, under the variables and axes that are given. */
const specs = (head: string, body: string) =>
  unfolded(`name: one\n${head}\nsteps:\n  edit: { step: forget, model: bundled, ${body} }\n`).units.map(({ spec }) => spec);

describe("values", () => {
  test("a text that is one name keeps its type; inside a text it is written out", () => {
    const [spec] = specs("vars: { n: 3, list: [1, 2], word: x }", 'limit: "${n}", set: { layers: "${list}", a: "${word}-${n}" }');
    expect(spec).toEqual({ step: "forget", model: "bundled", limit: 3, set: { layers: [1, 2], a: "x-3" } });
  });

  test("what is null is left out, of tables and of lists; inside a text it is nothing", () => {
    const [spec] = specs("vars: { no: null }", 'edit: [a, "${no}"], say: "${no}", target: "x${no}"');
    expect(spec).toEqual({ step: "forget", model: "bundled", edit: ["a"], target: "x" });
  });

  test("a variable may name others, those of the axis too", () => {
    const [low, high] = specs('vars: { lr: 1, set: { lr: "${lr}", half: "${lr}/2" } }\naxes: { lr: [2, 4] }', 'set: "${set}"');
    expect([low, high]).toMatchObject([{ set: { lr: 2, half: "2/2" } }, { set: { lr: 4, half: "4/2" } }]);
  });

  test("a name that nothing has is refused with the nearest and its place; so is one that needs itself", () => {
    expect(() => specs("vars: { facts: 3 }", 'limit: "${fact}"')).toThrow(
      /one\.yaml line 4 .*nothing is called "fact".*Did you mean "facts"\?/,
    );
    expect(() => specs('vars: { a: "${b}", b: "${a}" }', 'say: "${a}"')).toThrow(/"a" needs itself: edit → a → b → a/);
    expect(() => specs("vars: { list: [1] }", 'say: "x${list}"')).toThrow(/"list" inside a text; wanted a text or a number/);
  });
});

describe("points", () => {
  const at = (axes: string, skip = "[]"): string[] =>
    unfolded(
      `name: one\naxes: ${axes}\nskip: ${skip}\nvars: { n: 3, method: ft, mode: batch, i: 0 }\nsteps:\n  edit: { step: forget, model: bundled, method: "\${method}", mode: "\${mode}", seed: "\${i}" }\n`,
    ).units.map((unit) => unit.at);

  test("every combination, the first axis slowest", () => {
    expect(at("{ method: [ft, memit], mode: [single, batch] }")).toEqual(["ft, single", "ft, batch", "memit, single", "memit, batch"]);
  });

  test("ranges, of axes and of an entry's members, with a second bound", () => {
    expect(at("{ i: { range: 2 } }")).toEqual(["0", "1"]);
    expect(at('{ i: { range: [1, "${n}"] } }')).toEqual(["1", "2"]);
    expect(at('{ mode: [{ mode: single, i: { range: [0, 5], below: "${n}" } }, { mode: batch }] }')).toEqual([
      "single, i 0",
      "single, i 1",
      "single, i 2",
      "batch",
    ]);
    expect(() => at('{ i: { range: [5, "${n}"] } }')).toThrow(/axes\.i has no value/);
    expect(() => at("{ i: { range: x } }")).toThrow(/a range of "x"; wanted whole numbers/);
  });

  test("a rule leaves out what it fits: values, lists of them, and what the method declares", () => {
    const both = "{ method: [rome, memit], mode: [batch, single, sequential] }";
    expect(methodOf("rome").takes).toBe("one");
    expect(at(both, "[{ mode: batch, method.takes: one }]")).not.toContain("rome, batch");
    expect(at(both, "[{ mode: batch, method.takes: one }]")).toHaveLength(5);
    expect(at(both, "[{ mode: [single, sequential], method: memit }]")).toEqual([
      "rome, batch",
      "rome, single",
      "rome, sequential",
      "memit, batch",
    ]);
    expect(at("{ method: [ft, ga] }", "[{ method.trains: true }]")).toEqual(["ft"]);
    expect(at("{ method: [ft, rome] }", "[{ method.needs: statistics }]")).toEqual(["ft"]);
    expect(at("{ first: [a, b], method: [a, b] }", '[{ method: "${first}" }]')).toEqual(["a, b", "b, a"]);
  });
});

test("only some points: by variables of axes, by others, and what leaves nothing is refused", () => {
  const text = 'name: one\nvars: { kind: x }\naxes: { i: { range: 3 } }\nsteps: { a: { step: select, data: d, limit: "${i}" } }\n';
  const limits = (only: Record<string, string[]>) => unfolded(text, only).units.map(({ spec }) => spec["limit"]);
  expect(limits({ i: ["0", "2"] })).toEqual([0, 2]);
  expect(limits({ i: ["1"], kind: ["x", "y"] })).toEqual([1]);
  expect(() => limits({ kind: ["y"] })).toThrow(/no combination of its axes is left/);
  expect(() => limits({ knd: ["y"] })).toThrow(/nothing is called "knd".*Did you mean "kind"\?/);
});

describe("steps", () => {
  const GRID = `name: one
axes:
  method: [ft, memit]
cache: \${method}
steps:
  judged: { step: eval, model: bundled, edit: ["\${edit}"], suite: forgetting, data: [{ group: forget, data: "\${facts}" }] }
  edit: { step: forget, model: bundled, method: "\${method}", data: "\${facts}" }
  facts: { step: select, data: facts.jsonl, limit: 2 }
tables:
  main:
    rows: [method]
    columns:
      - { title: method, text: "\${method.title}" }
      - { title: KiB, bytes: edit }
`;

  test("a step stands behind those that it names, whatever the order of the file, and each spec once", () => {
    const { units } = unfolded(GRID);
    expect(units.map(({ name, at }) => [name, at])).toEqual([
      ["facts", ""],
      ["edit", "ft"],
      ["judged", "ft"],
      ["edit", "memit"],
      ["judged", "memit"],
    ]);
    const [facts, edit, judged] = units;
    expect(edit!.needs).toEqual([facts!.key]);
    expect(new Set(judged!.needs)).toEqual(new Set([facts!.key, edit!.key]));
    expect(edit!.spec["data"]).toEqual({ step: "select", data: "facts.jsonl", limit: 2 });
  });

  test("what is for one cache has it; what several share has none", () => {
    expect(unfolded(GRID).units.map(({ cache }) => cache)).toEqual([undefined, "ft", "ft", "memit", "memit"]);
  });

  test("points that agree in the table's rows share one", () => {
    const { tables, units } = unfolded(
      GRID.replace("axes:", "axes:\n  i: { range: 2 }").replace("data: facts.jsonl, limit: 2", 'data: facts.jsonl, skip: "${i}"'),
    );
    const rows = tables["main"]!;
    expect(rows.map(({ at, points }) => [at, points.length])).toEqual([
      [{ method: "ft" }, 2],
      [{ method: "memit" }, 2],
    ]);
    expect(rows[0]!.points[0]!.texts).toEqual({ method: "FT-L" });
    expect(new Set(rows.flatMap(({ points }) => points.map((point) => point.units["edit"]))).size).toBe(4);
    expect(units.filter(({ name }) => name === "facts").map(({ at }) => at)).toEqual(["0", "1"]);
  });

  test("steps that need each other are refused", () => {
    const text = 'name: one\nsteps:\n  a: { step: select, data: "${b}" }\n  b: { step: select, data: "${a}" }\n';
    expect(() => unfolded(text)).toThrow(/"a" needs itself: a → b → a/);
  });
});

test("a step is left out where a rule of its own fits, and what names it has nothing there", () => {
  const { units, tables } = unfolded(`name: one
axes:
  method: [{ method: none, edits: [] }, { method: ft, edits: ["\${edit}"] }]
steps:
  edit: { unless: [{ method: none }], step: forget, model: bundled, method: "\${method}", data: x }
  judged: { step: eval, model: bundled, edit: "\${edits}", suite: answers, data: [x] }
tables:
  main:
    rows: [method]
    columns: [{ title: KiB, bytes: edit }]
`);
  expect(units.map(({ name, at }) => [name, at])).toEqual([
    ["judged", "none"],
    ["edit", "ft"],
    ["judged", "ft"],
  ]);
  expect(units.map(({ spec }) => spec["unless"])).toEqual([undefined, undefined, undefined]);
  expect(units[0]!.spec["edit"]).toEqual([]);
  expect(tables["main"]!.map(({ points }) => Object.keys(points[0]!.units))).toEqual([["judged"], ["edit", "judged"]]);
});

test("the untouched model of a table and the step of a figure may be a variable that holds one", () => {
  const text = `name: one
vars: { plain: "\${asked}", methods: "\${all}", all: [{ method: ft, edited: "\${edit}", trained: "\${edit}" }] }
axes: { method: "\${methods}" }
steps:
  asked: { step: eval, model: bundled, suite: answers, data: [x] }
  edit: { step: forget, model: bundled, method: "\${method}", data: x }
tables:
  main:
    rows: [method]
    base: plain
    columns: [{ title: s, seconds: edited }]
figures:
  losses: { kind: losses, table: main, of: trained }
`;
  const { units, tables } = unfolded(text);
  expect(units.map(({ name }) => name)).toEqual(["asked", "edit"]);
  const [point] = tables["main"]![0]!.points;
  expect(Object.keys(point!.units)).toEqual(["asked", "edit", "edited", "plain", "trained"]);
  expect([point!.units["trained"], point!.units["plain"]]).toEqual([point!.units["edit"], point!.units["asked"]]);
  for (const [from, to] of [
    ["of: trained", "of: trained2"],
    ["base: plain", "base: askd"],
  ] as const)
    expect(() => unfolded(text.replace(from, to))).toThrow(/there is no step ".*"; wanted one of asked, edit/);
});

test("an axis may be a variable with a list, and a column may name a variable that holds a step", () => {
  const { units, tables } = unfolded(`name: one
vars:
  methods: [ft, memit]
  sizes: [{ size: 1, edited: "\${small}" }, { size: 2, edited: "\${large}" }]
axes:
  method: "\${methods}"
  size: "\${sizes}"
steps:
  small: { step: forget, model: bundled, method: "\${method}", data: x, limit: 1 }
  large: { step: forget, model: bundled, method: "\${method}", data: x, limit: 2 }
tables:
  main:
    rows: [method, size]
    columns: [{ title: s, seconds: edited }]
`);
  expect(units.map(({ name }) => name)).toEqual(["small", "large", "small", "large"]);
  expect(tables["main"]!.map(({ points }) => units.find(({ key }) => key === points[0]!.units["edited"])!.spec["limit"])).toEqual([
    1, 2, 1, 2,
  ]);
  expect(() =>
    unfolded('name: one\naxes: { method: "${methods}" }\nvars: { methods: ft }\nsteps: { a: { step: stats, model: bundled } }'),
  ).toThrow(/\$\{methods\} is "ft"; wanted a list/);
});
