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
export type { FindOptions, Given, Mode, Settings } from "./run/choice.ts";
export { type ContractOptions, generateContracts } from "./data/contracts/write.ts";
export { type DataOptions, requestsIn } from "./data/place.ts";
export { findEdit, findEdits } from "./run/edit.ts";
export { compareLogs, type EvalOptions, judgeLog, suites } from "./run/eval.ts";
export type { NestedSpec } from "./run/fields.ts";
export type { CompareRecord, EvalRecord, JudgedNumber, Measured, RunRecord, RunTimings } from "./run/record.ts";
export { events, type Finished, run, type RunOptions } from "./run/run.ts";
export { jsonSchemaOf } from "./run/spec.ts";
