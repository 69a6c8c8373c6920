/** The step `attack`: writes every attempt to a file, and computes the part of the answers that they recover. */
import { hash } from "../../base/hash.ts";
import { resolveParams } from "../../base/schema.ts";
import { writeAtomic } from "../../base/store.ts";
import { type AttackRecord, attackOf, attackOn, sourcesOf } from "../attack.ts";
import { given } from "../fields.ts";
import { heardIn } from "../heard.ts";
import { editInputs, modelInput } from "../inputs.ts";
import { open } from "../open.ts";
import { readRequests, withSubjects } from "../requests.ts";
import { attackSpec } from "../specs/attack.ts";
import { defineStep, type Early, sourceOf } from "../step.ts";

/** Every request with its attempts, in the run's folder. */
const ATTEMPTS = "attempts.jsonl";
/** The answers of the models, stored until the run is finished. */
const HEARD = "heard.jsonl";

const early: Early = { attack: { check: ({ attack }, ctx) => void attackOf(attack as string, ctx) } };

export const attackStep = defineStep({ ...attackSpec, purpose: "ask", early }, async (values, lent) => {
  const { ctx } = lent;
  const { seed, samples, sizes, set, plain, system } = values;
  const attack = attackOf(values.attack, ctx);
  const from = sourcesOf(attack, values.from);
  const requests = withSubjects(await readRequests("attack", { ...values, data: values.data as string | undefined }, ctx), ctx);
  const edits = values.edit as readonly string[];
  const own = editInputs(edits);
  const input = await modelInput(values.model as string, lent);
  const asked = { ...given({ samples }), ...set };
  const params = resolveParams<Record<string, unknown>, unknown>(attack.name, attack.params as never, asked, input.shape.config);
  const format = plain ? ("plain" as const) : undefined;
  return {
    identity: { model: input.content, edit: own.content, requests: hash(requests), attack: attack.name, from, params },
    uses: [...input.uses, ...sourceOf("attack", attack.name, ctx)],
    work: async ({ folder, ctx: at, force }) => {
      const opened = await open(input.spec, { edits, force, ...given({ format }) }, at);
      try {
        const heard = heardIn(folder.work(HEARD));
        if (heard.size > 0)
          at.log({ kind: "note", who: "attack", text: `going on after ${heard.size} answer${heard.size > 1 ? "s" : ""}` });
        const options = { attack: attack.name, from, params, seed, heard, ...given({ sizes, format, system }) };
        const result: AttackRecord = await attackOn(opened.model, opened.base, requests, options, at);
        writeAtomic(folder.at(ATTEMPTS), result.requests.map((request) => `${JSON.stringify(request)}\n`).join(""));
        return { result, layout: { file: ATTEMPTS } };
      } finally {
        await opened.close();
      }
    },
  };
});
