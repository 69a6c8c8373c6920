/** What comes in files that others wrote: graphs that cost too much, patterns that never end, and seeded damage to both. */
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, it } from "vitest";
import { floats } from "../../src/base/array.ts";
import { defaultContext } from "../../src/base/context.ts";
import { LetheError } from "../../src/base/fail.ts";
import { apply } from "../../src/edit/apply.ts";
import { type Change, sign } from "../../src/edit/edit.ts";
import { loadEdits } from "../../src/edit/io.ts";
import { loadLora, saveLora } from "../../src/edit/lora.ts";
import { adapterOf } from "../../src/locate/codebook.ts";
import { load } from "../../src/model/load.ts";
import type { Model } from "../../src/model/model.ts";
import type { NodeData } from "../../src/tensor/inline.ts";
import { about, damageAdapter, damageSettings, mutations, noise, writeEdit } from "./untrusted.ts";

const folder = mkdtempSync(join(tmpdir(), "lethe-untrusted-"));
/** For the damaged copies: thousands take their time. */
const PATIENCE = mutations(0) > 0 ? 3_600_000 : 120_000;
const loaded = load("bundled", defaultContext({ threads: 1 }));
afterAll(async () => {
  rmSync(folder, { recursive: true, force: true });
  await (await loaded).release();
});

/** A codebook of three keys, whose values are put in at every token and carried on. */
export const bookOf = (model: Model): Change =>
  adapterOf(
    model,
    [0, 1, 2].map((i) => ({
      key: noise(`k${i}`, model.config.mlpWidth),
      value: noise(`v${i}`, model.config.width),
      radius: 1,
      target: [1],
      prompt: 3,
    })),
    { params: { layer: 1, replace: "replace_all" }, compat: new Set(), dtype: "float32", last: 3 },
  );

const READ: NodeData = ["input", [], { name: "reads.0", dtype: "float32", shape: ["B", "T", 192], role: "input" }];
const input = (name: string, dtype: string, shape: unknown): NodeData => ["input", [], { name, dtype, shape, role: "input" }];
const constant = (value: unknown, dtype = "float32"): NodeData => ["constant", [], { value, dtype }];
const sum = (prefix: string, n: number): string => Array.from({ length: n }, (_, i) => `${prefix}${i}`).join("+");
const FIRST: readonly [number, number] = [0, 0];
const SECOND: readonly [number, number] = [1, 0];

