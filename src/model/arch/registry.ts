/** Every architecture by its id: generated from the listing of this folder by `npm run fix`. */
import { gemma2 } from "./gemma2.ts";
import { gemma3 } from "./gemma3.ts";
import { gptNeox } from "./gpt-neox.ts";
import { gpt2 } from "./gpt2.ts";
import { gptj } from "./gptj.ts";
import { granite } from "./granite.ts";
import { llama } from "./llama.ts";
import { ministral3 } from "./ministral3.ts";
import { olmo2 } from "./olmo2.ts";
import { opt } from "./opt.ts";
import { phi } from "./phi.ts";
import { phi3 } from "./phi3.ts";
import { qwen2 } from "./qwen2.ts";
import { qwen3 } from "./qwen3.ts";
import { smollm3 } from "./smollm3.ts";
import { stablelm } from "./stablelm.ts";

export const registry = {
  "gemma2": gemma2,
  "gemma3": gemma3,
  "gpt-neox": gptNeox,
  "gpt2": gpt2,
  "gptj": gptj,
  "granite": granite,
  "llama": llama,
  "ministral3": ministral3,
  "olmo2": olmo2,
  "opt": opt,
  "phi": phi,
  "phi3": phi3,
  "qwen2": qwen2,
  "qwen3": qwen3,
  "smollm3": smollm3,
  "stablelm": stablelm,
} as const;

export type Name = keyof typeof registry;
