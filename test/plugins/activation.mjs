/** Reads an activation, rewrites it, and prints the next token of the changed model. */
import { load, promptOf, runTraced } from "lethe";

const model = await load("bundled");
const { ids } = await promptOf(model, "What is the capital of Norvane?");
const { mlp, next } = await runTraced(model, [ids], (lm, tokens, given) => {
  let mlp;
  const taps = { "blocks.0.mlp_out": (h) => (mlp = h).mul(0) }; // what it returns goes on
  const { hidden } = lm.forward(tokens, { ...given, taps });
  return { mlp, next: lm.logits(lm.normed(hidden)).argmax() };
});
console.log(mlp.shape, model.tokenizer.decode([Number(next.data.at(-1))]));
await model.release();
