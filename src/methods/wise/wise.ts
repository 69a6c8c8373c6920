/** WISE: a side memory beside one MLP's matrix, trained apart, and a router that decides by the question whether it answers. */
import { fail } from "../../base/fail.ts";
import { rng } from "../../base/rng.ts";
import type { EditRequest } from "../../data/request.ts";
import { BLENDS } from "./blend.ts";
import { contextTemplates } from "../../locate/contexts.ts";
import { answerAs, rowsOf } from "../../locate/target-rows.ts";
import { scopeOf } from "../../locate/scope.ts";
import { adapterOf, candidatesOf, drawMask, memoryOf, remembered, settled, type ShardParams } from "./shards.ts";
import { type SideParams, type SideRows, train } from "./side-memory.ts";
import { checkLayer } from "../../model/names.ts";
import { defineMethod, type Job } from "../method.ts";

export interface WiseParams extends SideParams, ShardParams {
  bareShare: number;
  locality: number;
}

/** Edits that a memory may be made for: one in sequence adds to how far all that is worded alike is moved. Divisors of the period. */
const SHARDS = [4, 5, 8, 10, 20, 25, 40, 50, 100, 125, 200, 250, 500] as const;

export const wise = defineMethod<WiseParams>({
  name: "wise",
  title: "WISE",
  paper: "arXiv:2405.14768",
  doc: "Keeps the weights; a side memory of one matrix answers the questions that move it far enough.",
  takes: "one",
  needs: ["target"],
  params: {
    layer: {
      default: (c) => Math.round(c.layers * 0.75),
      doc: "block whose MLP output matrix has the side memory",
      source: "docs/methods/wise.md (EasyEdit: 0.84 of the depth)",
      min: 0,
    },
    retrieve: {
      default: true,
      doc: "finished shards are kept apart and chosen among; false: merged into one",
      source: "EasyEdit hparams/WISE/llama-7b.yaml retrieve",
    },
    steps: {
      default: 70,
      doc: "loss evaluations at most (updates: one fewer)",
      source: "EasyEdit hparams/WISE/llama-7b.yaml n_iter",
      min: 1,
    },
    patience: {
      default: 8,
      doc: "stop where the target is certain and the margins have come no closer, by a hundredth, for so many evaluations; 0: go on",
      source: "docs/methods/wise.md (EasyEdit: 0)",
      min: 0,
    },
    lr: { default: 1, doc: "step size of gradient descent", source: "EasyEdit hparams/WISE/llama-7b.yaml edit_lr" },
    limit: { default: 1, doc: "each entry changes by this at most", source: "EasyEdit hparams/WISE/llama-7b.yaml norm_constraint", min: 0 },
    mask: {
      default: 0.2,
      doc: "share of the entries that a shard trains",
      source: "EasyEdit hparams/WISE/llama-7b.yaml mask_ratio",
      min: 0,
      max: 1,
    },
    margins: {
      default: [5, 20, 10],
      doc: "others are moved by less than the first, the question by more than the second, and by the third more than others",
      source: "EasyEdit hparams/WISE/llama-7b.yaml act_margin",
    },
    ratio: {
      default: 0.88,
      doc: "share of an edited question's movement from which the memory may answer",
      source: "EasyEdit hparams/WISE/llama-7b.yaml act_ratio",
      min: 0,
    },
    strictness: {
      default: 0.75,
      doc: "where the threshold lies between the largest movement of another question (0) and that share of an edited one's (1)",
      source: "docs/methods/wise.md",
      min: 0,
      max: 1,
    },
    bareShare: { default: 0.5, doc: "share of the bare question in the likelihood term", source: "docs/methods/wise.md", min: 0, max: 1 },
    tokens: {
      default: 1,
      doc: "how many of a question's last tokens are counted for its movement; 0: all of them (EasyEdit)",
      source: "docs/methods/wise.md",
      min: 0,
    },
    away: {
      default: 0.03,
      doc: "gradients are turned away from other questions' states by their second moments, to whose diagonal this share of its mean is added; 0: not",
      source: "docs/methods/wise.md",
      min: 0,
    },
    locality: {
      default: 64,
      doc: "questions of the model's own that shall not be moved, and as many stand-ins for the subject at most",
      source: "docs/methods/wise.md (EasyEdit: 1)",
      min: 1,
    },
    strangers: {
      default: 8,
      doc: "of an edit's other questions, how many of those moved furthest later edits of a sequence are told from as well",
      source: "docs/methods/wise.md (EasyEdit: 0)",
      min: 0,
    },
    shard: {
      default: ({ mlpWidth }) => SHARDS.findLast((edits) => edits <= mlpWidth / 150) ?? SHARDS[0],
      doc: "edits a shard; by default, one at most for each 150 of the MLP's width, so that shards fill 1000",
      source: "docs/methods/wise.md (EasyEdit: 500)",
      min: 1,
    },
    period: { default: 1000, doc: "edits after which shards are merged", source: "EasyEdit hparams/WISE/llama-7b.yaml merge_freq", min: 1 },
    blend: { default: "ties", choices: BLENDS, doc: "how shards are merged", source: "EasyEdit hparams/WISE/llama-7b.yaml merge_alg" },
    density: {
      default: 0.53,
      doc: "share of the entries that a shard keeps when merged (ties, dare)",
      source: "EasyEdit hparams/WISE/llama-7b.yaml densities",
      min: 0,
      max: 1,
    },
    weight: { default: 1, doc: "sum of the shards' weights in a merge", source: "EasyEdit hparams/WISE/llama-7b.yaml weights", min: 0 },
  },
  hparams: {
    inner_params: "layer",
    retrieve: "retrieve",
    n_iter: "steps",
    edit_lr: "lr",
    norm_constraint: "limit",
    mask_ratio: "mask",
    act_margin: "margins",
    act_ratio: "ratio",
    save_freq: "shard",
    merge_freq: "period",
    merge_alg: "blend",
    densities: "density",
    weights: "weight",
  },
  compat: {
    "even-rows": "weigh the bare question like every other template",
    "decay-all": "let every entry of the memory decay, trained or not",
    "ratio-threshold": "take the threshold from the mean movement of the edited question's rows alone",
    "output-activation": "measure movement behind the MLP's activation function",
    "loss-denominator": "divide a row's likelihood by one label too many",
    "plain-gradient": "do not turn gradients away from other questions' states",
    "slow-stop": "stop only when the loss is also no longer changing",
    "last-update": "update once more after the last evaluation",
    "every-call": "route each call by all of its tokens, and so each token of a cached answer by itself",
    "long-max": "in a call of more than 100 tokens, take the largest movement in place of the mean",
    "batch-route": "decide once for a whole batch",
    "best-rejected": "a shard must move the question further than the newest memory, even where that was rejected",
    "pending-shards": "leave what is not due to be merged beside what is merged",
    "open-end": "do not teach the answer to end",
  },
  edit: async (job) => {
    const { model, requests, params, compat, previous, seed, running } = job;
    const request = requests[0] ?? fail("wise", "no request", "one request", "");
    checkLayer("wise", params.layer, model.config.layers);
    if (params.margins.length !== 3)
      fail("wise", `margins of ${params.margins.length} numbers`, "three", "For example --set margins=5,20,10.");
    if (params.period % params.shard !== 0)
      fail("wise", `period ${params.period} with shards of ${params.shard}`, "a multiple of the shard", "Give --set period=N.");
    const before = memoryOf(model, previous, params.layer);
    const random = rng(seed).split("wise");
    const mask = before.count % params.shard === 0 ? drawMask(model, params.mask, random.split(before.count)) : before.mask!;
    const rows = await rowsFor(job, request);
    const trained = await train(model, rows, before.side, mask, { ...job, earlier: before.edited, strangers: before.strangers });
    const after = settled(before, { ...trained, mask }, params, random);
    return {
      change: adapterOf(model, candidatesOf(after, params, compat, random), { params, compat, dtype: running.dtype }),
      memory: remembered(after, params, compat, running.dtype),
      evidence: {
        layer: params.layer,
        edits: after.count,
        evaluations: trained.evaluations.length,
        loss: trained.evaluations.at(-1)!.likelihood,
        margin: trained.evaluations.at(-1)!.margin,
        inside: trained.inside,
        outside: trained.outside,
      },
    };
  },
});

async function rowsFor(job: Job<WiseParams>, request: EditRequest): Promise<SideRows> {
  const { model, compat, seed, ctx, params } = job;
  const ask = answerAs(job);
  const templates =
    job.templates ??
    (await contextTemplates(
      model,
      [
        [5, 5],
        [10, 5],
      ],
      seed,
      ctx,
    ));
  const upTo = (n: number): number[] => [...new Array(n).keys()];
  const lastOf = (n: number): number[] => upTo(n).slice(-params.tokens); // all of them where that is 0
  const inside = rowsOf(model, { prompt: request.prompt, target: request.target }, templates, ask).map(({ ids, first }) => ({
    ids,
    labels: upTo(ids.length).slice(first),
    counted: lastOf(first),
  }));
  const { outside } = await scopeOf({ ...job, ask }, request, params.locality);
  const rest = (1 - params.bareShare) / (inside.length - 1);
  const shares = inside.map((_, i) => (i === 0 ? params.bareShare : rest));
  const isEven = compat.has("even-rows") || inside.length === 1;
  return { inside, ...(!isEven && { shares }), outside: outside.map((ids) => ({ ids, labels: [], counted: lastOf(ids.length) })) };
}
