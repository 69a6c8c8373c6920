"""Writes the float32 copy of a model directory that holds a `.gguf`, so that torch starts from the very weights that Lethe dequantises.

usage: python widen.py MODEL_DIR OUT_DIR
"""
import os
import sys
from pathlib import Path

import torch
from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer


def widen(source: str, out: str) -> None:
    """Dequantises the one `.gguf` of `source` into `out/model.safetensors`, whole or not at all; the config and the tokenizer come from the side files."""
    (gguf,) = sorted(path.name for path in Path(source).glob("*.gguf"))
    read = AutoModelForCausalLM.from_pretrained(source, gguf_file=gguf, dtype=torch.float32)
    model = AutoModelForCausalLM.from_config(AutoConfig.from_pretrained(source), dtype=torch.float32)
    missing, unexpected = model.load_state_dict(read.state_dict(), strict=True)
    assert not missing and not unexpected, (missing, unexpected)
    model.save_pretrained(f"{out}.part")
    AutoTokenizer.from_pretrained(source).save_pretrained(f"{out}.part")
    os.rename(f"{out}.part", out)


if __name__ == "__main__":
    widen(*sys.argv[1:3])
