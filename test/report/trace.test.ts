/** The pictures of traces: well-formed, labelled, honest about signs, and deaf to markup in tokens. */
import { describe, expect, test } from "vitest";
import { traceBars, traceMap } from "../../src/report/trace.ts";
import type { TraceRecord, TraceStudy } from "../../src/run/record.ts";

const setting = { kind: "mlp", window: 10, severed: null, noise: { std: 0.3, times: 3, samples: 10, seed: 0 } } as const;
const answer = {
  id: "a",
  prompt: 'Where is <the "Amber" Ferry>?',
  subject: "Amber",
  said: "In Veyra.",
  lead: "In ",
  token: " Veyra",
  clean: 0.9,
  isChosen: false,
  corrupted: 0.1,
};
const record: TraceRecord = {
  ...setting,
  model: "f".repeat(64),
  layers: 3,
  answer,
  tokens: [
    { text: " Amber", isSubject: true },
    { text: "\n", isSubject: false },
    { text: "<script>", isSubject: false },
  ],
  effects: [
    [0.8, 0.4, 0],
    [0, 0, -0.4],
    [0.1, 0.2, 0.3],
  ],
};
const study: TraceStudy = {
  ...setting,
  model: "f".repeat(64),
  layers: 3,
  facts: [{ ...answer, effects: [0.2, 0.5, 0.1] }],
  unknown: [],
  average: [
    { effect: 0.2, error: 0.01 },
    { effect: 0.5, error: 0.02 },
    { effect: -0.1, error: 0.01 },
  ],
  peak: 1,
  defaults: [{ method: "noise", layers: [0, 1] }],
};

/** Every element is closed, every attribute quoted, and no bare markup is left in a text. */
function elements(svg: string): string[] {
  const open: string[] = [];
  const rest = svg.replaceAll(
    /<(\/?)([a-z]+)((?: [a-zA-Z0-9-]+="[^"<]*")*)(\/?)>/g,
    (_, end: string, name: string, _attributes, own: string) => {
      if (end) expect(open.pop()).toBe(name);
      else if (!own) open.push(name);
      return "";
    },
  );
  expect(open).toEqual([]);
  expect(rest).not.toMatch(/[<>]/);
  return [...svg.matchAll(/<([a-z]+)/g)].map((m) => m[1]!);
}
const fillOf = (svg: string, title: string): string => new RegExp(`fill="(#[0-9a-f]{6})"><title>${title}`).exec(svg)![1]!;

describe("the heat map", () => {
  const svg = traceMap(record);
  test("is one picture, nothing fetched, nothing run", () => {
    expect(elements(svg).filter((e) => e === "rect").length).toBeGreaterThan(9);
    expect(svg).not.toMatch(/<script|href=|@import|url\(/);
    for (const text of [
      "&lt;script&gt;",
      "● Amber",
      "↵",
      "“Veyra”",
      "up to 3 MLP outputs",
      "probability 0.90; 0.10",
      "noise of 3 σ",
      "+0.80",
    ])
      expect(svg).toContain(text);
  });
  test("the stronger an effect, the darker; what takes away has another hue; NaN never stands in it", () => {
    const sum = (hex: string): number => [1, 3, 5].reduce((s, i) => s + Number.parseInt(hex.slice(i, i + 2), 16), 0);
    expect(sum(fillOf(svg, "Amber, layer 0"))).toBeLessThan(sum(fillOf(svg, "Amber, layer 1")));
    expect(sum(fillOf(svg, "Amber, layer 1"))).toBeLessThan(sum(fillOf(svg, "Amber, layer 2")));
    const [red, , blue] = [1, 3, 5].map((i) => Number.parseInt(fillOf(svg, "↵, layer 2").slice(i, i + 2), 16));
    expect(blue).toBeGreaterThan(red!);
    const flat = traceMap({ ...record, effects: record.effects.map((own) => own.map(() => 0)) });
    elements(flat);
    for (const picture of [svg, flat, traceBars(study)]) expect(picture).not.toMatch(/NaN|Infinity|undefined/);
  });
});

test("bars by layer, the largest marked, the methods' layers below", () => {
  const svg = traceBars(study);
  elements(svg);
  expect(fillOf(svg, "layer 1: \\+0.50")).not.toBe(fillOf(svg, "layer 0: \\+0.20"));
  for (const text of ["largest at layer 1: +0.50", "noise: layer 0 by default", "noise: layer 1 by default", "layer 2: −0.10 ± 0.010"])
    expect(svg).toContain(text);
});

test("characters that no XML may hold are written as their codes", () => {
  const odd = "Who\u001b[2J is\u0000 \ud83d\ufffe?\u0085";
  const token = { text: "\u0007x", isSubject: true };
  const own = { ...answer, prompt: odd, subject: odd, token: "\u0001", lead: odd };
  const bars = { ...study, facts: [{ ...study.facts[0]!, ...own }], defaults: [{ method: "no\u001bise", layers: [0] }] };
  for (const svg of [traceMap({ ...record, answer: own, tokens: [token, ...record.tokens.slice(1)] }), traceBars(bars)]) {
    elements(svg);
    expect(svg).toContain("\\u00");
    expect(svg).not.toMatch(/(?![\n\t])[\p{Cc}\p{Cs}\ufffe\uffff]/u);
  }
});
