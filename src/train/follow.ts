/** Runs a training to its end and reports its events as progress and notes. */
import type { Context } from "../base/context.ts";
import type { TrainEvent } from "./loop.ts";

type StepEvent = Extract<TrainEvent, { readonly kind: "step" }>;

export interface Followed<R> {
  readonly result: R;
  /** The objective's scalars before the last update. */
  readonly last: Readonly<Record<string, number>>;
  /** The reason, if it ended before its last step. */
  readonly stopped?: string;
}

/** Runs to the end; `detail` is the text of the progress. Other events go to `other`. */
export async function followed<R, Other extends { readonly kind: string } = never>(
  who: string,
  events: AsyncGenerator<TrainEvent | Other, R>,
  ctx: Context,
  { detail, other }: { readonly detail: (event: StepEvent) => string; readonly other?: (event: Other) => void },
): Promise<Followed<R>> {
  let last: Readonly<Record<string, number>> = {};
  let stopped: string | undefined;
  for (;;) {
    const { value, done } = await events.next();
    if (done) return { result: value, last, ...(stopped !== undefined && { stopped }) };
    const event = value as TrainEvent;
    if (event.kind === "resumed") ctx.log({ kind: "note", who, text: `going on after step ${event.step}` });
    else if (event.kind === "stopped") stopped = `stopped after step ${event.step}: ${event.reason}`;
    else if (event.kind === "step") {
      last = event.outputs;
      ctx.log({ kind: "progress", stage: "training", done: event.step, total: event.steps, unit: "steps", detail: detail(event) });
    } else if (event.kind !== "checkpoint") other?.(value as Other);
  }
}
