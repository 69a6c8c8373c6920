/** MEMIT: what every method shows, and every batch. */
import { memit } from "../../src/methods/memit.ts";
import type { AnyMethod } from "../../src/methods/method.ts";
import { conformsInBatches } from "../conformance/batch.ts";

conformsInBatches(memit as unknown as AnyMethod);
