/** What every operation must show: its gradient agrees with finite differences in float64, in ONNX as traced. */
import { floats, type NdArray } from "../../src/base/array.ts";
import { rng } from "../../src/base/rng.ts";
import { program } from "../../src/onnx/program.ts";
import { Sessions } from "../../src/onnx/session.ts";
import type { Shape } from "../../src/tensor/dim.ts";
import { trace } from "../../src/tensor/graph.ts";
import type { Tensor } from "../../src/tensor/tensor.ts";

export interface Case {
  /** Differentiable inputs: shapes, numbers drawn from a seed and shifted by `offset`. */
  readonly inputs: Readonly<Record<string, readonly number[]>>;
  readonly offset?: number;
  /** Inputs without a gradient, given whole. */
  readonly fixed?: Readonly<Record<string, NdArray>>;
  /** Symbols in place of sizes, by input name. */
  readonly shapes?: Readonly<Record<string, Shape>>;
  readonly build: (t: Readonly<Record<string, Tensor>>) => Tensor;
}

export const sessions = new Sessions(1, 8);

/** The largest relative error of the gradient against central differences, over every input element; and the loss. */
export async function gradientError(c: Case, executor: "graph" | "blocks" = "graph"): Promise<number> {
  const random = rng("gradient");
  const values = new Map<string, NdArray>();
  for (const [name, shape] of Object.entries(c.inputs)) {
    const data = Array.from({ length: shape.reduce((a, b) => a * b, 1) }, () => random.normal() + (c.offset ?? 0));
    values.set(name, floats(data, shape, "float64"));
  }
  for (const [name, array] of Object.entries(c.fixed ?? {})) values.set(name, array);
  const graph = trace((t) => {
    const inputs = Object.fromEntries([...values].map(([name, v]) => [name, t.input(name, v.dtype, c.shapes?.[name] ?? v.shape)]));
    const y = c.build(inputs);
    // a weighted sum, so that no direction of the output is invisible
    return { loss: y.mul(y.sigmoid().add(0.3)).sum() };
  });
  const wrt = Object.keys(c.inputs);
  const run = program(sessions, graph, { executor, grad: { of: "loss", wrt } });
  const analytic = await run.run(values);
  const forward = program(sessions, graph);
  const lossAt = async (): Promise<number> => Number((await forward.run(values))["loss"]!.data[0]);
  let worst = 0;
  for (const name of wrt) {
    const data = values.get(name)!.data as Float64Array;
    const g = analytic[`grad:${name}`]!.data as Float64Array;
    const scale = Math.max(1e-3, ...g.map(Math.abs));
    for (let i = 0; i < data.length; i++) {
      const [keep, h] = [data[i]!, 1e-5];
      data[i] = keep + h;
      const up = await lossAt();
      data[i] = keep - h;
      const down = await lossAt();
      data[i] = keep;
      worst = Math.max(worst, Math.abs((up - down) / (2 * h) - g[i]!) / scale);
    }
  }
  return worst;
}
