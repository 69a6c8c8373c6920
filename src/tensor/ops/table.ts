/** The table of operations; every interpreter of a graph reads it. */
import { elementwise } from "./elementwise.ts";
import { linear } from "./linear.ts";
import type { Op } from "./op.ts";
import { reduce } from "./reduce.ts";
import { shape } from "./shape.ts";

const table = { ...elementwise, ...reduce, ...shape, ...linear };

export type OpName = keyof typeof table;
export const ops: Readonly<Record<OpName, Op>> = table;
