/** The need `subject`: the words of the prompt that name what the fact is about. The prompt must contain them. */
import { fail } from "../../base/fail.ts";
import { checkMerged } from "../../targets/merge.ts";
import { occurrencesOf } from "../../text/spans.ts";
import { methodsOf } from "../choice.ts";
import { type Asked, defineNeed } from "./need.ts";

declare module "../../methods/method.ts" {
  interface Needs {
    readonly subject: null;
  }
}

export const subjectNeed = defineNeed({
  name: "subject",
  doc: "The words of the prompt that the fact is about. They must be in the prompt.",
  check(asked) {
    for (const request of asked.edited) checkSubject(asked, request);
  },
  tell(requests, ctx) {
    for (const { id, prompt, subject } of requests) {
      const times = occurrencesOf(prompt, subject).length;
      if (times > 1)
        ctx.log({
          kind: "warning",
          who: "forget",
          text: `${id}: "${subject}" stands ${times} times in "${prompt}"; the last one is taken as the subject`,
        });
    }
  },
});

function checkSubject({ method, ctx }: Asked, request: Asked["edited"][number]): void {
  checkMerged(request);
  const { id, subject, prompt } = request;
  if (subject.trim() !== "" && prompt.includes(subject)) return;
  const free = Object.values(methodsOf(ctx))
    .filter((m) => !m.needs.includes("subject"))
    .map((m) => m.name);
  fail(
    method.name,
    subject.trim() === "" ? `request ${id} has no subject` : `subject "${subject}" is not in prompt "${prompt}" (${id})`,
    "the words of the prompt that the fact is about",
    `Quote it as the prompt spells it${free.length ? `, or use a method that needs no subject: ${free.join(", ")}` : ""}.`,
  );
}
