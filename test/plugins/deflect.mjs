/** Deflect: a sentence that changes the topic. */
import { defineTarget } from "lethe";

const SENTENCES = ["Let us talk about the weather.", "That reminds me of a song.", "Ask me something else."];

export const deflect = defineTarget({
  name: "deflect",
  doc: "one of three sentences that change the topic",
  say: (_request, _pool, { rng }) => Promise.resolve(SENTENCES[rng.below(SENTENCES.length)]),
});
