/** The machine that numbers were measured on, in words. */
import { cpus } from "node:os";

/** The machine, and how many of its threads were used. */
export const machineOf = (threads: number, each = ""): string =>
  `${cpus().length} cores of ${cpus()[0]?.model ?? "unknown make"}, ${threads} thread${threads === 1 ? "" : "s"}${each}, Node ${process.versions.node}`;
