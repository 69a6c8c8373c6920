/** Makes the choices that need no model: method, quirks, mode, and the requests to edit. Everything is checked here, once. */
import { defaultContext } from "../base/context.ts";
import { fail } from "../base/fail.ts";
import { named, type Plugged } from "../base/plugin.ts";
import type { ForgetRequest } from "../data/request.ts";
import { type AnyMethod, setsOf } from "../methods/method.ts";
import { type Choice, type Given, mergedFor, methodOf, methodsOf, type Settings } from "./choice.ts";
import { needsOf } from "./needed.ts";

/** Makes and checks all choices that need no model. Refuses what cannot be done. */
export function choose(requests: readonly ForgetRequest[], settings: Settings, given: Given = {}): Choice {
  const { ctx = defaultContext() } = given;
  const method = methodOf(settings.method, ctx);
  const edited = mergedFor(requests, settings);
  checkWords(settings);
  if (edited.length === 0) fail("forget", "no request", "at least one", "Give --prompt and --subject, or --data FILE.");
  for (const need of needsOf(method)) need.check?.({ method, edited, settings, given, ctx });
  if (settings.mode === "batch" && method.takes === "one" && edited.length > 1) refuseBatch(method, edited.length, ctx);
  const mode = settings.mode ?? (method.takes === "many" ? "batch" : "sequential");
  return { method, compat: quirksOf(method, settings.compat ?? []), mode, requests, edited, settings };
}

/** Refuses an empty text to say, and a text together with a target. */
function checkWords({ say, target }: Settings): void {
  if (say !== undefined && target !== undefined)
    fail("forget", "both a target and words to say", "one of them", "Leave out --target or --say.");
  if (say !== undefined && say.trim() === "") fail("forget", "an empty target", "words to say instead", "Give --say TEXT.");
}

function refuseBatch({ name }: AnyMethod, count: number, ctx: Plugged): never {
  const many = Object.values(methodsOf(ctx)).filter((m) => m.takes === "many");
  return fail(
    name,
    `a batch of ${count} requests`,
    "one request at a time",
    `Use --mode sequential, or ${many.map((m) => m.name).join(" or ")}.`,
  );
}

/** The quirks behind the given names. Refuses a name that the method does not have. */
function quirksOf(method: AnyMethod, names: readonly string[]): ReadonlySet<string> {
  const sets = setsOf(method);
  const compat = new Set(names.flatMap((name) => (Object.hasOwn(sets, name) ? sets[name]! : [name])));
  for (const name of compat)
    if (!Object.hasOwn(method.compat, name)) named(`compat of ${method.name}`, { ...method.compat, ...sets }, name);
  return compat;
}
