/** The need `encoder`: it measures the similarity of questions. The default uses the model's own hidden states. */
import { fail } from "../../base/fail.ts";
import { resolveEncoder } from "../../hub/hub.ts";
import { chosenEncoder } from "../../model/encoders.ts";
import type { Encoder } from "../../text/encoder.ts";
import { contentAt } from "../inputs.ts";
import { type Asked, defineNeed } from "./need.ts";

declare module "../../methods/method.ts" {
  interface Needs {
    /** Measures the similarity of questions. */
    readonly encoder: Encoder;
  }
}

export const encoderNeed = defineNeed({
  name: "encoder",
  doc: "A sentence encoder. Where nobody names one, the model's own hidden states are used.",
  check({ settings: { encoder } }) {
    if (encoder?.trim() === "") fail("forget", "an empty encoder", "a folder or a hub id", "Leave out --encoder, or name one.");
  },
  async identity(asked) {
    const encoder = namedBy(asked);
    return encoder ? contentAt((await resolveEncoder(encoder, asked.ctx)).folder, "encoder") : null;
  },
  bring: (having) => chosenEncoder(having.model, namedBy(having), having.ctx),
});

const namedBy = ({ settings, ctx }: Asked): string | undefined => settings.encoder ?? ctx.encoder;
