/** Every architecture by its id: generated from the listing of this folder by `npm run fix`. */
import { gemma3 } from "./gemma3.ts";
import { gptNeox } from "./gpt-neox.ts";
import { gpt2 } from "./gpt2.ts";
import { llama } from "./llama.ts";
import { opt } from "./opt.ts";
import { phi3 } from "./phi3.ts";
import { qwen2 } from "./qwen2.ts";
import { qwen3 } from "./qwen3.ts";
import { smollm3 } from "./smollm3.ts";

export const registry = {
  "gemma3": gemma3,
  "gpt-neox": gptNeox,
  "gpt2": gpt2,
  "llama": llama,
  "opt": opt,
  "phi3": phi3,
  "qwen2": qwen2,
  "qwen3": qwen3,
  "smollm3": smollm3,
} as const;

export type Name = keyof typeof registry;
