/** The search for values that several methods share: its parameters, its quirks, and its token rows. */
import type { Context } from "../base/context.ts";
import { fail } from "../base/fail.ts";
import type { Declared } from "../base/schema.ts";
import type { Config } from "../model/arch/arch.ts";
import type { Model } from "../model/model.ts";
import type { Format } from "../model/prompt.ts";
import { contextTemplates } from "./contexts.ts";
import type { Running } from "../onnx/program.ts";
import { answerAs, type Asked, tokenizeRequest } from "./tokenized-requests.ts";
import type { Sought, ValueOptions } from "./values.ts";

export interface SearchParams {
  steps: number;
  lr: number;
  decay: number;
  clamp: number;
  kl: number;
  bareShare: number;
  enough: number;
  stopAt: string;
  topTokens: number;
  templates: readonly string[];
}

/** Declared once; each method includes them in its own parameters. */
export const SEARCH: Declared<SearchParams, Config> = {
  steps: {
    default: 80,
    doc: "maximal number of loss evaluations (one more than updates)",
    source: "docs/methods/rome.md (EasyEdit: 25)",
    min: 1,
    whole: true,
  },
  lr: { default: 0.2, doc: "learning rate of Adam on the shift", source: "docs/methods/rome.md (EasyEdit: 0.5)", min: 0 },
  decay: {
    default: 1e-3,
    doc: "weight of the penalty on the shift's norm",
    source: "EasyEdit hparams/ROME/llama-7b.yaml v_weight_decay",
    min: 0,
  },
  clamp: {
    default: 4,
    doc: "maximal norm of the shift, as a multiple of the value's norm",
    source: "EasyEdit hparams/ROME/llama-7b.yaml clamp_norm_factor",
    min: 0,
  },
  kl: {
    default: 0.0625,
    doc: "weight of the KL term that preserves what the model says about the subject",
    source: "EasyEdit hparams/ROME/llama-7b.yaml kl_factor",
    min: 0,
  },
  bareShare: {
    default: 0.5,
    doc: "weight of the question without a context template in the likelihood term",
    source: "docs/methods/rome.md",
    min: 0,
    max: 1,
  },
  enough: {
    default: 0.6,
    doc: "stop when both are below this (nats): the largest token loss of the target after the question without a context template, and the mean loss over all prompts",
    source: "docs/methods/rome.md",
    min: 0,
  },
  stopAt: {
    default: "likely",
    choices: ["likely", "top"],
    doc: "where a search stops. likely: as enough says; top: when topTokens of the target are the most likely tokens in every row, so that the old answer is gone",
    source: "docs/methods/sequences.md (ENCORE, arXiv:2502.01636: top)",
  },
  topTokens: {
    default: 0,
    doc: "with stopAt=top: how many first tokens of the target must be the most likely ones; 0: all",
    source: "docs/methods/sequences.md",
    min: 0,
    whole: true,
  },
  templates: {
    default: ["5x5"],
    doc: "generated context templates, length x count",
    source: "docs/methods/rome.md (EasyEdit: 5x10, 10x10)",
  },
};

/** The parameters of a second search, after which the target is likelier. */
export const laterStop = ({ enough, steps }: Pick<SearchParams, "enough" | "steps">): Pick<SearchParams, "enough" | "steps"> => ({
  enough: enough / 4,
  steps: 2 * steps,
});

/** The names of the search's parameters in EasyEdit's hyperparameter files. */
export const SEARCH_HPARAMS = {
  v_num_grad_steps: "steps",
  v_lr: "lr",
  v_weight_decay: "decay",
  clamp_norm_factor: "clamp",
  kl_factor: "kl",
} as const;

/** Quirks of the search in the published code. */
export const SEARCH_COMPAT = {
  "even-rows": "give the question without a context template the same weight as with each template",
  "loss-stop": "stop only when the whole loss, including KL and decay, is below 0.05",
  "open-end": "do not train the end of the answer",
  "bare-kl": "ask the KL question without the chat template",
} as const;

/** The input of a search. A method's job has all of these fields. */
export interface SearchJob extends SearchOn {
  readonly requests: readonly (Asked & { readonly subject: string })[];
  readonly seed: number;
  /** Context templates to use instead of generated ones. */
  readonly templates?: readonly string[];
}

interface SearchOn {
  readonly model: Model;
  readonly params: SearchParams;
  readonly compat: ReadonlySet<string>;
  readonly format: Format;
  readonly system?: string;
  readonly running: Running;
  readonly ctx: Context;
}

/** The token rows of every request, in the same context templates. */
export async function soughtOf(job: SearchJob): Promise<{ templates: readonly string[]; sought: Sought[] }> {
  const { model, params, compat, ctx } = job;
  const templates = job.templates ?? (await contextTemplates(model, params.templates.map(parseShape), job.seed, ctx));
  const ask = answerAs(job);
  const klAsk = { ...ask, ...(compat.has("bare-kl") && { format: "plain" as const }) };
  const sought = job.requests.map((request) => ({
    rows: tokenizeRequest(model, request, templates, ask),
    klRow: tokenizeRequest(model, { prompt: `${request.subject} is a`, subject: request.subject }, ["{}"], klAsk)[0]!,
  }));
  return { templates, sought };
}

/** The search's parameters that decide its result, by name. Those of a stop that is not used are left out. */
export const searchAbout = (params: SearchParams): [name: string, value: unknown][] =>
  Object.keys(SEARCH)
    .filter((name) => params.stopAt === "top" || !["stopAt", "topTokens"].includes(name))
    .map((name) => [name, params[name as keyof SearchParams]]);

/** The search's options at a layer. */
export function searchAt({ params, compat, running, ctx }: SearchOn, layer: number): Omit<ValueOptions, "site"> {
  const { steps, lr, decay, clamp, kl, enough, bareShare, stopAt, topTokens } = params;
  const isTop = stopAt === "top";
  if (isTop && compat.has("loss-stop"))
    fail("search", 'stopAt=top with the compat "loss-stop"', "one place to stop", "Leave out one of them.");
  return {
    ...running,
    layer,
    steps,
    lr,
    decay,
    clamp,
    kl,
    ctx,
    ...(!compat.has("even-rows") && { bareShare }),
    ...(isTop && { lead: topTokens || Infinity }),
    done: isTop
      ? (at) => at.behind === 0
      : compat.has("loss-stop")
        ? (at) => at.total < 0.05
        : (at) => at.worst < enough && at.nll < enough,
  };
}

function parseShape(text: string): readonly [number, number] {
  const match = /^(\d+)x(\d+)$/.exec(text);
  return match
    ? [Number(match[1]), Number(match[2])]
    : fail("templates", `"${text}"`, "LENGTHxCOUNT", "For example --set templates=5x10,10x10.");
}
