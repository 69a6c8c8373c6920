"""Merges an exported LoRA adapter into its base with PEFT, and compares the weights with an exported full model.

usage: python witness_lora.py BASE_DIR ADAPTER_DIR FULL_DIR [--tolerance 1e-6]

A weight agrees when |merged - full| / |full| (Frobenius) is within the tolerance; a weight that the edit left alone must be equal to
the bit. Also proves that the adapter does something: at least one weight must differ from the base. Ends with 1 otherwise.
"""
import argparse
import json
import sys

import torch
from peft import PeftModel
from transformers import AutoModelForCausalLM


def weights(model) -> dict[str, torch.Tensor]:
    return {name: tensor.detach().clone() for name, tensor in model.state_dict().items()}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("base")
    parser.add_argument("adapter")
    parser.add_argument("full")
    parser.add_argument("--tolerance", type=float, default=1e-6)
    options = parser.parse_args()

    model = AutoModelForCausalLM.from_pretrained(options.base, dtype=torch.float32)
    base = weights(model)
    merged = weights(PeftModel.from_pretrained(model, options.adapter).merge_and_unload())
    full = weights(AutoModelForCausalLM.from_pretrained(options.full, dtype=torch.float32))

    failures = [f"{name}: in only one of the models" for name in sorted(set(merged) ^ set(full))]
    edited, worst = [], 0.0
    for name in sorted(set(merged) & set(full) & set(base)):
        relative = ((merged[name].double() - full[name].double()).norm() / full[name].double().norm()).item()
        if not torch.equal(full[name], base[name]):
            edited.append(name)
            worst = max(worst, relative)
            if not relative <= options.tolerance:  # a NaN fails too
                failures.append(f"{name}: {relative:.3g} apart")
        elif not torch.equal(merged[name], base[name]):
            failures.append(f"{name}: changed by the adapter alone")
    if not edited:
        failures.append("the full model equals the base: nothing is shown")
    print(json.dumps({"edited": edited, "max_relative": worst, "tolerance": options.tolerance, "failures": failures}, indent=1))
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