/** Nodes behind the input `reads.0`, and what is said of the one that is refused. */
const HARMFUL: readonly (readonly [what: string, nodes: readonly NodeData[], said: RegExp])[] = [
  [
    "sizes of two hundred symbols",
    [constant(0), ["expand", [SECOND], { shape: [sum("s", 40), sum("t", 40), sum("u", 40)] }]],
    /node 2 \(expand\): shape/,
  ],
  ["symbols that no input brings", [constant(0), ["expand", [SECOND], { shape: ["Z"] }]], /node 2 \(expand\): shape \["Z"\]/],
  [
    "sizes whose product has many terms",
    [constant(0), ["expand", [SECOND], { shape: ["B+T+1", "B+2*T+1", "B+3*T+1", "B+4*T+1"] }], ["reshape", [[2, 0]], { shape: [1] }]],
    /node 2 \(expand\): the shape/,
  ],
  ["a size as large as a disk", [constant(0), ["expand", [SECOND], { shape: [1e12] }]], /node 2 \(expand\): shape/],
  [
    "values that double",
    Array.from({ length: 40 }, (_, i): NodeData => [
      "concat",
      [
        [i, 0],
        [i, 0],
      ],
      { axis: 2 },
    ]),
    /node \d+ \(concat\): .*elements/,
  ],
  ["rows times tokens, many times", [constant(0), ["expand", [SECOND], { shape: ["B*T", "B*T"] }]], /node 2 \(expand\): the shape/],
  [
    "products that take hours",
    [
      constant(0),
      ["expand", [SECOND], { shape: [3000, 3000] }],
      ...Array.from({ length: 100 }, (_, i): NodeData => [
        "matmul",
        [
          [i + 2, 0],
          [2, 0],
        ],
        { transA: false, transB: false },
      ]),
    ],
    /node \d+ \(matmul\): .*products/,
  ],
  [
    "more nodes than can be compiled in a second",
    Array.from({ length: 5000 }, (_, i): NodeData => ["add", [[i, 0], FIRST], {}]),
    /node 1500 \(the first too many\): 5001 nodes/,
  ],
  [
    "one node that uses others ten thousand times",
    [["concat", Array.from({ length: 20_000 }, () => FIRST), { axis: 2 }]],
    /node 1 \(concat\): 20000 uses/,
  ],
  ["a fraction among whole numbers", [constant(1.5, "int64"), ["cast", [SECOND], { to: "float32" }]], /node 1 \(constant\): the value 1.5/],
  ["a number that no float64 tells apart", [constant(2 ** 60, "int64")], /node 1 \(constant\): the value/],
  ["a dtype that there is not", [constant(1, "complex128")], /node 1 \(constant\): dtype "complex128"/],
  ["a cast to nothing", [["cast", [FIRST], { to: "__proto__" }]], /node 1 \(cast\): to "__proto__"/],
  ["a carry of a trillion numbers", [input("carry", "float32", ["B", 1e12])], /node 1 \(input\): the shape/],
  ["a carry of a million numbers", [input("carry", "float32", ["B", 1e6])], /node 1 \(input\): 1000000 numbers/],
  ["whole numbers divided", [input("positions", "int64", ["B", "T"]), ["div", [SECOND, SECOND], {}]], /node 2 \(div\): int64 for input 0/],
  ["axes that are not there", [["sum", [FIRST], { axes: [7], keep: false }]], /node 1 \(sum\): axes \[7\]/],
  ["too few inputs", [["where", [FIRST], {}]], /node 1 \(where\): 1 inputs; wanted 3/],
  ["a permutation of nothing", [["transpose", [FIRST], { perm: [0, 0, 1] }]], /node 1 \(transpose\): perm/],
  ["a slice outside", [["slice", [FIRST], { axis: 1, start: -5, end: "T" }]], /node 1 \(slice\): start -5/],
  ["a rotation, whose tables nobody checks", [["rope", [FIRST, FIRST, FIRST, FIRST], {}]], /node 1 \(rope\): an operation/],
  [
    "the largest of nothing",
    [
      ["slice", [FIRST], { axis: 1, start: 0, end: 0 }],
      ["max", [SECOND], { axes: [1], keep: false }],
    ],
    /node 2 \(max\): axis 1/,
  ],
];

