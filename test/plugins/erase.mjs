/** Erase: removes the response to a question's key from the matrices of some layers. */
import { atLayer, defineMethod, floats, promptOf, runTraced, siteName } from "lethe";

export const erase = defineMethod({
  name: "erase",
  title: "Erase",
  paper: "none: an example",
  doc: "Removes a question's key from the MLPs of some layers: W (I - k kᵀ / kᵀk).",
  takes: "one", // one request at a time; several are edited one after the other
  needs: [], // neither subject nor target nor statistics
  params: {
    layers: { default: ({ layers }) => Array.from({ length: layers }, (_, i) => i), doc: "the layers", source: "all of them" },
    strength: { default: 1, doc: "the share that is removed", source: "1 removes all", min: 0 },
  },
  compat: {},
  async edit({ model, requests: [request], params: { layers, strength }, format, system }) {
    const { weight, key, value } = model.arch.memory;
    const { ids } = await promptOf(model, request.prompt, { format, ...(system !== undefined && { system }) });
    const read = await runTraced(model, [ids], (lm, tokens, given) => {
      const seen = {};
      const note = (name) => (h) => (seen[name] = h);
      const taps = layers.flatMap((i) => [
        [siteName(i, key), note(`key.${i}`)],
        [siteName(i, value), note(`value.${i}`)],
      ]);
      lm.forward(tokens, { ...given, taps: Object.fromEntries(taps) });
      return seen;
    });
    const last = ({ data, shape }) => Array.from(data.slice(-shape.at(-1)));
    const weights = layers.map((i) => {
      const [k, v] = [last(read[`key.${i}`]), last(read[`value.${i}`])];
      const square = k.reduce((sum, x) => sum + x * x, 0);
      const left = floats(
        v.map((x) => -strength * x),
        [v.length, 1],
        "float32",
      );
      const right = floats(
        k.map((x) => x / square),
        [1, k.length],
        "float32",
      );
      return [atLayer(weight, i), { outer: [left, right] }];
    });
    return { change: { kind: "delta", weights: Object.fromEntries(weights) } };
  },
});
