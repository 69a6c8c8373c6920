/** FT-L: one MLP's output matrix is trained on the target, and no element may change by more than a limit. */
import { asFloats, floats, mean } from "../base/array.ts";
import { checkAbort } from "../base/context.ts";
import { fail } from "../base/fail.ts";
import { laterStop } from "../locate/search.ts";
import { answerAs } from "../locate/tokenized-requests.ts";
import { atLayer, checkLayer, layerAt } from "../model/names.ts";
import { promptWithoutEdits, withTarget } from "../model/prompt.ts";
import { type TargetRow, weightPasses } from "../train/one-weight.ts";
import { adamw } from "../train/optim.ts";
import { defineMethod, type Job } from "./method.ts";

export interface FtParams {
  layer: number;
  lr: number;
  steps: number;
  limit: number;
  enough: number;
}

export const ft = defineMethod<FtParams>({
  name: "ft",
  title: "FT-L",
  paper: "arXiv:2012.00363",
  doc: "Trains one matrix until the model says the target; no element may change by more than a limit.",
  takes: "many",
  needs: ["target"],
  firmer: laterStop,
  params: {
    layer: {
      default: layerAt(0.75),
      doc: "block whose MLP output matrix is trained",
      source: "docs/methods/ft.md",
      min: 0,
      whole: true,
    },
    lr: { default: 1e-3, doc: "learning rate of Adam", source: "docs/methods/ft.md (EasyEdit: 5e-4)", min: 0 },
    steps: {
      default: 40,
      doc: "maximal number of loss evaluations (one more than updates)",
      source: "docs/methods/ft.md (EasyEdit: 25)",
      min: 1,
      whole: true,
    },
    limit: { default: 0.01, doc: "maximal change of an element (L∞); 0: no limit", source: "docs/methods/ft.md", min: 0 },
    enough: { default: 0.6, doc: "stop when the loss of every target token is below this (nats)", source: "docs/methods/ft.md", min: 0 },
  },
  hparams: {
    layers: "layer",
    lr: "lr",
    num_steps: "steps",
    num_epochs: "steps", // with one request, an epoch is one step
    inner_params: "layer",
    norm_constraint: "limit",
    objective_optimization: (name) => (name === "prompt_last" ? ["prompt-last"] : []),
  },
  compat: {
    "prompt-last": "predict every target token at the prompt's last position (objective_optimization: prompt_last)",
    "loss-stop": "stop only when the mean loss is below 0.01",
    "open-end": "do not train the end of the answer",
  },
  edit: async (job) => {
    const { model, params, ctx } = job;
    const { layer, lr, steps, limit } = params;
    checkLayer("ft", layer, model.config.layers);
    const name = atLayer(model.arch.memory.weight, layer);
    const before = asFloats(model.weights.get(name)!, "float64");
    const rows = rowsOf(job);
    const run = await weightPasses(model, name, rows, job.running);

    const size = before.data.length;
    const change = new Float32Array(size);
    const moments = { first: new Float32Array(size), second: new Float32Array(size) };
    const adam = adamw({ betas: [0.9, 0.999], eps: 1e-8, decay: 0 });
    let at: At;
    for (let step = 1; ; step++) {
      const matrix = floats(
        before.data.map((w, i) => w + change[i]!),
        before.shape,
        job.running.dtype,
      );
      const { losses, gradient } = await run(matrix, () => checkAbort(ctx, "ft"));
      at = { evaluations: step, loss: mean(losses.map(mean)), worst: Math.max(...losses.flat()), losses };
      if (!Number.isFinite(at.loss))
        fail("ft", `the loss is ${at.loss} at evaluation ${step}`, "a finite loss", "Try a smaller lr or limit.", "execution");
      ctx.log({ kind: "progress", stage: "steps", done: step, total: steps, detail: `loss ${at.loss.toFixed(3)}` });
      if (step >= steps || isEnough(job, at)) break;
      adam.update({ weight: change, gradient, moments, step, lr, scale: 1, decays: false });
      if (limit > 0) for (let i = 0; i < size; i++) change[i] = Math.max(-limit, Math.min(limit, change[i]!));
    }
    if (!isEnough(job, at))
      ctx.log({
        kind: "warning",
        who: "ft",
        text: `the least likely target token has a probability of ${Math.exp(-at.worst).toPrecision(2)} after ${steps} evaluations; give more steps, or a larger lr or limit`,
      });
    const top = change.reduce((a, x) => Math.max(a, Math.abs(x)), 0);
    return {
      change: { kind: "delta", weights: { [name]: { dense: floats(change, before.shape) } } },
      evidence: {
        layer,
        evaluations: at.evaluations,
        loss: at.loss,
        targetProbability: at.losses.map((own) => Math.exp(-mean(own))),
        changeNorm: norm(change),
        matrixNorm: norm(before.data),
        furthest: top,
        atLimit: limit > 0 ? change.reduce((n, x) => n + Number(Math.abs(x) >= Math.fround(limit)), 0) / size : 0,
      },
    };
  },
});

/** One evaluation of the search, with the losses by row and target token. */
interface At {
  readonly evaluations: number;
  readonly loss: number;
  readonly worst: number;
  readonly losses: readonly (readonly number[])[];
}

const isEnough = ({ compat, params }: Job<FtParams>, at: At): boolean =>
  compat.has("loss-stop") ? at.loss < 0.01 : at.worst < params.enough;

function rowsOf(job: Job<FtParams>): TargetRow[] {
  const { model, requests, compat } = job;
  const ask = answerAs(job);
  return requests.map((request) => {
    const prompt = promptWithoutEdits(model, request.prompt, ask);
    const { ids, first } = withTarget(model, prompt, request.target ?? "", ask);
    const isLast = compat.has("prompt-last");
    return {
      ids: isLast ? ids.slice(0, first) : ids.slice(0, -1),
      labels: ids.slice(first).map((label, i) => ({ at: first - 1 + (isLast ? 0 : i), label })),
    };
  });
}

const norm = (xs: Float32Array | Float64Array): number => {
  let sum = 0;
  for (const x of xs) sum += x * x;
  return Math.sqrt(sum);
};
