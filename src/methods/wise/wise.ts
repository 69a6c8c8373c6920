/** WISE: a trained copy of one MLP matrix (the side memory), and a router that decides by the question whether the copy is used. */
import { fail } from "../../base/fail.ts";
import { rng } from "../../base/rng.ts";
import type { EditRequest } from "../../data/request.ts";
import { BLENDS } from "./blend.ts";
import { contextTemplates } from "../../locate/contexts.ts";
import { answerAs, tokenizeRequest } from "../../locate/tokenized-requests.ts";
import { scopeOf } from "../../locate/scope.ts";
import { adapterOf, candidatesOf, drawMask, memoryOf, remembered, settled, type ShardParams } from "./shards.ts";
import { type SideParams, type SideRows, train } from "./side-memory.ts";
import { checkLayer, layerAt } from "../../model/names.ts";
import { defineMethod, type Job } from "../method.ts";

export interface WiseParams extends SideParams, ShardParams {
  bareShare: number;
  locality: number;
}

/**
 * Possible numbers of edits in one memory; they divide the period. Each edit increases the movement of all similar questions, so a memory
 * takes few.
 */
const SHARDS = [4, 5, 8, 10, 20, 25, 40, 50, 100, 125, 200, 250, 500] as const;

export const wise = defineMethod<WiseParams>({
  name: "wise",
  title: "WISE",
  paper: "arXiv:2405.14768",
  doc: "Changes no weight; a side memory of one matrix answers the questions whose activations it moves far enough.",
  takes: "one",
  needs: ["target"],
  firmer: ({ steps, patience }) => ({ steps: 2 * steps, patience: 3 * patience }),
  params: {
    layer: {
      default: layerAt(0.75),
      doc: "block whose MLP output matrix has the side memory",
      source: "docs/methods/wise.md (EasyEdit: 0.84 of the depth)",
      min: 0,
      whole: true,
    },
    retrieve: {
      default: true,
      doc: "keep full shards separate and choose one per question; false: blend them into one",
      source: "EasyEdit hparams/WISE/llama-7b.yaml retrieve",
    },
    steps: {
      default: 70,
      doc: "maximal number of loss evaluations (one more than updates)",
      source: "EasyEdit hparams/WISE/llama-7b.yaml n_iter",
      min: 1,
      whole: true,
    },
    patience: {
      default: 8,
      doc: "stop when the target is certain and the margins have not improved by 1 % for so many evaluations; 0: do not stop early",
      source: "docs/methods/wise.md (EasyEdit: 0)",
      min: 0,
      whole: true,
    },
    lr: { default: 1, doc: "learning rate of gradient descent", source: "EasyEdit hparams/WISE/llama-7b.yaml edit_lr", min: 0 },
    limit: { default: 1, doc: "maximal change of an entry", source: "EasyEdit hparams/WISE/llama-7b.yaml norm_constraint", min: 0 },
    mask: {
      default: 0.2,
      doc: "share of the entries that a shard trains",
      source: "EasyEdit hparams/WISE/llama-7b.yaml mask_ratio",
      min: 0,
      max: 1,
    },
    margins: {
      default: [5, 20, 10],
      doc: "other questions move less than the first, the edited one more than the second, and the third more than others",
      source: "EasyEdit hparams/WISE/llama-7b.yaml act_margin",
    },
    ratio: {
      default: 0.88,
      doc: "share of an edited question's movement at which the memory may answer",
      source: "EasyEdit hparams/WISE/llama-7b.yaml act_ratio",
      min: 0,
    },
    strictness: {
      default: 0.75,
      doc: "position of the threshold between the largest movement of another question (0) and that share of an edited one's (1)",
      source: "docs/methods/wise.md",
      min: 0,
      max: 1,
    },
    bareShare: {
      default: 0.5,
      doc: "weight of the question without a context template in the likelihood term",
      source: "docs/methods/wise.md",
      min: 0,
      max: 1,
    },
    tokens: {
      default: 1,
      doc: "movement is averaged over so many last tokens of a question; 0: over all (EasyEdit)",
      source: "docs/methods/wise.md",
      min: 0,
      whole: true,
    },
    away: {
      default: 0.03,
      doc: "multiply gradients by the inverse second moments of other questions' states, with this share of the mean diagonal as ridge; 0: do not",
      source: "docs/methods/wise.md",
      min: 0,
    },
    locality: {
      default: 64,
      doc: "how many questions made by the model should not move, and as many with substitute subjects at most",
      source: "docs/methods/wise.md (EasyEdit: 1)",
      min: 1,
      whole: true,
    },
    strangers: {
      default: 8,
      doc: "how many of an edit's other questions, those that moved furthest, are passed to the later edits of a sequence",
      source: "docs/methods/wise.md (EasyEdit: 0)",
      min: 0,
      whole: true,
    },
    shard: {
      default: ({ mlpWidth }) => SHARDS.findLast((edits) => edits <= mlpWidth / 150) ?? SHARDS[0],
      doc: "edits per shard; default: at most one per 150 of the MLP's width, a divisor of 1000",
      source: "docs/methods/wise.md (EasyEdit: 500)",
      min: 1,
      whole: true,
    },
    period: {
      default: 1000,
      doc: "number of edits after which shards are blended",
      source: "EasyEdit hparams/WISE/llama-7b.yaml merge_freq",
      min: 1,
      whole: true,
    },
    blend: { default: "ties", choices: BLENDS, doc: "how shards are blended", source: "EasyEdit hparams/WISE/llama-7b.yaml merge_alg" },
    density: {
      default: 0.53,
      doc: "share of the entries that a shard keeps when blended (ties, dare)",
      source: "EasyEdit hparams/WISE/llama-7b.yaml densities",
      min: 0,
      max: 1,
    },
    weight: { default: 1, doc: "sum of the shards' weights in a blend", source: "EasyEdit hparams/WISE/llama-7b.yaml weights", min: 0 },
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
    "even-rows": "give the question without a template the same weight as with each template",
    "decay-all": "apply weight decay to every entry of the memory, trained or not",
    "ratio-threshold": "take the threshold from the mean movement of the edited question's rows alone",
    "output-activation": "measure movement after the MLP's activation function",
    "loss-denominator": "divide a row's likelihood by its number of labels plus one",
    "plain-gradient": "do not make gradients avoid other questions' states",
    "slow-stop": "stop only when the loss is also no longer changing",
    "last-update": "make one more update after the last evaluation",
    "every-call": "route each call by all of its tokens, so each token of a cached answer is routed separately",
    "long-max": "in a call of more than 100 tokens, use the largest movement instead of the mean",
    "batch-route": "decide once for a whole batch",
    "best-rejected": "a shard must move the question further than the newest memory, even if that one was rejected",
    "pending-shards": "keep shards that are not due for blending separate",
    "open-end": "do not train the end of the answer",
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
  const lastOf = (n: number): number[] => upTo(n).slice(-params.tokens); // 0: all of them
  const inside = tokenizeRequest(model, { id: request.id, prompt: request.prompt, target: request.target }, templates, ask).map(
    ({ ids, first }) => ({
      ids,
      labels: upTo(ids.length).slice(first),
      counted: lastOf(first),
    }),
  );
  const { outside, common } = await scopeOf({ ...job, ask }, request, params.locality);
  const rest = (1 - params.bareShare) / (inside.length - 1);
  const shares = inside.map((_, i) => (i === 0 ? params.bareShare : rest));
  const isEven = compat.has("even-rows") || inside.length === 1;
  return { inside, ...(!isEven && { shares }), outside: outside.map((ids) => ({ ids, labels: [], counted: lastOf(ids.length) })), common };
}
