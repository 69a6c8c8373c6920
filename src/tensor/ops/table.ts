/** The table of operations; every interpreter of a graph reads it. */
import { elementwise } from "./elementwise.ts";
import { linear } from "./linear.ts";
import type { OpName } from "./names.ts";
import type { Op } from "./op.ts";
import { reduce } from "./reduce.ts";
import { shape } from "./shape.ts";

export const ops: Readonly<Record<OpName, Op>> = { ...elementwise, ...reduce, ...shape, ...linear };
