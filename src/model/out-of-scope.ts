/** Architectures that Lethe does not run, by the names that files give them, with the reason and a way out. */

interface Reason {
  /** What the model is. */
  readonly is: string;
  readonly names: readonly string[];
}

const ATTENDS = "a model whose every block attends to earlier tokens";
const DENSE = "a model without experts";

const HYBRIDS: readonly Reason[] = [
  {
    is: "a hybrid of attention and gated delta net",
    names: ["qwen3_next", "qwen3_5", "qwen3_5_text", "qwen3_5_moe", "qwen3next", "qwen35", "kimi_linear"],
  },
  { is: "a hybrid of attention and short convolutions", names: ["lfm2", "lfm2_moe", "lfm2moe"] },
  {
    is: "a hybrid of attention and state-space blocks",
    names: ["jamba", "bamba", "zamba", "zamba2", "falcon_h1", "falcon-h1", "nemotron_h", "granitehybrid", "plamo2", "hymba"],
  },
  { is: "a state-space model", names: ["mamba", "mamba2", "falcon_mamba", "rwkv", "rwkv5", "rwkv6", "rwkv7", "recurrent_gemma", "xlstm"] },
  { is: "a model with layers that predict from other layers' states", names: ["gemma3n", "gemma3n_text"] },
];

const EXPERTS: Reason = {
  is: "a mixture of experts",
  names: [
    "mixtral",
    "qwen2_moe",
    "qwen3_moe",
    "qwen2moe",
    "qwen3moe",
    "olmoe",
    "granitemoe",
    "granitemoeshared",
    "phimoe",
    "dbrx",
    "grok",
    "jetmoe",
    "deepseek_v2",
    "deepseek_v3",
    "deepseek2",
    "deepseek",
    "glm4_moe",
    "glm4moe",
    "gpt_oss",
    "gpt-oss",
    "llama4",
    "llama4_text",
    "ernie4_5_moe",
    "minimax",
    "minimax_m2",
  ],
};

const OTHERS: readonly Reason[] = [
  {
    is: "an encoder",
    names: [
      "bert",
      "roberta",
      "xlm-roberta",
      "distilbert",
      "albert",
      "electra",
      "deberta",
      "deberta-v2",
      "modernbert",
      "nomic-bert",
      "mpnet",
    ],
  },
  { is: "an encoder with a decoder", names: ["t5", "mt5", "umt5", "bart", "mbart", "pegasus", "marian", "whisper", "m2m_100"] },
];

/** Why an architecture is out of scope, and what to take instead; undefined for one that is merely not known. */
export function outOfScope(name: string): { readonly is: string; readonly wanted: string; readonly hint: string } | undefined {
  const has = ({ names }: Reason): boolean => names.includes(name);
  const hybrid = HYBRIDS.find(has);
  if (hybrid) return { is: hybrid.is, wanted: ATTENDS, hint: "Take Qwen3, SmolLM3 or Gemma 3." };
  if (has(EXPERTS)) return { is: EXPERTS.is, wanted: DENSE, hint: "Take the dense model of the same family, such as Qwen3 or OLMo 2." };
  const other = OTHERS.find(has);
  return other && { is: other.is, wanted: "a decoder that generates text", hint: "Take a causal language model." };
}
