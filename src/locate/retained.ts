/** Second moments of a text and of retain questions together, so that a change avoids the keys of both. */
import type { Context } from "../base/context.ts";
import { fail } from "../base/fail.ts";
import type { Declared } from "../base/schema.ts";
import type { QA } from "../data/request.ts";
import type { Carried } from "../edit/edit.ts";
import type { Config } from "../model/arch/arch.ts";
import type { Model } from "../model/model.ts";
import { type Format, promptWithoutEdits, withTarget } from "../model/prompt.ts";
import { addTo, matrix } from "../onnx/linalg.ts";
import { type Statistics, statisticsOver } from "./covariance.ts";
import type { TokenRow } from "./generated-text.ts";

export interface RetainWeightParam {
  retainWeight: number;
}

/** The weight of retain questions. Declared once; each method includes it in its own parameters. */
export const RETAIN_WEIGHT: Declared<RetainWeightParam, Config> = {
  retainWeight: {
    default: 0,
    doc: "weight of the second moments of retain questions and answers, relative to those of the text; 0: they are not used",
    source: "docs/methods/sequences.md",
    min: 0,
  },
};

/** The needs of a method that it does not use at this weight. */
export const sparesRetain = ({ retainWeight }: RetainWeightParam): readonly "retain"[] => (retainWeight > 0 ? [] : ["retain"]);

interface RetainJob {
  readonly model: Model;
  readonly params: RetainWeightParam;
  readonly statistics?: Statistics;
  readonly retain?: readonly QA[];
  readonly previous?: Carried;
  readonly format: Format;
  readonly system?: string;
  readonly ctx: Context;
}

/**
 * C + w·C_r: the second moments C of the job's text and those of its retain questions, C_r = (1/n) Σ k·kᵀ over the n tokens of the questions
 * and answers behind the beginning that all of them share, on the base of the sequence. With w = 0 the statistics of the text.
 */
export function momentsOf(who: string, job: RetainJob): Statistics {
  const { params, retain = [], previous, ctx } = job;
  const { retainWeight: weight } = params;
  const text = job.statistics!;
  if (weight === 0) return text;
  if (retain.length === 0)
    fail(who, "retainWeight without a retain question", "questions whose answers must not change", "Give --retain FILE.");
  const model = previous?.under ?? job.model;
  const questions = statisticsOver(model, () => Promise.resolve(retainRows(model, retain, job)), ctx);
  return {
    spec: text.spec,
    prepare: async (layers, site) => {
      await text.prepare(layers, site);
      await questions.prepare(layers, site);
    },
    secondMoment: async (layer, site) => {
      const c = await text.secondMoment(layer, site);
      return addTo(matrix(c.shape[0]!, c.shape[1]!, c.data.slice()), await questions.secondMoment(layer, site), weight);
    },
  };
}

/** Questions with their answers as rows of tokens. The beginning that all rows share, such as a system message, is not counted. */
export function retainRows(model: Model, retain: readonly QA[], { format, system }: Pick<RetainJob, "format" | "system">): TokenRow[] {
  const ask = { format, ...(system !== undefined && { system }) };
  const rows = retain.map(({ question, answer }) => {
    const prompt = promptWithoutEdits(model, question, ask);
    return answer === "" ? prompt.ids : withTarget(model, prompt, answer, { ...ask, end: true }).ids;
  });
  let shared = 0;
  while (rows.length > 1 && rows.every((ids) => shared + 1 < ids.length && ids[shared] === rows[0]![shared])) shared++;
  return rows.map((ids) => ({ ids, from: shared }));
}
