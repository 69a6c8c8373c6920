/** AlphaEdit: what every method shows, and every batch. */
import { alphaedit } from "../../src/methods/alphaedit/alphaedit.ts";
import type { AnyMethod } from "../../src/methods/method.ts";
import { conformsInBatches } from "../conformance/batch.ts";
import { remembersKeys } from "../conformance/sequence.ts";

conformsInBatches(alphaedit as unknown as AnyMethod);
remembersKeys(alphaedit as unknown as AnyMethod, { steps: 8, templates: ["5x5"] });
