"""Greedy decoding as users of transformers do it: `generate`."""
import time

import torch

from batch import pad_of, padded


def decode(model, prompts: list[list[int]], new_tokens: int) -> dict:
    """Exactly `new_tokens` greedy tokens for every prompt, left-padded to one batch; the end token does not stop a row."""
    batch = padded(prompts, pad_of(model), "left")
    model.generation_config.eos_token_id = None  # neither stops at it nor avoids it, as on the other side
    start = time.perf_counter()
    with torch.no_grad():
        out = model.generate(**batch, do_sample=False, max_new_tokens=new_tokens, pad_token_id=pad_of(model))
    seconds = time.perf_counter() - start
    return {"seconds": seconds, "tokens": new_tokens * len(prompts), "ids": out[:, batch["input_ids"].shape[1] :].tolist()}
