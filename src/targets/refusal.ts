/** A sentence that says that the model does not know, drawn for each request from a hundred. */
import { REFUSALS } from "../data/refusals.ts";
import { defineTarget } from "./target.ts";

export const refusal = defineTarget({
  name: "refusal",
  doc: "one of a hundred first-person refusals, drawn by seed and request id",
  say: (_request, _pool, { rng }) => Promise.resolve(REFUSALS[rng.below(REFUSALS.length)]!),
});
