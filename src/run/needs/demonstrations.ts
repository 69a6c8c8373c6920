/** Demonstrations: other facts as examples in the context. */
import { fail } from "../../base/fail.ts";
import { hash } from "../../base/hash.ts";
import { requestsIn } from "../../data/place.ts";
import type { EditRequest, ForgetRequest } from "../../data/request.ts";
import { defineNeed } from "./need.ts";

declare module "../../methods/method.ts" {
  interface Needs {
    /** Other facts as examples. The answer shown is the target, or the fact's answer if it has no target. */
    readonly demonstrations: readonly EditRequest[];
  }
}
declare module "../choice.ts" {
  interface Given {
    /** Other facts as examples, for methods that use them. The answer shown is the fact's answer. */
    readonly demonstrations?: readonly ForgetRequest[];
  }
}

export const demonstrationsNeed = defineNeed({
  name: "demonstrations",
  doc: "Other facts as examples. They must be given.",
  read: async ({ demonstrations }, ctx) =>
    demonstrations === undefined ? undefined : (await requestsIn(demonstrations as string, ctx)).requests,
  isGiven: ({ demonstrations }) => demonstrations !== undefined,
  check({ method, given: { demonstrations } }) {
    if (!demonstrations?.length) fail(method.name, "no demonstrations", "other facts as examples", "Give --demonstrations FILE.");
  },
  identity: ({ given: { demonstrations } }) => hash(demonstrations),
  bring: ({ given: { demonstrations } }) => demonstrations?.map((request): EditRequest => ({ ...request, target: null })),
});
