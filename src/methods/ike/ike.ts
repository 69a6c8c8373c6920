/** IKE: changes no weight; puts the new fact and examples before every question that passes the gate. */
import { checkAbort } from "../../base/context.ts";
import { fail } from "../../base/fail.ts";
import type { PromptEntry } from "../../edit/edit.ts";
import type { EditRequest } from "../../data/request.ts";
import { factLine, FRAME, nearestDemonstrations, type Shown } from "./demonstrations.ts";
import { gatesOf } from "../../locate/gates.ts";
import type { Prefix } from "../../model/model.ts";
import { promptWithoutEdits, framed, laidOut, shownText } from "../../model/prompt.ts";
import { defineMethod, type Job } from "../method.ts";

export interface IkeParams {
  k: number;
  ratio: string;
  order: string;
  selfDemo: boolean;
  gate: boolean;
  share: number;
  above: number;
}

/** The text that the published zsRE data puts before its unrelated questions. */
const NQ = "nq question: ";

export const ike = defineMethod<IkeParams>({
  name: "ike",
  title: "IKE",
  paper: "arXiv:2305.12740",
  doc: "Changes no weight; puts the new fact and examples before every question that is similar enough.",
  takes: "many",
  needs: ["target", "encoder"],
  firmer: () => ({}),
  params: {
    k: {
      default: 8,
      doc: "number of demonstrations, from the nearest other facts",
      source: "docs/methods/ike.md (paper: 32, EasyEdit: 16)",
      min: 0,
      whole: true,
    },
    ratio: { default: "1:3:4", doc: "ratio of the kinds copy : update : retain", source: "Zce1112zslx/IKE icl.py (4:12:16)" },
    order: {
      default: "asc",
      choices: ["asc", "desc"],
      doc: "the nearest demonstration is last (asc) or first (desc)",
      source: "Zce1112zslx/IKE icl.py",
    },
    selfDemo: { default: true, doc: "show the new fact itself as the last demonstration", source: "Zce1112zslx/IKE icl.py" },
    gate: { default: true, doc: "use the edit only for questions similar to one of its own", source: "docs/methods/ike.md" },
    share: {
      default: 0.4,
      doc: "position of the gate between the nearest question to retain (0) and the edit's own (1)",
      source: "docs/methods/ike.md",
      min: 0,
      max: 1,
    },
    above: {
      default: 0,
      doc: "the gate as a fixed similarity; 0: calibrated",
      source: "docs/methods/ike.md",
      min: 0,
      max: 1,
    },
  },
  hparams: { k: "k" },
  compat: {
    "sentence-neighbours": "use the nearest demonstrations of any kind, without a ratio",
    descending: "put the nearest demonstration first",
    "no-self-demo": "do not show the new fact itself as a demonstration",
    "no-gate": "put the context before every question",
    "one-turn": "put demonstrations into the user's turn as text",
    "corpus-leak": "keep demonstrations of the edited facts and those that contain the answer to forget",
    "nq-prefix": `write "${NQ}" before the question of a retain demonstration`,
  },
  edit: async (job) => {
    const { requests, params, compat, ctx } = job;
    const gated = params.gate && !compat.has("no-gate");
    checkAbort(ctx, "ike");
    for (const { id, target } of requests)
      if (target === null || target.trim() === "")
        fail("ike", `request ${id} has an empty target`, "a text to say instead", "Give --say TEXT.");
    const gates = gated ? await gatesOf({ ...job, encoder: job.encoder! }, params) : undefined;
    const found = await shownBefore(job);
    const chosen = requests.map((request, i) => fitting(job, found[i]!, request));
    const entries = requests.map((request, i): PromptEntry => {
      const { shown, context } = prefixOf(job, chosen[i]!, request);
      const said = compat.has("one-turn") ? { shown: [], context: shownText(shown) + context } : { shown, context };
      return { ...said, ...gates?.entries[i] };
    });
    const select = gated ? ({ nearest: 1 } as const) : ("all" as const);
    return {
      change: { kind: "prompt", entries, frame: FRAME, encoder: gates?.by ?? "", select },
      evidence: {
        encoder: job.encoder!.id,
        demonstrations: chosen.map((list) => list.map(({ from, kind, score }) => ({ from, kind, score }))),
        ...(gates && { gates: gates.entries.map(({ above }) => above), nearestThatStays: gates.nearest, calibratedOn: gates.on }),
      },
    };
  },
});

/** The text before a request's question: the demonstrations (the request's own is the last), and the new fact. */
function prefixOf({ params, compat }: Job<IkeParams>, chosen: readonly Shown[], { prompt, target }: EditRequest): Prefix {
  const context = factLine(prompt, target!);
  const self = params.selfDemo && !compat.has("no-self-demo") ? [{ asked: context + framed(FRAME, prompt), said: target! }] : [];
  return { shown: [...chosen.map(({ asked, said }) => ({ asked, said })), ...self], context, frame: FRAME };
}

/** Share of the model's context that a prompt leaves for other wordings of the question and for the answer. */
const ROOM = 1 / 8;

/** The demonstrations that fit into the model's context. The least similar ones are left out first, with a warning. */
function fitting(job: Job<IkeParams>, chosen: readonly Shown[], request: EditRequest): readonly Shown[] {
  const { model, format, system, ctx } = job;
  const nearestFirst = [...chosen].sort((a, b) => b.score - a.score);
  const most = Math.floor((1 - ROOM) * model.config.context);
  let least = 0;
  for (let n = chosen.length; n >= 0; n--) {
    const kept = new Set(nearestFirst.slice(0, n));
    const left = chosen.filter((d) => kept.has(d));
    const messages = laidOut(prefixOf(job, left, request), request.prompt, format);
    const { ids } = promptWithoutEdits(model, messages, { format, ...(system !== undefined && { system }) });
    least = ids.length;
    if (least > most) continue;
    if (n < chosen.length)
      ctx.log({ kind: "warning", who: "ike", text: `${request.id}: ${n} of ${chosen.length} demonstrations fit into the model's context` });
    return left;
  }
  const got = `request "${request.id}" of ${least} tokens with the new fact before it`;
  return fail("ike", got, `at most ${most} of the model's context length of ${model.config.context}`, "Shorten it.");
}

/** The demonstrations of each request, in the order in which they are shown. */
async function shownBefore(job: Job<IkeParams>): Promise<Shown[][]> {
  const { requests, params, compat, demonstrations = [], encoder, ctx } = job;
  const byFact = !compat.has("sentence-neighbours");
  if (demonstrations.length === 0 && params.k > 0 && !byFact)
    fail("ike", "no demonstrations", "other facts as examples, as the published code uses", "Give --demonstrations FILE, or --set k=0.");
  const found = await nearestDemonstrations(requests, demonstrations, {
    count: params.k,
    ratio: params.ratio,
    byFact,
    leaks: compat.has("corpus-leak"),
    prefix: compat.has("nq-prefix") ? NQ : "",
    encoder: encoder!,
    seed: job.seed,
    ctx,
  });
  return params.order === "desc" || compat.has("descending") ? found : found.map((list) => list.reverse());
}
