/** GRACE: a codebook at one MLP; a question whose key is near a stored key gets the value stored with it. */
import { fail } from "../../base/fail.ts";
import { rng } from "../../base/rng.ts";
import type { EditRequest } from "../../data/request.ts";
import { adapterOf, bookOf, EXPANSIONS, labelsOf, PUTS } from "../../locate/codebook.ts";
import { laterStop } from "../../locate/search.ts";
import { answerAs, tokenizeRequest } from "../../locate/tokenized-requests.ts";
import { checkLayer, layerAt } from "../../model/names.ts";
import { defineMethod } from "../method.ts";
import { measuredRadius } from "./radius.ts";
import { type GraceParams, teach } from "./teach.ts";

export const grace = defineMethod<GraceParams>({
  name: "grace",
  title: "GRACE",
  paper: "arXiv:2211.11031",
  doc: "Changes no weight; a codebook answers questions whose key lies within the radius of a stored key.",
  takes: "one",
  needs: ["target"],
  firmer: laterStop,
  params: {
    layer: {
      default: layerAt(0.8),
      doc: "block whose MLP output is replaced",
      source: "docs/methods/grace.md (EasyEdit: 0.84 of the depth)",
      min: 0,
      whole: true,
    },
    steps: {
      default: 50,
      doc: "maximal number of updates of the value",
      source: "EasyEdit hparams/GRACE/llama-7b.yaml n_iter",
      min: 1,
      whole: true,
    },
    lr: { default: 1, doc: "learning rate of Adam on the value", source: "EasyEdit hparams/GRACE/llama-7b.yaml edit_lr", min: 0 },
    enough: {
      default: 0.05,
      doc: "stop when the loss of the target's least likely token is below this (nats)",
      source: "docs/methods/grace.md",
      min: 0,
    },
    radius: { default: 0, doc: "radius of a new key (EasyEdit: 1); 0: measured", source: "docs/methods/grace.md", min: 0 },
    quantile: {
      default: 0,
      doc: "measured radius: this quantile of the distances to the question after context templates; 0: from reach",
      source: "docs/methods/grace.md",
      min: 0,
      max: 1,
    },
    reach: {
      default: 0.8,
      doc: "measured radius: at most this share of the distance to the nearest other question",
      source: "docs/methods/grace.md",
      min: 0,
      max: 1,
    },
    others: {
      default: 64,
      doc: "for the measured radius: how many questions made by the model, and as many with substitute subjects",
      source: "docs/methods/grace.md",
      min: 1,
      whole: true,
    },
    init: {
      default: "warm",
      choices: ["cold", "warm"],
      doc: "a new value starts as uniform noise (cold) or as the layer's output (warm)",
      source: "docs/methods/grace.md",
    },
    replace: {
      default: "replace_last",
      choices: Object.keys(PUTS),
      doc: "tokens that get the value: the question's last, all, or those before its last",
      source: "EasyEdit hparams/GRACE/llama-7b.yaml replacement",
    },
    expand: {
      default: "beside",
      choices: EXPANSIONS,
      doc: "if a key of the same target is near, but the new key is not within its radius: add a new entry (beside), enlarge the radius (coverage), or also move the key halfway (moving_average)",
      source: "docs/methods/grace.md (EasyEdit: coverage)",
    },
  },
  hparams: {
    inner_params: "layer",
    edit_lr: "lr",
    n_iter: "steps",
    eps: "radius",
    val_init: "init",
    replacement: "replace",
    eps_expand: "expand",
  },
  compat: {
    "label-means":
      "treat two targets as equal when the means of their label tensors are equal, and compare a key with the label of another entry",
    "every-call": "look up the last token of every call, so that each token of a cached answer is looked up again",
    "stale-index": "look up the token at the position where the last edited question ended",
    "no-stop": "train the value for all steps",
    "open-end": "do not train the end of the answer",
  },
  edit: async (job) => {
    const { model, requests, params, compat, previous, running } = job;
    const request = requests[0] ?? fail("grace", "no request", "one request", "");
    checkLayer("grace", params.layer, model.config.layers);
    const [row] = tokenizeRequest(model, withoutSubject(request), ["{}"], answerAs(job));
    const measured = params.radius > 0 ? { radius: params.radius } : await measuredRadius(job, row!);
    const random = rng(job.seed).split(`grace ${request.id}`);
    const draw = (n: number): Float64Array => Float64Array.from({ length: n }, () => random.uniform());
    const taught = await teach(model, bookOf(previous), row!, { ...job, radius: measured.radius, draw });
    const { book, value } = taught;
    return {
      change: adapterOf(model, book, { params, compat, dtype: running.dtype, last: row!.subject }),
      memory: labelsOf(book),
      evidence: {
        layer: params.layer,
        rule: taught.rule,
        keys: book.length,
        distance: taught.distance ?? null,
        ...measured,
        evaluations: value?.evaluations.length ?? 0,
        loss: value?.evaluations.at(-1)!.total ?? null,
      },
    };
  },
});

const withoutSubject = ({ id, prompt, target }: EditRequest) => ({ id, prompt, target });
