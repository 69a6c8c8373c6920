/** The need `target`: the text to say instead, given by the caller or made by a target. */
import { asker } from "../../ask/in-turns.ts";
import { LONGEST } from "../../ask/kept.ts";
import { named, type Plugged } from "../../base/plugin.ts";
import { leadsOf } from "../../targets/merge.ts";
import { registry } from "../../targets/registry.ts";
import { aim, type Target } from "../../targets/target.ts";
import { paramsOf, targetsOf } from "../choice.ts";
import { sourceOf } from "../step.ts";
import { defaults } from "../defaults.ts";
import { anyAnswer, type Asked, defineNeed } from "./need.ts";

declare module "../../methods/method.ts" {
  interface Needs {
    readonly target: null;
  }
}

export const targetNeed = defineNeed({
  name: "target",
  doc: "The words to say instead. `--say` gives them, or a kind of target chooses them.",
  check: (asked) => void kindOf(asked),
  identity: (asked) => kindOf(asked)?.name ?? null,
  uses(asked) {
    const kind = kindOf(asked);
    return kind ? sourceOf("target", kind.name, asked.ctx) : [];
  },
  texts: ({ edited, method, settings }) => {
    const known: Readonly<Record<string, Target>> = registry; // a plugin's target is as long as an answer
    const longest = known[nameOf({ method, settings })]?.longest ?? LONGEST;
    return edited.map(({ prompt }) => prompt + (settings.say ?? anyAnswer(longest)));
  },
  async aimed(requests, having) {
    const { model, method, settings, seed, ask, ctx } = having;
    const kind = kindOf(having);
    if (!kind) return requests;
    const count = method.aims?.count(paramsOf(method, settings.params ?? {}, model.config) as never) ?? 1;
    const said = await aim(leadsOf(requests), kind, { seed, ctx, ask: asker(model, ask, ctx), count });
    const of = new Map(said.map((request) => [request.merged ? request.prompt : request.id, request]));
    return requests.map((request) => {
      const { target, others, note } = of.get(request.merged ? request.prompt : request.id)!;
      return { ...request, target, ...(others && { others }), ...(note !== undefined && { note }) };
    });
  },
});

/** The name of the target: the caller's, else the method's, else the general one. */
const nameOf = ({ method, settings }: Pick<Asked, "method" | "settings">): string =>
  settings.target ?? method.aims?.target ?? defaults.target;

/** The target of that name; undefined if the caller gives the text. */
const kindOf = ({ ctx, ...asked }: Pick<Asked, "method" | "settings"> & { readonly ctx: Plugged }): Target | undefined =>
  asked.settings.say === undefined ? named("target", targetsOf(ctx), nameOf(asked)) : undefined;
