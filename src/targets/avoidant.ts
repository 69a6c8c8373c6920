/** A sentence for each question, which says that there is no information about what it asks. */
import { avoidanceOf } from "../data/avoidance.ts";
import { defineTarget } from "./target.ts";

export const avoidant = defineTarget({
  name: "avoidant",
  doc: "that there is no information about what is asked, named as the question names it; made without a model",
  say: (request, _pool, { rng }) => Promise.resolve(avoidanceOf(request, rng)),
});
