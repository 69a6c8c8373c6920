/** How much of its probability each token of an answer loses when noise hides the subject. */
import { floats, ints, mean } from "../base/array.ts";
import { traced } from "../model/forward.ts";
import { feedsOf, type Model } from "../model/model.ts";
import { program, type Running } from "../onnx/program.ts";
import { trace } from "../tensor/graph.ts";

/** A prompt with an answer, and what is hidden in it. */
export interface Answering {
  readonly ids: readonly number[];
  /** Where the answer begins. */
  readonly first: number;
  /** Indices of the subject's tokens, ascending, in the answer too. */
  readonly subject: readonly number[];
}

/** For each token of the answer its probability in the clean run, less the mean over noises [subject tokens × width]; one pass for each of them. */
export async function lossesUnderNoise(
  model: Model,
  { ids, first, subject }: Answering,
  noise: readonly Float64Array[],
  { dtype, executor }: Running,
): Promise<number[]> {
  const [T, D] = [ids.length, model.config.width];
  const graph = trace((t) => {
    const lm = traced(model, t, dtype);
    const { hidden } = lm.forward(t.input("tokens", "int64", ["B", "T"]), {
      positions: t.input("positions", "int64", ["B", "T"]),
      real: t.input("real", "bool", ["B", "T"]),
      taps: { embed: (h) => h.add(t.input("noise", dtype, ["B", "T", D])) },
    });
    const { picked } = lm.logProbs(lm.normed(hidden, t.input("rows", "int64", ["M"])), t.input("labels", "int64", ["M"]));
    return { picked };
  });
  const runner = program(model.sessions, graph, { executor });
  const labels = ids.slice(first);
  const chancesUnder = async (one: Float64Array | undefined): Promise<number[]> => {
    const drowned = new Float64Array(T * D);
    if (one) subject.forEach((at, i) => drowned.set(one.subarray(i * D, (i + 1) * D), at * D));
    const { picked } = await runner.run(
      feedsOf(model, {
        tokens: ints(ids, [1, T]),
        positions: ints([...ids.keys()], [1, T]),
        real: { dtype: "bool", shape: [1, T], data: new Uint8Array(T).fill(1) },
        noise: floats(drowned, [1, T, D], dtype),
        rows: ints(labels.map((_, i) => first + i - 1)),
        labels: ints(labels),
      }),
    );
    return Array.from(picked!.data as Float32Array, Math.exp);
  };
  const clean = await chancesUnder(undefined);
  const corrupted: number[][] = [];
  for (const one of noise) corrupted.push(await chancesUnder(one));
  return clean.map((chance, i) => chance - mean(corrupted.map((own) => own[i]!)));
}
