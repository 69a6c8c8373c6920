"""Makes parity/fixtures/peft: LoRA adapters on a tiny checkpoint as PEFT saves them, with what PEFT computes with them.

usage: python lora_adapters.py TINY_LLAMA_DIR OUT_DIR     (TINY_LLAMA_DIR: shared/golden/tiny/llama)

For each case OUT_DIR/CASE has adapter_config.json and adapter_model.safetensors (float32, seeded normal factors, both nonzero), and
golden.safetensors in float64: input_ids [1, 9], logits [1, 9, 256] and, in "plain", grad.NAME of the mean cross-entropy of the next
token for every tensor NAME of the adapter.
  case "plain"     all seven projections, rank 2, alpha 4
  case "patterns"  rank-stabilised, other ranks and alphas by pattern, without layer 1, a module excluded
Scales are powers of two, so that they are exact whenever they are multiplied in. The model is made to compute in float64 throughout:
transformers' own norms, rotary tables and loss fall back to float32.
"""
import shutil
import sys
from pathlib import Path

import torch
from peft import LoraConfig, get_peft_model
from safetensors.torch import save_file
from transformers import AutoModelForCausalLM
from transformers.models.llama import modeling_llama

PROJECTIONS = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]
CASES = {
    "plain": {"r": 2, "lora_alpha": 4, "lora_dropout": 0.1, "target_modules": PROJECTIONS},
    "patterns": {
        "r": 4,
        "lora_alpha": 4,
        "use_rslora": True,
        "target_modules": PROJECTIONS,
        "rank_pattern": {"o_proj": 1, r"layers\.2\.mlp\.down_proj": 16},
        "alpha_pattern": {"mlp.up_proj": 8},
        "layers_to_transform": [0, 2],
        "exclude_modules": ["v_proj"],
    },
}


def norm(self, x):
    return self.weight * x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + self.variance_epsilon)


def rotary(self, x, position_ids):
    head = self.config.head_dim
    frequencies = self.config.rope_parameters["rope_theta"] ** -(torch.arange(0, head, 2, dtype=torch.float64) / head)
    angles = position_ids[..., None].double() * frequencies
    angles = torch.cat((angles, angles), dim=-1)
    return angles.cos(), angles.sin()


def make(base: str, out: Path, name: str, settings: dict) -> None:
    torch.manual_seed(len(name))
    plain = AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32, attn_implementation="sdpa")
    model = get_peft_model(plain, LoraConfig(task_type="CAUSAL_LM", **settings))
    model.peft_config["default"].base_model_name_or_path = "tiny llama"
    adapted = {n: p for n, p in model.named_parameters() if ".lora_" in n}
    for tensor in adapted.values():
        torch.nn.init.normal_(tensor, std=0.1)
    model.save_pretrained(out / name)
    (out / name / "README.md").unlink(missing_ok=True)
    modeling_llama.LlamaRMSNorm.forward = norm
    modeling_llama.LlamaRotaryEmbedding.forward = rotary
    model = model.double().eval()
    ids = torch.randint(3, 256, (1, 9))
    logits = model(ids).logits
    golden = {"input_ids": ids, "logits": logits.detach()}
    if name == "plain":
        torch.nn.functional.cross_entropy(logits[0, :-1], ids[0, 1:]).backward()
        golden |= {f"grad.{n.replace('.default', '')}": p.grad for n, p in model.named_parameters() if ".lora_" in n}
    save_file({k: v.contiguous() for k, v in golden.items()}, out / name / "golden.safetensors")


def main(base: str, folder: str) -> None:
    out = Path(folder)
    shutil.rmtree(out, ignore_errors=True)
    for name, settings in CASES.items():
        make(base, out, name, settings)


if __name__ == "__main__":
    main(*sys.argv[1:])
