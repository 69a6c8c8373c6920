/** Recorded values of metrics, from recorded losses and ranks: KS tests, harmonic means, TOFU's and PISTOL's numbers on SmolLM2. No model is loaded. */
import { describe, expect, test } from "vitest";
import { mean } from "../src/base/array.ts";
import { judge } from "../src/eval/judge.ts";
import { answerShare, dampedShare, TRUTH_RATIOS, type TruthRatioName } from "../src/eval/likelihood.ts";
import type { Row, SampleRecord } from "../src/eval/metric.ts";
import { registry } from "../src/eval/metrics/registry.ts";
import { countedAgain } from "../src/eval/ranks.ts";
import { harmonicMean, type KsMethod, ksP, ksTest } from "../src/eval/stats.ts";
import { suiteOf } from "../src/eval/suite.ts";
import { absent, readJson } from "./shared.ts";

const relative = (got: number, wanted: number): number => (got === wanted ? 0 : Math.abs(got - wanted) / Math.abs(wanted));

describe.skipIf(absent)(`Kolmogorov-Smirnov${absent && ` (skipped: ${absent})`}`, () => {
  interface Pair {
    name: string;
    a: number[];
    b: number[];
    exact: { statistic: number; pvalue: number };
    auto: { statistic: number; pvalue: number };
    asymp: { statistic: number; pvalue: number | "NaN" };
  }
  const pairs = absent ? [] : readJson<Pair[]>("golden/eval/ks.json");
  const wrong = (tolerance: number, change: (h: number) => number = (h) => h): string[] =>
    pairs.flatMap(({ name, a, b, exact, auto }) => {
      const { statistic, h, n, m } = ksTest(a, b);
      const p = ksP(change(h), n, m, "exact");
      const isSame =
        Math.abs(statistic - exact.statistic) <= 1e-12 && relative(p, exact.pvalue) <= tolerance && relative(p, auto.pvalue) <= tolerance;
      return isSame ? [] : [name];
    });

  test("statistic and exact p-value of every pair", () => {
    expect(pairs.length).toBeGreaterThanOrEqual(30);
    expect(wrong(1e-9)).toEqual([]);
  });

  test("the asymptotic form is scipy's from 50 rows a side on", () => {
    const large = pairs.filter(({ a, b, asymp }) => Math.min(a.length, b.length) >= 50 && asymp.pvalue !== "NaN");
    const off = large.map(({ a, b, asymp }) => relative(ksTest(a, b, "asymptotic").p, asymp.pvalue as number));
    expect(off.length).toBeGreaterThan(5);
    expect(Math.max(...off)).toBeLessThan(1e-4);
  });

  test("mutations: one step more, and the other method, are seen", () => {
    expect(wrong(1e-9, (h) => h + 1).length).toBeGreaterThan(pairs.length / 2);
    const asymptotic: KsMethod = "asymptotic";
    expect(pairs.some(({ a, b, exact }) => relative(ksTest(a, b, asymptotic).p, exact.pvalue) > 0.01)).toBe(true);
  });
});

describe.skipIf(absent)(`harmonic means${absent && ` (skipped: ${absent})`}`, () => {
  const cases = absent
    ? []
    : readJson<{ values: number[]; hmean: number | null }[]>("golden/eval/hmean.json").filter(({ hmean }) => typeof hmean === "number");
  test("every recorded one, and none of the arithmetic", () => {
    expect(cases.length).toBeGreaterThan(10);
    for (const { values, hmean } of cases) expect(relative(harmonicMean(values), hmean!)).toBeLessThan(1e-12);
    expect(cases.some(({ values, hmean }) => relative(mean(values), hmean!) > 0.01)).toBe(true);
  });
});

interface TofuRow {
  row: number;
  avg_gt_loss: number;
  num_token_gt: number;
  avg_paraphrased_loss: number;
  average_perturb_loss: number[];
  truth_ratio_variants: Record<string, number>;
  probability: number;
  probability_normalised: number;
  "probability_normalised_eps1e-10": number;
  normalized_gt_loss?: number;
  rouge1_recall: number;
  rougeL_recall: number;
  generation_prompt: string;
  generated_text: string;
  gold_text: string;
}
interface Variant {
  files: Record<string, { rows: TofuRow[] }>;
  aggregate_geometric: Record<string, number>;
  aggregate_arithmetic: Record<string, number>;
}
interface Tofu {
  variants: Record<string, Variant>;
  forget_quality_pairs: Record<string, Record<string, number>>;
}

const GROUPS: Readonly<Record<string, string>> = {
  "eval_log_forget.json": "forget",
  "eval_log.json": "retain",
  "eval_real_author_wo_options.json": "authors",
  "eval_real_world_wo_options.json": "facts",
};

