/** The need `target`: the text to say instead, given by the caller or made by a target. */
import { asker } from "../../ask/in-turns.ts";
import { LONGEST } from "../../ask/kept.ts";
import { named, type Plugged } from "../../base/plugin.ts";
import { leadsOf } from "../../targets/merge.ts";
import { aim, type Target } from "../../targets/target.ts";
import { type Settings, targetsOf } from "../choice.ts";
import { sourceOf } from "../step.ts";
import { defaults } from "../defaults.ts";
import { anyAnswer, defineNeed } from "./need.ts";

declare module "../../methods/method.ts" {
  interface Needs {
    readonly target: null;
  }
}

export const targetNeed = defineNeed({
  name: "target",
  doc: "The words to say instead. `--say` gives them, or a kind of target chooses them.",
  check: ({ settings, ctx }) => void kindOf(settings, ctx),
  identity: ({ settings, ctx }) => kindOf(settings, ctx)?.name ?? null,
  uses({ settings, ctx }) {
    const kind = kindOf(settings, ctx);
    return kind ? sourceOf("target", kind.name, ctx) : [];
  },
  texts: ({ edited, settings: { say } }) => edited.map(({ prompt }) => prompt + (say ?? anyAnswer(LONGEST))),
  async aimed(requests, { model, settings, seed, ask, ctx }) {
    const kind = kindOf(settings, ctx);
    if (!kind) return requests;
    const said = await aim(leadsOf(requests), kind, { seed, ctx, ask: asker(model, ask, ctx) });
    const of = new Map(said.map((request) => [request.merged ? request.prompt : request.id, request]));
    return requests.map((request) => {
      const { target, note } = of.get(request.merged ? request.prompt : request.id)!;
      return { ...request, target, ...(note !== undefined && { note }) };
    });
  },
});

/** The named target, or the default one; undefined if the caller gives the text. */
const kindOf = ({ say, target }: Settings, ctx: Plugged): Target | undefined =>
  say === undefined ? named("target", targetsOf(ctx), target ?? defaults.target) : undefined;
