/** The public surface. */
export { type Answer, answering, answers, type Asking, type AskOptions, type ManyOptions, type Outcome } from "./ask/ask.ts";
export { asking, type Asks, type Lent as AskingLent, type Samples } from "./attack/asking.ts";
export { type Access, type Ask, type Asked, type Attack, type Attempt, defineAttack, type Knows, type Siege } from "./attack/attack.ts";
export { floats, ints, ndarray, type NdArray } from "./base/array.ts";
export { type Context, defaultContext } from "./base/context.ts";
export { fail, LetheError } from "./base/fail.ts";
export type { Plugin } from "./base/plugin.ts";
export { rng, type Rng } from "./base/rng.ts";
export type { Declared, Param } from "./base/schema.ts";
export { type EditRequest, type ForgetRequest, type KnownOfRequest, type QA, readRequests } from "./data/request.ts";
export { apply, applyAll } from "./edit/apply.ts";
export type { Change, Delta, Draft, Edit } from "./edit/edit.ts";
export { loadEdits, saveEdits } from "./edit/io.ts";
export { loadLora, saveLora } from "./edit/lora.ts";
export { recallOf, sweep } from "./eval/leak.ts";
export { isMeasured, measure, type MeasureOptions, type Sample } from "./eval/measure.ts";
export {
  averaged,
  defineMetric,
  type Field,
  type Fields,
  type Judged,
  type Metric,
  type Questioned,
  type Row,
  type SampleRecord,
  type Score,
  shareOf,
} from "./eval/metric.ts";
export { defineMethod, type Job, type Method } from "./methods/method.ts";
export { type Arch, type BlockSite, type Config, defineArch, type StoredWeight } from "./model/arch/arch.ts";
export { type Given as PassGiven, type Maps, type MapTap, type Pass, type Taps, traced, type TracedModel } from "./model/forward.ts";
export { generate, type Generated, stream } from "./model/decode/generate.ts";
export { load } from "./model/load.ts";
export { feedsOf, type Model } from "./model/model.ts";
export { type ActivationName, atLayer, type Site, siteName, type WeightName } from "./model/names.ts";
export { promptOf, stopsOf } from "./model/prompt.ts";
export { type Build, runTraced } from "./model/run-traced.ts";
export { score } from "./model/decode/score.ts";
export { type Program, program, type ProgramOptions, type Running } from "./onnx/program.ts";
export { checkRecord } from "./run/assertions.ts";
export { attackOn, type AttackOptions, type AttackRecord } from "./run/attack.ts";
export type { FindOptions, Given, Mode, Settings } from "./run/choice.ts";
export { type ContractOptions, generateContracts } from "./data/contracts/write.ts";
export { type DataOptions, requestsIn } from "./data/place.ts";
export { findEdit, findEdits } from "./run/edit.ts";
export { compareLogs, type EvalOptions, judgeLog, suites } from "./run/eval.ts";
export type { Name as Need } from "./run/needs/registry.ts";
export type { NestedSpec } from "./run/fields.ts";
export type { Asserted, CompareRecord, EvalRecord, JudgedNumber, Measured, RunRecord, RunTimings } from "./run/record.ts";
export { events, type Finished, run, type RunOptions } from "./run/run.ts";
export { jsonSchemaOf } from "./run/spec.ts";
export { loadPlugins, withPlugin } from "./run/plugins.ts";
export { defineTarget, type Lent as TargetLent, type Said, type Target } from "./targets/target.ts";
export type { Graph } from "./tensor/graph.ts";
export { trace } from "./tensor/graph.ts";
export { joinHeads, type KeyValue, splitHeads } from "./tensor/nn.ts";
export type { Tensor } from "./tensor/tensor.ts";
export type { Trace } from "./tensor/trace.ts";
