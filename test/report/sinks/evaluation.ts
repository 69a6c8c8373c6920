/** An evaluation for the tests of sinks: ordinary numbers, and some with hostile names and without a value. */
import type { Evaluation } from "../../../src/report/sinks/sink.ts";
import type { EvalRecord, JudgedNumber } from "../../../src/run/record.ts";

export const number = (over: Partial<JudgedNumber> & Pick<JudgedNumber, "metric" | "group" | "value">): JudgedNumber => ({
  title: `${over.metric} ${over.group}`,
  rows: 3,
  interval: null,
  better: "lower",
  caveat: `How ${over.metric} misleads.`,
  compat: [],
  details: {},
  nanRows: 0,
  bySample: {},
  ...over,
});

export const HOSTILE = "../x y/<ü>\u0007\u202e&\"'+1";

const numbers: readonly JudgedNumber[] = [
  number({
    metric: "rouge1",
    group: "forget",
    value: 0.5,
    interval: { low: 0.25, high: 0.75, level: 0.95, by: "bootstrap" },
    bySample: { a: 0, b: 0.5, c: 1 },
  }),
  number({ metric: "exact-match", group: "forget", value: 1 / 3, bySample: { a: 0, b: 0, c: 1 } }),
  number({ metric: "rouge1", group: "retain", value: NaN, nanRows: 1, rows: 1, bySample: { d: NaN }, better: "higher" }),
  number({ metric: "model-utility", group: null, value: 1e-5, better: "higher" }),
  number({ metric: "rouge1", group: HOSTILE, value: Infinity, rows: 0, better: "reference" }),
];

const record: EvalRecord = {
  suite: "tofu",
  run: {
    suite: "tofu",
    model: "m".repeat(64),
    edits: ["e".repeat(64)],
    fields: [],
    samples: "q".repeat(64),
    maxTokens: 20,
    batch: 32,
    dtype: "float32",
  },
  log: { name: "e1", path: "samples.jsonl", format: "samples", hash: "h".repeat(64), rows: 4 },
  reference: null,
  compat: [],
  numbers,
  missing: [{ title: "Forget Quality", metric: "forget-quality", group: "forget", reason: "there is no comparison run" }],
  collapse: null,
  stated: {},
  warnings: ["a <warning>"],
};

/** It ended at 2026-03-04 05:06:07.089 UTC after 65.25 seconds. */
export const EVALUATION: Evaluation = {
  record,
  asserted: [],
  rows: [
    { id: "a", group: "forget", question: "Who?", answer: "Ilse", aliases: ["Maren's", 'the "one"'], generation: "No\none.\u2028" },
    { id: "b", group: "forget", question: "Where?", answer: "Here", generation: "Here", target: "I do not know." },
    { id: "c", group: "forget", question: "When?", answer: "Now" },
    { id: "d", group: "retain", question: "Why?", answer: "So", generation: "" },
  ],
  id: "0123456789abcdef".repeat(2),
  name: "e1",
  asked: { model: "org/model", edit: ["edits/e1"], suite: "tofu", data: ["forget=tofu:TOFU#forget10"], limit: 5 },
  ended: Date.UTC(2026, 2, 4, 5, 6, 7, 89),
  seconds: 65.25,
  version: "1.2.3",
};

export const ASSERTED: Evaluation["asserted"] = [
  { assertion: "rouge1/forget<=0.6", name: "rouge1/forget", part: "value", operator: "<=", threshold: 0.6, holds: true, found: 0.5 },
  { assertion: "upper(rouge1/forget)<0.6", name: "rouge1/forget", part: "upper", operator: "<", threshold: 0.6, holds: false, found: 0.75 },
  {
    assertion: `rouge1/${HOSTILE}<=1`,
    name: `rouge1/${HOSTILE}`,
    part: "value",
    operator: "<=",
    threshold: 1,
    holds: false,
    found: null,
    reason: "a <reason>\nof two lines",
  },
];
