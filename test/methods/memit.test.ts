/** MEMIT: what every method shows, and every batch. */
import { memit } from "../../src/methods/memit.ts";
import type { AnyMethod } from "../../src/methods/method.ts";
import { conformsInBatches } from "../conformance/batch.ts";
import { remembersKeys } from "../conformance/sequence.ts";

conformsInBatches(memit as unknown as AnyMethod);
remembersKeys(memit as unknown as AnyMethod, { steps: 8, templates: ["5x5"] });
