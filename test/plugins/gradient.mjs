/** The gradient of a word's probability with respect to a shift of one activation. */
import { feedsOf, floats, ints, load, program, promptOf, trace, traced } from "lethe";

const model = await load("bundled");
const { width } = model.config;
const graph = trace((t) => {
  const lm = traced(model, t);
  const [tokens, positions] = ["tokens", "positions"].map((name) => t.input(name, "int64", [1, "T"]));
  const taps = { "blocks.1.mlp_out": (h) => h.add(t.input("shift", "float32", [width])) };
  const last = lm.normed(lm.forward(tokens, { positions, taps }).hidden.slice(1, "T-1", "T"));
  return { logprob: last.labelLogProbs(lm.head(), t.input("word", "int64", [1])).picked.sum() };
});
const { ids } = await promptOf(model, "What is the capital of Norvane?");
const inputs = {
  tokens: ints(ids, [1, ids.length]),
  positions: ints([...ids.keys()], [1, ids.length]),
  shift: floats(new Array(width).fill(0), [width], "float32"),
  word: ints(model.tokenizer.encode("Sellamere", { special: false }).ids.slice(0, 1)),
};
const run = program(model.sessions, graph, { grad: { of: "logprob", wrt: ["shift"] } });
const { logprob, "grad:shift": gradient } = await run.run(feedsOf(model, inputs));
console.log(logprob.data[0], gradient.shape);
await model.release();
