/** The door to the disk: atomic files, JSON, journals, locks and safetensors. */
export {
  appendLine,
  complain,
  discard,
  isAlive,
  lockFile,
  openAs,
  openFile,
  readJson,
  readLines,
  tryLock,
  writeAtomic,
  writeAtomicWith,
} from "./files.ts";
export type { OpenFile } from "./files.ts";
export { isRecord, parseJson } from "./json.ts";
export { PICKLE_ADVICE, openSafetensors, readPieces, readSafetensors, writeSafetensors } from "./safetensors.ts";
export type { Safetensors, TensorInfo, Writable } from "./safetensors.ts";
