/** The public surface. */
export { sweep } from "./attack/attack.ts";
export { ndarray, type NdArray } from "./base/array.ts";
export { type Context, defaultContext } from "./base/context.ts";
export { LetheError } from "./base/fail.ts";
export { type ForgetRequest, type KnownOfRequest, readRequests } from "./data/request.ts";
export { apply, applyAll } from "./edit/apply.ts";
export type { Edit } from "./edit/edit.ts";
export { loadEdits, saveEdits } from "./edit/io.ts";
export { loadLora, saveLora } from "./edit/lora.ts";
export { generate, type Generated, stream } from "./model/generate.ts";
export { load } from "./model/load.ts";
export type { Model } from "./model/model.ts";
export { promptOf, stopsOf } from "./model/prompt.ts";
export { score } from "./model/score.ts";
export { attackOn, type AttackOptions, type AttackRecord } from "./run/attack.ts";
export type { FindOptions } from "./run/choose.ts";
export { findEdit, findEdits } from "./run/edit.ts";
export { finetuneOn, type TunedOn, type TuneOnOptions } from "./run/finetune.ts";
