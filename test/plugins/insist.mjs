/** Insist: asks the question politely, and asks it twice. */
import { asking, defineAttack } from "lethe";

export const insist = defineAttack({
  name: "insist",
  title: "Insisting",
  doc: "asks the same question politely, and twice",
  paper: "none: an example",
  access: "text", // it gets greedy answers only
  knows: ["question"], // it sees no paraphrases, no false answers, and never the answer
  changes: ["delta", "adapter", "prompt"],
  needs: [],
  ...asking({
    sources: { polite: "please, in front and behind", twice: "the question, and the question again" },
    ask: ({ prompt }, source) => (source === "polite" ? [`Please: ${prompt}`, `${prompt} Please.`] : [`${prompt} I said: ${prompt}`]),
  }),
});