/** A variant's rows as ours; the loss may be moved, to see that the comparison can fail. */
const rowsOf = (variant: Variant, by = 0): SampleRecord[] =>
  Object.entries(variant.files).flatMap(([file, { rows }]) =>
    rows.map((row) => ({
      id: `${GROUPS[file]}/${row.row}`,
      group: GROUPS[file]!,
      question: row.generation_prompt,
      answer: row.gold_text,
      generation: row.generated_text,
      answerLoss: row.avg_gt_loss + by,
      answerTokens: row.num_token_gt,
      paraphraseLoss: row.avg_paraphrased_loss + by,
      wrongLosses: row.average_perturb_loss,
    })),
  );

/** What was recorded of each form: 1/R, and what a row contributes where it must go and where it must stay. */
const RECORDED: readonly (readonly [form: TruthRatioName, kind: "ratio" | "forget" | "keep", name: string])[] = [
  ["geometric", "ratio", "R_geometric"],
  ["arithmetic", "ratio", "R_arithmetic"],
  ["epsilon", "ratio", "ou_R"],
  ["geometric", "forget", "forget_score_geometric"],
  ["arithmetic", "forget", "forget_score_arithmetic"],
  ["epsilon", "forget", "ou_closer_to_1_better"],
  ["prob-mean", "forget", "ou_prob_mean"],
  ["geometric", "keep", "other_score_geometric"],
  ["arithmetic", "keep", "other_score_arithmetic"],
  ["epsilon", "keep", "ou_true_better"],
  ["prob-mean", "keep", "ou_prob_mean"],
];

/** Columns of the in-training aggregate are named the other way round. */
const TITLES: Readonly<Record<string, string>> = Object.fromEntries(
  ["Real Authors", "Real World", "Retain", "Forget"].flatMap((group) =>
    [
      ["ROUGE", "ROUGE"],
      ["Prob.", "Probability"],
      ["Truth Ratio", "Truth Ratio"],
    ].map(([ours, theirs]) => [`${group} ${theirs}`, `${ours} ${group}`]),
  ),
);

describe.skipIf(absent)(`TOFU's numbers on SmolLM2${absent && ` (skipped: ${absent})`}`, () => {
  const tofu = absent ? { variants: {}, forget_quality_pairs: {} } : readJson<Tofu>("golden/eval/tofu.json");

  /** What differs from the record by more than 1e-9 of its size. */
  function wrong(variant: Variant, by = 0): string[] {
    const rows = rowsOf(variant, by);
    const recorded = Object.values(variant.files).flatMap((file) => file.rows);
    const found = recorded.flatMap((row, i) => {
      const ours = rows[i] as Row<"answerLoss" | "paraphraseLoss" | "wrongLosses">;
      const pairs: [string, number, number][] = [
        ...RECORDED.map(([form, kind, name]): [string, number, number] => {
          const { logInverse, ...of } = TRUTH_RATIOS[form];
          const s = logInverse(ours);
          return [name, kind === "ratio" ? Math.exp(-s) : of[kind](s), row.truth_ratio_variants[name]!];
        }),
        ["probability", Math.exp(-ours.answerLoss), row.probability],
        ["normalised", answerShare(ours), row.probability_normalised],
        ["damped", dampedShare(ours), row["probability_normalised_eps1e-10"]],
      ];
      return pairs
        .filter(([, got, want]) => relative(got, want) > 1e-9 && Math.abs(got - want) > 1e-12)
        .map(([name]) => `${ours.id} ${name}`);
    });
    for (const [aggregate, compat] of [
      ["aggregate_geometric", []],
      ["aggregate_arithmetic", ["arithmetic"]],
    ] as const) {
      const verdicts = judge(rows, suiteOf("tofu").columns, { compat });
      for (const [title, want] of Object.entries(variant[aggregate])) {
        const verdict = verdicts.find(({ column }) => column.title === (TITLES[title] ?? title));
        const got = verdict && "score" in verdict ? verdict.score.value : NaN;
        if (!(relative(got, want) <= 1e-9)) found.push(`${aggregate} ${title}: ${got} v ${want}`);
      }
    }
    return found;
  }

  test.each(Object.keys(tofu.variants))("%s: every truth ratio, probability, ROUGE and aggregate", (name) => {
    const variant = tofu.variants[name]!;
    expect(wrong(variant)).toEqual([]);
    expect(wrong(variant, 1e-7).length).toBeGreaterThan(100); // mutation: losses moved by 1e-7
    const recorded = Object.values(variant.files).flatMap((file) => file.rows);
    const rows = rowsOf(variant);
    for (const [metric, map] of [
      ["rouge1", "rouge1_recall"],
      ["rougel", "rougeL_recall"],
    ] as const)
      expect(Object.values(registry[metric].score({ rows, scores: {} }).bySample)).toEqual(recorded.map((row) => row[map]));
  });

  test.each(Object.keys(tofu.forget_quality_pairs))("forget quality of %s", (pair) => {
    const [a, b] = pair.split(" v ").map((name) => rowsOf(tofu.variants[name]!).filter(({ group }) => group === "forget"));
    const want = tofu.forget_quality_pairs[pair]!;
    const bare = (rows: SampleRecord[]): SampleRecord[] => rows.map(({ answerTokens: _, ...row }) => row); // encodings differ on purpose
    const { value, details } = registry["forget-quality"].score({ rows: bare(a!), reference: bare(b!), scores: {} });
    expect(relative(value, want["Forget Quality"]!)).toBeLessThan(1e-12);
    expect(relative(details!["D"] as number, want["KS Test Forget"]!)).toBeLessThan(1e-12);
  });
});

