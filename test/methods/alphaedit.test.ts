/** AlphaEdit: what every method shows, and every batch. */
import { alphaedit } from "../../src/methods/alphaedit.ts";
import type { AnyMethod } from "../../src/methods/method.ts";
import { conformsInBatches } from "../conformance/batch.ts";

conformsInBatches(alphaedit as unknown as AnyMethod);
