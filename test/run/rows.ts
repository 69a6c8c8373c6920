/** Made-up rows of what was measured, for tests of the choice and of its table. */
import type { MeasuredRow } from "../../src/run/measured.ts";

/** The content hash of the model that made-up rows were measured on. */
export const MODEL = "0123456789abcdef0123456789abcdef";

/** A row in which everything is perfect, with other values where they are given. */
export const row = (method: string, over: Partial<MeasuredRow> = {}): MeasuredRow => ({
  method,
  mode: "batch",
  requests: 1,
  facts: 10,
  set: {},
  given: [],
  target: 1,
  gone: 1,
  rephrased: 1,
  others: 1,
  interval: null,
  seconds: 10,
  peak: 1e9,
  bytes: 1000,
  kind: "delta",
  isLowRank: true,
  model: { name: "made-up", id: MODEL },
  machine: null,
  code: null,
  date: null,
  from: "test",
  ...over,
});
