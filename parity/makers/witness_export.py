"""Loads an exported directory with transformers, unchanged, and compares its last-position logits with ours.

usage: python witness_export.py EXPORT_DIR OURS [--tolerance 1e-4]

OURS is what Lethe computed for the same edited model:
  a .json file       {"prompts": [{"ids": [...], "logits": [...], "text": "..."}]}; with "text", the exported tokenizer must give the ids
  a .safetensors     per prompt NAME the tensors `NAME.ids` [T] (integers) and `NAME.logits` [V] (floats)
Ends with 1 when any logit differs by more than the tolerance, any argmax differs, or a text is tokenised differently.
"""
import argparse
import json
import sys

import torch
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM, AutoTokenizer


def read(path: str) -> dict[str, dict]:
    """Prompts by name: `ids`, `logits`, and `text` where it is known."""
    if path.endswith(".json"):
        with open(path) as file:
            return {str(i): prompt for i, prompt in enumerate(json.load(file)["prompts"])}
    tensors = load_file(path)
    names = [name[: -len(".ids")] for name in tensors if name.endswith(".ids")]
    return {name: {"ids": tensors[f"{name}.ids"].tolist(), "logits": tensors[f"{name}.logits"].tolist()} for name in names}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("export")
    parser.add_argument("ours")
    parser.add_argument("--tolerance", type=float, default=1e-4)
    options = parser.parse_args()

    prompts = read(options.ours)
    if not prompts:
        raise SystemExit(f"{options.ours}: no prompts in it")
    model, report = AutoModelForCausalLM.from_pretrained(options.export, dtype=torch.float32, output_loading_info=True)
    odd = {key: sorted(map(str, report[key])) for key in ("missing_keys", "unexpected_keys", "mismatched_keys") if report.get(key)}
    tokenizer = AutoTokenizer.from_pretrained(options.export)
    failures = [f"loading: {odd}"] if odd else []
    worst = 0.0
    for name, prompt in prompts.items():
        with torch.no_grad():
            theirs = model.eval()(torch.tensor([prompt["ids"]])).logits[0, -1].double()
        ours = torch.tensor(prompt["logits"], dtype=torch.float64)
        apart = (theirs - ours).abs().max().item()
        worst = max(worst, apart)
        if not apart <= options.tolerance:  # a NaN fails too
            failures.append(f"{name}: logits differ by {apart:.3g}")
        if theirs.argmax() != ours.argmax():
            failures.append(f"{name}: argmax {theirs.argmax().item()} there, {ours.argmax().item()} here")
        if "text" in prompt and tokenizer(prompt["text"], add_special_tokens=False)["input_ids"] != prompt["ids"]:
            failures.append(f"{name}: the exported tokenizer gives other ids")
    print(json.dumps({"prompts": len(prompts), "max_abs": worst, "tolerance": options.tolerance, "failures": failures}, indent=1))
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
