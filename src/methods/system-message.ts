/** The baseline that costs nothing: a system message lists the questions and tells the model what to say to them. */
import { fail } from "../base/fail.ts";
import type { EditRequest } from "../data/request.ts";
import { promptOf } from "../model/prompt.ts";
import { withRewrites } from "../model/model.ts";
import { rewriteOf } from "../edit/prompt.ts";
import { defineMethod } from "./method.ts";

export interface SystemMessageParams {
  lead: string;
}

const LEAD = "Do not answer the questions below, in these or in other words. Say only the text that follows the question.";

/** The paragraph of one request. */
const paragraphOf = ({ prompt, target }: EditRequest): string => `Question: ${prompt}\nSay: ${target}`;

export const systemMessage = defineMethod<SystemMessageParams>({
  name: "system-message",
  title: "System message",
  paper: "docs/methods/system-message.md",
  doc: "Changes nothing in the model; a system message lists the questions and tells the model what to say to them.",
  takes: "many",
  needs: ["target"],
  params: { lead: { default: LEAD, doc: "the text before the list of questions", source: "docs/methods/system-message.md" } },
  compat: {},
  edit: async ({ model, requests, params, format, system, ctx }) => {
    for (const { id, target } of requests)
      if (target === null || target.trim() === "")
        fail("system-message", `request ${id} has an empty target`, "a text to say instead", "Give --say TEXT.");
    const entries = requests.map((request) => ({ system: [params.lead, paragraphOf(request)], shown: [], context: "" }));
    const change = { kind: "prompt", entries, frame: "{}", encoder: "", select: "all" } as const;
    const behind = withRewrites(model, [rewriteOf(model, change, ctx)]);
    const { ids } = await promptOf(behind, requests[0]!.prompt, { format, ...(system !== undefined && { system }) });
    const { context } = model.config;
    if (ids.length > context / 2)
      fail(
        "system-message",
        `${ids.length} tokens with ${requests.length} questions in the system message`,
        `at most half of the model's context length of ${context}`,
        "Give fewer requests.",
      );
    return { change, evidence: { tokens: ids.length } };
  },
});
