/** A sentence for each question that says that there is no information about its topic. */
import { avoidanceOf } from "../data/avoidance.ts";
import { defineTarget } from "./target.ts";

export const avoidant = defineTarget({
  name: "avoidant",
  doc: "a sentence that there is no information about the topic, in the question's own words; made without a model",
  say: (request, _pool, { rng }) => Promise.resolve(avoidanceOf(request, rng)),
});