describe("graphs in edit files", () => {
  it.each(HARMFUL)("%s: refused at once, with the node", async (_, nodes, said) => {
    const model = await loaded;
    const path = join(folder, "harmful.edit");
    const graph = { nodes: [READ, ...nodes], outputs: { write: [0, 0] } };
    writeEdit(path, model, { kind: "adapter", reads: ["blocks.0.mlp_out"], writes: "blocks.0.mlp_out", route: "every-call", graph });
    const start = performance.now();
    const error = (() => {
      try {
        return loadEdits(path) && undefined;
      } catch (caught) {
        return caught as LetheError;
      }
    })();
    expect(error).toBeInstanceOf(LetheError);
    expect(error).toMatchObject({ trouble: "usage", message: expect.stringMatching(said) });
    expect(performance.now() - start).toBeLessThan(1000);
  });

  it.each([
    [
      "an output of another shape",
      [["sum", [FIRST], { axes: [2], keep: true }]],
      { write: [1, 0] },
      /the output "write" of float32 \[B, T, 1\]/,
    ],
    [
      "an input that nobody gives",
      [input("nonesuch", "float32", ["B"]), ["add", [FIRST, FIRST], {}], ["add", [[2, 0], FIRST], {}]],
      { write: [3, 0], x: [1, 0] },
      /the input "nonesuch"/,
    ],
    [
      "an input in a dtype that nothing is computed in",
      [
        input("positions", "bfloat16", ["B", "T"]),
        ["cast", [SECOND], { to: "float32" }],
        ["sum", [[2, 0]], { axes: [0, 1], keep: false }],
        ["add", [FIRST, [3, 0]], {}],
      ],
      { write: [4, 0] },
      /"positions" of int64; wanted bfloat16/,
    ],
    ["a carry that is not carried on", [input("carry", "float32", ["B", 3])], { write: [0, 0], x: [1, 0] }, /a carry of float32 \[B, 3\]/],
  ] as const)("%s is refused on the model", async (_, nodes, outputs, said) => {
    const model = await loaded;
    const path = join(folder, "strange.edit");
    const graph = { nodes: [READ, ...nodes], outputs };
    writeEdit(path, model, { kind: "adapter", reads: ["blocks.0.mlp_out"], writes: "blocks.0.mlp_out", route: "every-call", graph });
    const { traced } = await import("../../src/model/forward.ts");
    const { trace } = await import("../../src/tensor/graph.ts");
    const run = (): unknown => {
      const edited = apply(model, loadEdits(path)[0]!);
      return trace((t) => {
        const given = { positions: t.input("positions", "int64", ["B", "T"]) };
        return { h: traced(edited, t).forward(t.input("tokens", "int64", ["B", "T"]), given).hidden };
      });
    };
    expect(run).toThrow(said);
  });

  it(
    "survive damage: refused, or run within seconds",
    async () => {
      const model = await loaded;
      const count = mutations(120);
      const outcome = await damageAdapter(model, bookOf(model), "adapter", count);
      expect(outcome.ran + outcome.refused).toBe(count);
      expect(outcome.refused).toBeGreaterThan(count / 3);
      expect(outcome.ran).toBeGreaterThan(count / 24);
    },
    PATIENCE,
  );
});

describe("settings of adapters", () => {
  const low = (model: Model) =>
    sign(
      {
        change: {
          kind: "delta",
          weights: {
            "blocks.1.mlp.out": { outer: [floats(noise("l", 192), [192, 1], "float32"), floats(noise("r", 640), [1, 640], "float32")] },
          },
        },
      },
      about(model),
    );

  it.each([
    ["target_modules", "(a+)+$|((.*)*)*x"],
    ["exclude_modules", "(.*.*)*.*X{1}"],
    ["rank_pattern", { "(([a-z.0-9_]+)+)+!": 3 }],
    ["alpha_pattern", { "(.*_?)*[^a-z.0-9_]": 3 }],
  ])("a pattern of %s that never ends is refused in time", async (key, value) => {
    const model = await loaded;
    const dir = join(folder, key);
    mkdirSync(dir);
    saveLora(dir, model, [low(model)]);
    const path = join(dir, "adapter_config.json");
    const config = JSON.parse(readFileSync(path, "utf8")) as object;
    writeFileSync(path, JSON.stringify({ ...config, [key]: value }));
    const start = performance.now();
    expect(() => loadLora(dir, model)).toThrow(/^the pattern .* of adapter_config\.json: no result after 0\.25 s/);
    expect(performance.now() - start).toBeLessThan(2000);
  });

  it(
    "survive damage: refused, or put on the model within seconds",
    async () => {
      const model = await loaded;
      const count = mutations(200);
      const outcome = await damageSettings(model, low(model), "peft", count);
      expect(outcome.ran + outcome.refused).toBe(count);
      expect(outcome.refused).toBeGreaterThan(count / 4);
      expect(outcome.ran).toBeGreaterThan(count / 10);
    },
    PATIENCE,
  );
});
