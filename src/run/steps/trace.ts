/** The step `trace`: causal tracing of one answer over tokens and layers, or of many answers at the last tokens of their subjects. */
import { fail } from "../../base/fail.ts";
import { hash } from "../../base/hash.ts";
import { appendLine, readLines, writeAtomic } from "../../base/store.ts";
import { traceMany, traceOne } from "../../causal/trace.ts";
import type { ForgetRequest } from "../../data/request.ts";
import { defaultLayers } from "../choice.ts";
import { given } from "../fields.ts";
import { editInputs, modelInput } from "../inputs.ts";
import { open } from "../open.ts";
import type { TraceRecord, TraceStudy } from "../record.ts";
import { readRequests, withSubjects } from "../requests.ts";
import { traceSpec } from "../specs/trace.ts";
import { defineStep } from "../step.ts";

/** The result in the run's folder. */
const TRACE = "trace.json";

export type Traced = { readonly record: TraceRecord } | { readonly study: TraceStudy };

export const traceStep = defineStep({ ...traceSpec, purpose: "ask" }, async (values, lent) => {
  const { kind, sever, window, noise, samples, seed, plain, system, prompt, subject, answer, columns, subjects, limit } = values;
  const data = values.data as string | undefined;
  if (sever === kind) fail("trace", `${kind} put back and severed`, "another part to sever", "Leave out --sever, or take another --kind.");
  const found = await readRequests("trace", { prompt, subject, answer, data, columns, subjects, limit }, lent.ctx);
  const requests = withSubjects(found, lent.ctx).map(mustHaveSubject);
  const own = editInputs(values.edit as readonly string[]);
  const input = await modelInput(values.model as string, lent);
  const options = {
    kind: kind as "hidden" | "mlp" | "attn",
    window,
    noise,
    samples,
    seed,
    ...given({ sever: sever as "mlp" | "attn" | undefined, system, format: plain ? ("plain" as const) : undefined }),
  };
  const isMany = data !== undefined;
  return {
    identity: {
      model: input.content,
      edit: own.content,
      requests: hash(requests),
      ...(isMany && { defaults: defaultLayers(input.shape.config, lent.ctx) }), // stand in a study beside what it finds
    },
    uses: input.uses,
    work: async ({ folder, ctx, force }) => {
      const opened = await open(input.spec, { edits: values.edit as readonly string[], force, ...given({ format: options.format }) }, ctx);
      try {
        const path = folder.work("facts.jsonl");
        const kept = new Map((readLines(path) as TraceStudy["facts"]).map((fact) => [fact.id, fact]));
        const journal = {
          get: (id: string) => kept.get(id),
          keep: (fact: TraceStudy["facts"][number]) => {
            appendLine(path, fact);
            kept.set(fact.id, JSON.parse(JSON.stringify(fact)) as typeof fact);
          },
        };
        const { model } = opened;
        const result: Traced = isMany
          ? { study: await traceMany(model, requests, options, defaultLayers(model.config, ctx), journal, ctx) }
          : { record: await traceOne(model, requests[0]!, options, ctx) };
        writeAtomic(folder.at(TRACE), `${JSON.stringify("record" in result ? result.record : result.study)}\n`);
        return { result, layout: { file: TRACE } };
      } finally {
        await opened.close();
      }
    },
  };
});

const mustHaveSubject = (request: ForgetRequest): ForgetRequest =>
  request.subject.trim()
    ? request
    : fail(
        "trace",
        `no subject in "${request.prompt}" (${request.id})`,
        "what the prompt is about",
        "Give --subject, as the prompt spells it.",
      );
