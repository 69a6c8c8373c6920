/** The public surface. */
export { type Answer, answering, answers, type Asking, type AskOptions, type ManyOptions, type Outcome } from "./ask/ask.ts";
export { sweep } from "./attack/attack.ts";
export { ndarray, type NdArray } from "./base/array.ts";
export { type Context, defaultContext } from "./base/context.ts";
export { LetheError } from "./base/fail.ts";
export { type ForgetRequest, type KnownOfRequest, readRequests } from "./data/request.ts";
export { apply, applyAll } from "./edit/apply.ts";
export type { Edit } from "./edit/edit.ts";
export { loadEdits, saveEdits } from "./edit/io.ts";
export { loadLora, saveLora } from "./edit/lora.ts";
export { isMeasured, measure, type MeasureOptions, type Sample } from "./eval/measure.ts";
export {
  defineMetric,
  type Field,
  type Fields,
  type Judged,
  type Metric,
  type Questioned,
  type Row,
  type SampleRecord,
  type Score,
} from "./eval/metric.ts";
export { generate, type Generated, stream } from "./model/decode/generate.ts";
export { load } from "./model/load.ts";
export type { Model } from "./model/model.ts";
export { promptOf, stopsOf } from "./model/prompt.ts";
export { score } from "./model/decode/score.ts";
export { attackOn, type AttackOptions, type AttackRecord } from "./run/attack.ts";
export type { FindOptions } from "./run/choose.ts";
export { type ContractOptions, generateContracts } from "./run/contracts.ts";
export { type DataOptions, requestsIn } from "./run/data.ts";
export { findEdit, findEdits } from "./run/edit.ts";
export { compareLogs, type EvalOptions, judgeLog, suites } from "./run/eval.ts";
export { finetuneOn, type TunedOn, type TuneOnOptions } from "./run/finetune.ts";
export { evalModel, type EvalModelOptions } from "./run/measured.ts";
export type { CompareRecord, EvalRecord, JudgedNumber, Measured } from "./run/record.ts";
