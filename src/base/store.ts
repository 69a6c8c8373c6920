/** The door to the disk: atomic files, JSON, journals, locks, outputs and safetensors. */
export { codeOf, complain } from "./errno.ts";
export {
  appendLine,
  openAs,
  openFile,
  readBytes,
  readJson,
  readLines,
  readUtf8,
  writeAtomic,
  writeAtomicSlowly,
  writeAtomicWith,
} from "./files.ts";
export type { OpenFile, Reading } from "./files.ts";
export { isRecord, parseJson } from "./json.ts";
export { lockFile, tryLock } from "./locks.ts";
export { type Output, holdOutput, holding, isInside, refuseTaken } from "./output.ts";
export { PICKLE_ADVICE, openSafetensors, readPieces, readSafetensors, windows, writeSafetensors } from "./safetensors.ts";
export type { Safetensors, TensorInfo, Writable } from "./safetensors.ts";
export { discard, isAlive, isUnfinished, scratch, sweepUnfinished, unfinishedName } from "./unfinished.ts";
