/** Entries of shelves: what a define function refuses, how an entry is known again, and how it is found beside what is built in. */
import { describe, expect, test } from "vitest";
import { defineAttack } from "../../src/attack/attack.ts";
import { define, kindOf } from "../../src/base/define.ts";
import { named, onShelf, type Plugin } from "../../src/base/plugin.ts";
import { defineMetric } from "../../src/eval/metric.ts";
import { defineMethod } from "../../src/methods/method.ts";
import { defineArch } from "../../src/model/arch/arch.ts";
import { defineTarget } from "../../src/targets/target.ts";

/** What somebody who writes JavaScript may hand over. */
const anything = (value: unknown): never => value as never;
const target = { name: "mine", doc: "what it is", say: () => Promise.resolve("words") };
const method = {
  name: "mine",
  title: "Mine",
  paper: "none",
  doc: "does it",
  takes: "one" as const,
  needs: [],
  params: { steps: { default: 1, doc: "steps", source: "none" } },
  compat: {},
  edit: () => Promise.reject(new Error("not here")),
};

describe("a define function", () => {
  const MADE: readonly (readonly [string, unknown, string, RegExp])[] = [
    ["target", defineTarget, "doc", /^defineTarget: "mine" has no "doc"; wanted a text\./],
    ["target", defineTarget, "say", /^defineTarget: "mine" has no "say"; wanted a function\./],
    ["method", defineMethod, "edit", /^defineMethod: "mine" has no "edit"; wanted a function\./],
    ["method", defineMethod, "takes", /^defineMethod: "mine" has no "takes"; wanted one of one, many\./],
  ];
  test.each(MADE)("of a %s names what is missing", (what, make, field, complaint) => {
    const whole: Readonly<Record<string, unknown>> = what === "target" ? target : method;
    const { [field]: _, ...rest } = whole;
    expect(() => (make as (value: unknown) => unknown)(rest)).toThrow(complaint);
  });

  const WRONG: readonly (readonly [string, object, RegExp])[] = [
    ["a name with a capital", { name: "Mine" }, /the name 'Mine'; wanted lowercase words joined by hyphens/],
    ["no name", { name: undefined }, /no "name"/],
    ["an unknown field", { nedes: [] }, /"mine" has a field "nedes".*Did you mean "needs"\?/],
    ["a need that is no text", { needs: [1] }, /"needs" of "mine" is \[ 1 \]; wanted a list of texts/],
    ["a parameter without a default", { params: { lr: { doc: "d", source: "s" } } }, /parameter "lr" of "mine" has no "default"/],
    ["a parameter with a wrong bound", { params: { lr: { default: 1, doc: "d", source: "s", min: "0" } } }, /"min" of parameter "lr"/],
    ["a parameter that is a number", { params: { lr: 1 } }, /"params" of "mine"/],
    ["an empty doc", { doc: " " }, /"doc" of "mine" is ' '; wanted a text/],
  ];
  test.each(WRONG)("refuses %s", (_, change, complaint) => {
    expect(() => defineMethod(anything({ ...method, ...change }))).toThrow(complaint);
  });

  test("refuses what is no object, and circular values are shown in brief", () => {
    expect(() => defineTarget(anything(undefined))).toThrow(/^defineTarget: undefined; wanted an object with name, doc, say/);
    const loop: Record<string, unknown> = {};
    loop["loop"] = loop;
    expect(() => defineTarget(anything({ ...target, say: loop }))).toThrow(/"say" of "mine" is .*wanted a function/);
  });

  test("of each shelf marks what it made, a copy of it too, and nothing else is marked", () => {
    const metric = { name: "mine", doc: "d", better: "higher" as const, caveat: "It misleads.", reads: [], after: [] };
    const fn = (): never => anything(0);
    expect([
      kindOf(defineTarget(target)),
      kindOf(defineMethod(method)),
      kindOf(defineMetric({ ...metric, score: fn })),
      kindOf(defineArch(anything({ name: "mine", claims: [], config: fn, weights: fn, memory: {}, embed: fn, block: fn, finalNorm: fn }))),
      kindOf(
        defineAttack({
          name: "mine",
          title: "Mine",
          doc: "d",
          paper: "none",
          access: "text",
          knows: [],
          changes: [],
          needs: [],
          params: {},
          sources: {},
          most: () => 1,
          attempts: fn,
        }),
      ),
    ]).toEqual(["target", "method", "metric", "arch", "attack"]);
    expect(kindOf({ ...defineTarget(target) })).toBe("target");
    for (const other of [target, undefined, null, "target", [], { [Symbol.for("lethe.kind")]: "shelf" }])
      expect(kindOf(other)).toBeUndefined();
  });

  test("another copy of Lethe makes the same mark", () => {
    expect(kindOf({ name: "theirs", [Symbol.for("lethe.kind")]: "metric" })).toBe("metric");
    expect(kindOf(define("target", { name: "text" }, { name: "ours" }))).toBe("target");
  });
});

describe("a shelf", () => {
  const builtIn = { one: 1, two: 2 };
  const plugin = (entries: Plugin["entries"]): Plugin => ({ id: "x", name: "x.mjs", entries });
  test("has what is built in and what plugins bring to it, and nothing from another shelf", () => {
    const plugins = [plugin({ target: { three: {} } }), plugin({ target: { four: {} }, metric: { five: {} } })];
    expect(Object.keys(onShelf<unknown>("target", builtIn, { plugins }))).toEqual(["one", "two", "three", "four"]);
    expect(onShelf<unknown>("method", builtIn, { plugins })).toEqual(builtIn);
    expect(onShelf("target", builtIn, { plugins: [] })).toBe(builtIn);
  });

  test("gives what is named, and the nearest name where there is none", () => {
    expect(named("target", builtIn, "two")).toBe(2);
    expect(() => named("target", builtIn, "twi")).toThrow('target: "twi"; wanted one of one, two. Did you mean "two"?');
    expect(() => named("target", builtIn, "toString")).toThrow(/"toString"; wanted one of one, two/);
  });
});
