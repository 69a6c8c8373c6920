/** Asking the bundled model: what a window holds, against plain generation and scoring. */
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { mean } from "../../src/base/array.ts";
import { isMeasured, measure, type MeasureOptions, type Sample } from "../../src/eval/measure.ts";
import { type Field, FIELDS, type SampleRecord } from "../../src/eval/metric.ts";
import { generate } from "../../src/model/decode/generate.ts";
import { load } from "../../src/model/load.ts";
import type { Model } from "../../src/model/model.ts";
import { endOf, promptOf, stopsOf, withTarget } from "../../src/model/prompt.ts";
import { score, told } from "../../src/model/decode/score.ts";

const ALL = (Object.keys(FIELDS) as Field[]).filter((field) => isMeasured(field, false));
const SAMPLES: readonly Sample[] = [
  ["Norvane", "Sellamere"],
  ["Ostrel", "Brackwater"],
  ["Veyra", "Anselgate"],
  ["Quillon", "A town by the sea"],
  ["Atlantis", "I do not know."],
].map(([land, town], i) => ({
  id: `land/${i}`,
  group: i < 3 ? "forget" : "retain",
  question: `What is the capital of ${land}?`,
  answer: town!,
  ...(i < 3 && { restated: `It is ${town}.`, wrong: ["Ilse", `${land} itself`], target: "I do not know." }),
}));

let model: Model;
beforeAll(async () => {
  model = await load("bundled");
});
afterAll(() => model.release());

async function windows(
  fields: readonly Field[],
  options: Parameters<typeof measure>[3] = {},
  samples = SAMPLES,
): Promise<SampleRecord[][]> {
  const all: SampleRecord[][] = [];
  for await (const window of measure(model, samples, fields, { maxTokens: 8, batch: 2, ...options })) all.push(window);
  return all;
}
const asked = async (fields: readonly Field[], options: MeasureOptions = {}): Promise<SampleRecord[]> =>
  (await windows(fields, options)).flat();

describe("asking a model", () => {
  test("windows are cut alike wherever a run goes on", async () => {
    const whole = await windows(ALL);
    expect(whole.map((window) => window.map(({ id }) => id))).toEqual([["land/0", "land/1"], ["land/2", "land/3"], ["land/4"]]);
    for (const from of [2, 4]) expect(await windows(ALL, { from })).toEqual(whole.slice(from / 2));
    expect(await windows(ALL, { from: 5 })).toEqual([]);
  });

  test("only what is wanted stands in a record, beside what the data gives; what the data lacks makes no field", async () => {
    const few = await asked(["generation", "answerRanks"]);
    expect(Object.keys(few[0]!)).toEqual(["id", "group", "question", "answer", "target", "generation", "answerRanks"]);
    const [first, , , fourth] = await asked(ALL);
    expect(Object.keys(first!).sort()).toEqual(["id", ...ALL].sort());
    const lacking = ["target", "paraphraseLoss", "wrongLosses", "targetLoss"];
    expect(Object.keys(fourth!).sort()).toEqual(["id", ...ALL.filter((field) => !lacking.includes(field))].sort());
  });

  test.each(["chat", "plain"] as const)("what it says is what generate says of each question alone (%s)", async (format) => {
    const rows = await asked(["generation"], { format });
    for (const [i, { question }] of SAMPLES.entries()) {
      const { ids } = await promptOf(model, question, { format });
      const [alone] = await generate(model, [ids], { maxTokens: 8, stopIds: stopsOf(model, { format }) });
      expect(rows[i]!.generation).toBe(alone!.text);
    }
    if (format === "chat") expect(new Set(rows.map(({ generation }) => generation)).size).toBeGreaterThan(2);
  });

  test("losses of the answer and of other texts are those of plain scoring, end token and all", async () => {
    const rows = await asked(ALL, { dtype: "float64" });
    const ends = endOf(model).length;
    for (const [i, { question, answer, restated, wrong = [], target }] of SAMPLES.entries()) {
      const prompt = await promptOf(model, question);
      const logprobs = async (text: string): Promise<number[]> => {
        const { ids, first } = withTarget(model, prompt, text, { end: true });
        return (await score(model, [{ ids, from: first }], { dtype: "float64" }))[0]!;
      };
      const loss = async (text: string): Promise<number> => -mean(await logprobs(text));
      const row = rows[i]!;
      const own = await logprobs(answer);
      expect(row.answerTokens).toBe(own.length);
      expect([row.answerRanks!.length, row.topTokens!.length]).toEqual([own.length - ends, own.length - ends]);
      row.answerLogprobs!.forEach((x, j) => expect(x).toBeCloseTo(own[j]!, 10));
      expect(row.answerLoss).toBeCloseTo(-mean(own), 10);
      const { ids } = withTarget(model, prompt, answer, { end: true });
      const [whole] = await told(model, [{ ids, from: 1 }], ["peaks"], { dtype: "float64" });
      expect(row.leadingPeak).toBeCloseTo(mean(whole!.peaks.slice(0, own.length)), 10);
      if (!target) continue;
      expect(row.paraphraseLoss).toBeCloseTo(await loss(restated!), 10);
      expect(row.targetLoss).toBeCloseTo(await loss(target), 10);
      for (const [j, text] of wrong.entries()) expect(row.wrongLosses![j]).toBeCloseTo(await loss(text), 10);
    }
  });

  test("divergence is from another model, and none from itself", async () => {
    const rows = await asked(["divergence"], { against: model });
    expect(rows.map(({ divergence }) => divergence)).toEqual(SAMPLES.map(() => 0));
    await expect(asked(["divergence"])).rejects.toThrow(/the field "divergence".*It needs a second model/);
  });

  test("what cannot be asked is refused before the model is", async () => {
    await expect(asked(["gradientNorm"])).rejects.toThrow(/the field "gradientNorm".*It comes only from logs of other tools/);
    const unanswered = [{ ...SAMPLES[0]!, answer: " " }];
    await expect(windows(["answerLoss"], {}, unanswered)).rejects.toThrow(/"land\/0" has no answer; wanted an answer, for answerLoss/);
    expect(await windows(["generation"], {}, unanswered)).toHaveLength(1);
    const mixed = SAMPLES.map((sample) => ({ ...sample, group: "forget" }));
    await expect(windows(["targetLoss"], {}, mixed)).rejects.toThrow(
      /in the group forget, "land\/0" has a target and "land\/3" has none; wanted all rows of a group, or none/,
    );
    expect(await windows(["generation"], {}, mixed)).toHaveLength(3);
  });
});
