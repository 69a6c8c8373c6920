/** hush: one shift that makes the model say the target, behind a threshold on the key of each fact. */
import { fail } from "../../base/fail.ts";
import { laterStop } from "../../locate/search.ts";
import { answerAs, tokenizeRequest } from "../../locate/tokenized-requests.ts";
import { checkLayer, layerAt } from "../../model/names.ts";
import { defineMethod } from "../method.ts";
import { adapterOf, bookOf, targetsOf } from "./book.ts";
import { admit, type HushParams } from "./gate.ts";
import { teach } from "./teach.ts";

export const hush = defineMethod<HushParams>({
  name: "hush",
  title: "hush",
  paper: "docs/methods/hush.md",
  doc: "Changes no weight; a question whose key meets that of a fact gets one shared shift, which makes the model say the target.",
  takes: "many",
  needs: ["subject", "target", "statistics"],
  params: {
    layer: {
      default: layerAt(0.3),
      doc: "block whose keys are compared, and behind which the shift is added",
      source: "docs/methods/hush.md",
      min: 0,
      whole: true,
    },
    ridge: { default: 0.03, doc: "added to the second moments' diagonal, as a share of its mean", source: "docs/methods/rome.md", min: 0 },
    threshold: {
      default: 0,
      doc: "how much of a fact's own key a question must meet; 0: measured",
      source: "docs/methods/hush.md",
      min: 0,
      max: 1,
    },
    floor: { default: 0.5, doc: "measured threshold: at least this", source: "docs/methods/hush.md", min: 0, max: 1 },
    others: {
      default: 64,
      doc: "for the measured threshold: how many questions made by the model, and as many with substitute subjects",
      source: "docs/methods/hush.md",
      min: 0,
      whole: true,
    },
    teach: {
      default: 16,
      doc: "the shift of a target is found on at most this many of its requests",
      source: "docs/methods/hush.md",
      min: 1,
      whole: true,
    },
    enough: {
      default: 0.6,
      doc: "stop when the loss of the target's least likely token is below this for every request (nats)",
      source: "docs/methods/hush.md",
      min: 0,
    },
    steps: { default: 120, doc: "maximal number of updates of a target's shift", source: "docs/methods/hush.md", min: 1, whole: true },
    lr: { default: 0.4, doc: "learning rate of Adam on the shift", source: "docs/methods/hush.md", min: 0 },
    polish: {
      default: 20,
      doc: "updates of a shift of its own for a fact that does not say the target yet; 0: none",
      source: "docs/methods/hush.md",
      min: 0,
      whole: true,
    },
  },
  compat: {},
  firmer: (params) => ({ ...laterStop(params), polish: 2 * params.polish }),
  edit: async (job) => {
    const { model, params, previous, running } = job;
    const asked = job.requests.length > 0 ? job.requests : fail("hush", "no request", "one at least", "");
    checkLayer("hush", params.layer, model.config.layers);
    const ask = answerAs({ ...job, compat: new Set() });
    const rows = asked.map((request) => tokenizeRequest(model, request, ["{}"], ask)[0]!);
    const admitted = await admit(job, rows, bookOf(previous), ask);
    const { book, report } = await teach(job, rows, admitted, ask);
    return {
      change: adapterOf(model, book, params.layer, running.dtype),
      memory: targetsOf(book),
      evidence: {
        layer: params.layer,
        statistics: job.statistics!.spec,
        facts: book.facts.length,
        values: book.values.length,
        thresholds: admitted.places.map((i) => book.facts[i]!.threshold),
        others: admitted.others,
        ...report,
      },
    };
  },
});
