/** Assertions about numbers: what is read and what is refused, what holds, and what is missing or incomplete, which never holds. */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, test } from "vitest";
import { defaultContext } from "../../src/base/context.ts";
import { assertionRows, failuresLine, findingOf } from "../../src/report/assertions.ts";
import { checkAssertions, checkRecord, type Known, knownInSuite, readAssertions } from "../../src/run/assertions.ts";
import { type AttackRecord, NOT_ASKED } from "../../src/run/attack.ts";
import { judgeLog } from "../../src/run/eval.ts";
import { knownInAttack, numbersOfAttack } from "../../src/run/recovered.ts";
import { type Asserted, type EvalRecord, type JudgedNumber, nameOf } from "../../src/run/record.ts";

const folder = mkdtempSync(join(tmpdir(), "lethe-assert-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const KNOWN: Known = { names: ["rouge1/forget", "rouge1/retain", "model-utility"], hasIntervals: true };

describe("reading", () => {
  test.each([
    ["rouge1/forget<=0.1", { name: "rouge1/forget", part: "value", operator: "<=", threshold: 0.1 }],
    ["  model-utility  >  -1e-3 ", { name: "model-utility", part: "value", operator: ">", threshold: -0.001 }],
    ["upper(rouge1/forget)<.5", { name: "rouge1/forget", part: "upper", operator: "<", threshold: 0.5 }],
    ["lower ( rouge1/retain ) >= 1.", { name: "rouge1/retain", part: "lower", operator: ">=", threshold: 1 }],
  ])("%s", (text, wanted) => {
    expect(readAssertions([text], KNOWN)).toEqual([{ assertion: text.trim(), ...wanted }]);
  });

  test.each([
    [
      "rouge1/forgte<=0.1",
      /there is no number "rouge1\/forgte"; wanted rouge1\/forget, rouge1\/retain, model-utility\. Did you mean "rouge1\/forget"\?/,
    ],
    ["completely other>1", /there is no number "completely other"; wanted .*The names are metric\/group, as in the suite/],
    ["mean(rouge1/forget)<1", /there is no number "mean\(rouge1\/forget\)"/],
    ["toString<1", /there is no number "toString"/],
    ["rouge1/forget", /"rouge1\/forget" is no assertion; wanted NUMBER<=BOUND/],
    ["<=0.1", /"<=0.1" is no assertion/],
    ["upper()<=0.1", /is no assertion/],
    ["rouge1/forget==0", /compares with ==; wanted <=, >=, < or >\. Two computed numbers are seldom equal/],
    ["rouge1/forget=0", /compares with =;.*seldom equal/],
    ["rouge1/forget!=0", /compares with !=;.*seldom equal/],
    ["rouge1/forget=<0.1", /compares with =;/],
    ["rouge1/forget≤0.1", /compares with ≤; wanted <=/],
    ["rouge1/forget<=10%", /compares with "10%"; wanted a number\. Write 10% as 0\.1/],
    ["rouge1/forget<=", /compares with nothing; wanted a number/],
    ["rouge1/forget<=NaN", /compares with "NaN"; wanted a number/],
    ["rouge1/forget<=0x1", /compares with "0x1"/],
    ["0.1<=rouge1/forget<=0.2", /there is no number "0.1"/],
  ])("refuses %s", (text, complaint) => {
    expect(() => readAssertions([text], KNOWN)).toThrow(complaint);
  });

  test("one wrong assertion among several is found", () => {
    expect(() => readAssertions(["rouge1/forget<=0.1", "rouge2/forget<=0.1"], KNOWN)).toThrow(/no number "rouge2\/forget"/);
  });

  test("a suite's numbers are known before the work, with a text too", () => {
    const ctx = defaultContext();
    expect(knownInSuite("answers", false, ctx).names).toEqual([
      "exact-match",
      "rouge1",
      "rougel",
      "refusal-rate",
      "empty-rate",
      "repetition",
    ]);
    expect(knownInSuite("answers", true, ctx).names).toContain("perplexity/text");
    expect(knownInSuite("forgetting", false, ctx).names).toContain("retention-rate/others");
    expect(() => knownInSuite("answer", false, ctx)).toThrow(/there is no suite "answer"/);
  });
});

const number = (over: Partial<JudgedNumber>): JudgedNumber => ({
  title: "t",
  metric: "rouge1",
  group: "forget",
  rows: 10,
  value: 0.1,
  interval: { low: 0.05, high: 0.2, level: 0.95, by: "bootstrap" },
  better: "lower",
  caveat: "",
  compat: [],
  details: {},
  nanRows: 0,
  bySample: {},
  ...over,
});
const card = { name: "l", path: "l", format: "samples", hash: "", rows: 10 };
const RECORD: EvalRecord = {
  suite: "s",
  run: null,
  log: card,
  reference: null,
  compat: [],
  numbers: [number({})],
  missing: [],
  collapse: null,
  stated: {},
  warnings: [],
};
const check = (text: string, over: Partial<EvalRecord> = {}): Asserted => checkRecord([text], { ...RECORD, ...over })[0]!;

describe("checking", () => {
  test.each([
    ["rouge1/forget<=0.1", true, 0.1],
    ["rouge1/forget<0.1", false, 0.1],
    ["rouge1/forget>=0.1", true, 0.1],
    ["rouge1/forget>0.1", false, 0.1],
    ["upper(rouge1/forget)<=0.1", false, 0.2],
    ["upper(rouge1/forget)<=0.2", true, 0.2],
    ["lower(rouge1/forget)<=0.05", true, 0.05],
    ["lower(rouge1/forget)>0.05", false, 0.05],
  ])("%s: %s", (text, holds, found) => {
    expect(check(text)).toMatchObject({ assertion: text, holds, found });
    expect(check(text)).not.toHaveProperty("reason");
  });

  test("what could not be computed never holds, on either side of the threshold, and says why", () => {
    const reasons: [Partial<EvalRecord>, RegExp][] = [
      [
        { numbers: [], missing: [{ title: "t", metric: "rouge1", group: "forget", reason: "there is no comparison run" }] },
        /there is no comparison run/,
      ],
      [{ numbers: [number({ value: NaN, nanRows: 2 })] }, /2 of 10 rows have no number/],
      [{ numbers: [number({ nanRows: 1 })] }, /1 of 10 rows has no number/],
      [{ numbers: [number({ value: NaN })] }, /not a number \(NaN\)/],
      [{ omitted: { forget: 3, retain: 1 } }, /^3 rows of the log have no value$/],
      [{ numbers: [number({ group: "forget+holdout" })], omitted: { holdout: 1 } }, /^a row of the log has no value$/],
      [{ numbers: [number({ group: null })], omitted: { forget: 3, retain: 1 } }, /^4 rows/],
    ];
    for (const [over, why] of reasons) {
      const name = nameOf([...(over.numbers ?? RECORD.numbers), ...(over.missing ?? [])][0]!);
      for (const side of ["<=", ">="])
        expect(check(`${name}${side}0.1`, over)).toMatchObject({ holds: false, found: null, reason: expect.stringMatching(why) });
    }
    for (const part of ["upper", "lower"])
      expect(check(`${part}(rouge1/forget)<=1`, { numbers: [number({ interval: null })] })).toMatchObject({
        holds: false,
        reason: "it has no interval",
      });
  });

  test("rows that another group lacks do not matter; an infinite number is a number", () => {
    expect(check("rouge1/forget<=0.1", { omitted: { retain: 1, toString: 1 } })).toMatchObject({ holds: true });
    expect(check("rouge1/forget>=5", { numbers: [number({ value: Infinity })] })).toMatchObject({ holds: true, found: Infinity });
  });

  test("as lines: rounding does not hide why one fails", () => {
    const all = [
      check("rouge1/forget<=0.2"),
      check("rouge1/forget<=0.1", { numbers: [number({ value: 0.10000000001 })] }),
      check("rouge1/forget<=1", { numbers: [number({ value: NaN })] }),
    ];
    expect(assertionRows(all)).toEqual([
      ["holds", "rouge1/forget<=0.2", "0.1"],
      ["FAILS", "rouge1/forget<=0.1", "0.10000000001 is not <= 0.1"],
      ["FAILS", "rouge1/forget<=1", "it is not a number (NaN)"],
    ]);
    expect(findingOf(check("rouge1/forget>1", { numbers: [number({ value: 1 / 3 })] }))).toBe("0.333333 is not > 1");
    expect(failuresLine(all)).toBe(
      "2 of 3 assertions failed: rouge1/forget<=0.1 (0.10000000001 is not <= 0.1); rouge1/forget<=1 (it is not a number (NaN))",
    );
    expect(failuresLine(all.slice(0, 1))).toBe("");
  });
});

describe("logs of other tools with rows that have no value", () => {
  const judged = (name: string, text: string, suite: string): EvalRecord => {
    const path = join(folder, name);
    writeFileSync(path, text);
    return judgeLog(path, { vocabulary: 10, suite }, defaultContext({ log: () => {} }));
  };
  const holds = (record: EvalRecord, text: string) => checkRecord([text], record)[0]!;

  test("OpenUnlearning: a row that is null fails what is about its group, and only that", () => {
    const row = (avg_loss: number | null) => ({ prob: null, avg_loss });
    const metric = (...losses: (number | null)[]) => ({
      agg_value: 0.5,
      value_by_index: Object.fromEntries(losses.map((of, i) => [String(i), of === null ? null : { ...row(of), prob: Math.exp(-of) }])),
    });
    const record = judged("TOFU_EVAL.json", JSON.stringify({ forget_Q_A_Prob: metric(1, null, 2), retain_Q_A_Prob: metric(1, 1) }), "tofu");
    expect(record.omitted).toEqual({ forget: 1 });
    expect(holds(record, "probability/forget<=1")).toMatchObject({ holds: false, reason: "a row of the log has no value" });
    expect(holds(record, "probability/retain<=1")).toMatchObject({ holds: true });
  });

  test("lm-evaluation-harness: rows that tell only how likely a text is", () => {
    const said = { doc_id: 0, target: "a", arguments: [["q", {}]], resps: [["a"]], filtered_resps: ["a"] };
    const likely = { doc_id: 1, target: "a", arguments: [["q", "a"]], resps: [[["-1.0", "True"]]], filtered_resps: [["-1.0", "True"]] };
    const text = (...lines: object[]): string => lines.map((line) => JSON.stringify(line)).join("\n");
    const record = judged("samples_quiz.jsonl", text(said, likely), "answers");
    expect(record.omitted).toEqual({ quiz: 1 });
    expect(holds(record, "exact-match>=1")).toMatchObject({ holds: false, reason: "a row of the log has no value" });
    expect(judged("samples_all.jsonl", text(said), "answers")).not.toHaveProperty("omitted");
  });
});

describe("an attack's numbers", () => {
  const sweep = [
    { size: 1, mean: 0.2, worst: 0.3, error: 0.1, short: 0 },
    { size: 4, mean: 0.25, worst: 0.5, error: 0.1, short: 0 },
  ];
  const record: AttackRecord = { attack: "a", params: {}, sources: {}, direct: 0.1, sweep, requests: [], dropped: {} };
  const results = (texts: readonly string[], over: Partial<AttackRecord> = {}): [string, boolean][] =>
    checkAssertions(readAssertions(texts, knownInAttack([1, 4])), numbersOfAttack({ ...record, ...over })).map(({ name, holds }) => [
      name,
      holds,
    ]);

  test("as it is, mean and worst, by size and at the largest", () => {
    expect(results(["direct<=0.1", "mean<=0.25", "worst<=0.4", "worst/1<=0.4", "mean/4<0.25"])).toEqual([
      ["direct", true],
      ["mean", true],
      ["worst", false],
      ["worst/1", true],
      ["mean/4", false],
    ]);
  });

  test("a request that was left out fails all of them; a question that could not be asked is only one attempt fewer", () => {
    expect(results(["direct<=1", "worst<=1"], { dropped: { [NOT_ASKED!]: 2 } })).toEqual([
      ["direct", false],
      ["worst", false],
    ]);
    expect(results(["worst<=1"], { dropped: { "question that could not be asked": 2 } })).toEqual([["worst", true]]);
  });

  test("unknown sizes and intervals are refused before the attack; without --sizes any size is taken, and one that is not there fails", () => {
    expect(() => results(["worst/8<=1"])).toThrow(
      /there is no number "worst\/8"; wanted direct, mean, worst, mean\/1, worst\/1, mean\/4, worst\/4/,
    );
    expect(() => results(["upper(worst)<=1"])).toThrow(/is about an interval; wanted an assertion about the value/);
    const open = knownInAttack(undefined);
    expect(() => readAssertions(["worst/x<=1"], open)).toThrow(/wanted direct, mean, worst, mean\/N, worst\/N/);
    expect(checkAssertions(readAssertions(["worst/8<=1"], open), numbersOfAttack(record))).toMatchObject([
      { holds: false, reason: "there is no such number" },
    ]);
  });
});