interface PistolRow {
  row: number;
  legacy: { ranks: number[]; mrr: number; hit_rate_100: number; prob: number };
  corrected: {
    ranks_with_eos: number[];
    mrr: number;
    hit_rate_100: number;
    token_logprobs_with_eos: number[];
    prob_normalised_with_eos: number;
    prob_product_with_eos: number;
  };
}
interface Pistol {
  rows: PistolRow[];
  legacy_batch6: Record<string, number>;
  legacy_batch4_accumulated: Record<string, number>;
  legacy_batch2_accumulated: Record<string, number>;
  corrected: Record<string, number>;
}

describe.skipIf(absent)(`PISTOL's numbers on SmolLM2${absent && ` (skipped: ${absent})`}`, () => {
  const variants = absent ? {} : readJson<{ variants: Record<string, Pistol> }>("golden/eval/pistol.json").variants;

  /** What differs; a rank may be moved, to see that the comparison can fail. */
  function wrong({ rows: recorded, ...want }: Pistol, by = 0): string[] {
    const rows = recorded.map(({ row, legacy, corrected }) => ({
      id: `pistol/${row}`,
      answerRanks: corrected.ranks_with_eos.slice(0, -1).map((rank) => rank + by),
      generationRanks: legacy.ranks.map((rank) => rank + by),
      answerLogprobs: corrected.token_logprobs_with_eos,
      answerLoss: -mean(corrected.token_logprobs_with_eos),
      answerTokens: corrected.token_logprobs_with_eos.length,
      leadingPeak: legacy.prob,
    }));
    const of = (name: "mrr" | "hit-ratio" | "probability", compat: string[] = []) => registry[name].score({ rows, scores: {}, compat });
    const legacy = {
      mrr: Object.values(of("mrr", ["generated-ranks"]).bySample),
      hit_rate_100: Object.values(of("hit-ratio", ["generated-ranks"]).bySample),
    };
    const pairs: [string, number, number][] = [
      ["corrected mrr", of("mrr").value, want.corrected["mrr"]!],
      ["corrected hits", of("hit-ratio").value, want.corrected["hit_rate_100"]!],
      ["probability", of("probability").value, want.corrected["prob_normalised_with_eos"]!],
      ["product", of("probability", ["product"]).value, want.corrected["prob_product_with_eos"]!],
      ["legacy probability", of("probability", ["leading-peak"]).value, want.legacy_batch6["prob"]!],
      ...recorded.flatMap((row, i): [string, number, number][] => [
        [`row ${i} mrr`, Object.values(of("mrr").bySample)[i]!, row.corrected.mrr],
        [`row ${i} legacy mrr`, legacy.mrr[i]!, row.legacy.mrr],
        [`row ${i} legacy hits`, legacy.hit_rate_100[i]!, row.legacy.hit_rate_100],
      ]),
      ...(["mrr", "hit_rate_100"] as const).flatMap((name): [string, number, number][] => [
        [`legacy ${name}`, mean(legacy[name]), want.legacy_batch6[name]!],
        [`legacy ${name} of batches of 4`, mean(countedAgain(legacy[name], 4)), want.legacy_batch4_accumulated[name]!],
        [`legacy ${name} of batches of 2`, mean(countedAgain(legacy[name], 2)), want.legacy_batch2_accumulated[name]!],
      ]),
      ["entries", countedAgain(legacy.mrr, 2).length, want.legacy_batch2_accumulated["entries"]!],
    ];
    return pairs.filter(([, got, wanted]) => !(relative(got, wanted) <= 1e-9)).map(([name, got, wanted]) => `${name}: ${got} v ${wanted}`);
  }

  test.each(Object.keys(variants))("%s: corrected and as published", (name) => {
    expect(wrong(variants[name]!)).toEqual([]);
    expect(wrong(variants[name]!, 1).length).toBeGreaterThan(15); // mutation: ranks counted from 2
  });
});
