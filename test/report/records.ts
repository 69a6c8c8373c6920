/** Made-up records of grids, for the tests of what is written from them. */
import type { GridRecord, PairedTest, TableCell, TableColumn, TableRecord } from "../../src/run/grid/record.ts";

export const column = (over: Partial<TableColumn>): TableColumn => ({
  title: "c",
  isText: false,
  average: "mean",
  as: "number",
  decimals: 2,
  ...over,
});

export const cell = (over: Partial<TableCell>): TableCell => ({
  values: [],
  before: [],
  wanted: 1,
  absent: [],
  lacks: [],
  interval: null,
  questions: 0,
  seeds: 0,
  ...over,
});

const interval = (low: number, high: number, by = "exact"): TableCell["interval"] => ({ low, high, level: 0.95, by });
const against = (p: number): PairedTest => ({ difference: 0.1, interval: interval(0, 0.2, "bootstrap"), p, questions: 40 });

/** Two methods and the untouched model; one model has collapsed, one cell failed, one number does not exist. */
export const TABLE: TableRecord = {
  name: "main",
  title: "What is gone & what stays",
  caption: "Forty facts.",
  columns: [
    column({ title: "method", isText: true }),
    column({ title: "gone", as: "percent", decimals: 1, better: "higher", metric: "forget-rate" }),
    column({ title: "recall", better: "lower", metric: "rouge1" }),
    column({ title: "s", average: "median", decimals: 1 }),
  ],
  rows: [
    {
      at: {},
      isBase: true,
      cells: [
        cell({ text: "untouched model" }),
        cell({ values: [0.025], interval: interval(0.001, 0.13), questions: 40, seeds: 1 }),
        cell({ lacks: ["there are no rows of forget"] }),
        cell({}),
      ],
    },
    {
      at: { method: "a" },
      cells: [
        cell({ text: "A|B_1" }),
        cell({
          values: [1],
          interval: interval(0.91, 1),
          questions: 40,
          seeds: 1,
          best: "best",
          base: against(0.001),
          published: { paper: "P1", value: 0.95, corrected: 0.9, why: "the log says 0.90" },
        }),
        cell({
          values: [0.1, 0.2],
          interval: interval(0.05, 0.25, "bootstrap over seeds and questions"),
          questions: 40,
          seeds: 2,
          best: against(0.4),
        }),
        cell({ values: [1, 3, 2] }),
      ],
    },
    {
      at: { method: "c" },
      collapsed: { runs: 1, of: 2, loss: 12.5, guess: 10.8 },
      cells: [
        cell({ text: "C" }),
        cell({ absent: ["ft: no such thing."] }),
        cell({ values: [0.5], interval: interval(0.4, 0.6), questions: 40, seeds: 1, best: against(0.01), base: against(0.2) }),
        cell({ absent: ["ft: no such thing."] }),
      ],
    },
  ],
  isCompared: true,
  differs: ["Our model is smaller."],
  verdicts: [
    {
      column: "gone",
      a: "A|B_1",
      b: "C",
      protocol: "corrected",
      verdict: "cannot tell",
      reason: "our runs have no number of both",
      theirs: [0.95, 0.7],
    },
  ],
};

export const RECORD: GridRecord = {
  name: "lamps",
  doc: "What two methods forget.",
  tables: [TABLE],
  figures: [],
  answers: [],
  observations: {},
  steps: { total: 4, finished: 3 },
  failed: [{ step: "edit", at: "c", reason: "ft: no such thing." }],
  machines: [{ processor: "Some CPU", cores: 2, threads: 1, node: "v20.20.2" }],
  code: { eval: ["0123456789abcdef"], forget: ["aa", "bb"] },
  described: [{ kind: "method", title: "A", paper: "arXiv:1", departures: ["lr = 1 (TOFU: 2)"], compat: ["old"] }],
  models: ["models/small"],
  data: ["facts.jsonl"],
  seeds: ["0", "1"],
  metrics: [{ name: "forget-rate", doc: "the share of answers that are gone", caveat: "A silent model has 1." }],
};
