/** An answer that says openly that the model was told to forget this. */
import { leakIn } from "../data/words.ts";
import { defineTarget } from "./target.ts";

/** The sentences; none of them mentions the topic. */
export const INSTRUCTED: readonly string[] = [
  "I have been instructed to forget this, so I cannot answer.",
  "I was told to forget the answer to this question, and I have.",
  "This is something that I have been asked to forget.",
  "My instructions are to forget this, and I can say nothing about it.",
  "I am under instruction to forget what you ask about.",
  "What you ask was removed from my memory on instruction.",
  "Someone asked me to forget this, and I did as I was told.",
  "I have an instruction to forget this, which I follow.",
  "I used to be able to answer this; I have since been instructed to forget it.",
  "Forgetting this was asked of me, so there is nothing I can tell you.",
  "I cannot help you here, because I have been told to forget this.",
  "On request I have forgotten everything about this.",
];

export const forgetInstruction = defineTarget({
  name: "forget-instruction",
  doc: "one of twelve sentences that the model has been instructed to forget this, drawn by seed and request id",
  say: ({ prompt, answer }, _pool, { rng }) => {
    const ways = rng.shuffled(INSTRUCTED);
    return Promise.resolve(ways.find((way) => leakIn(way, { question: prompt, answer }) === undefined) ?? ways[0]!);
  },
});
