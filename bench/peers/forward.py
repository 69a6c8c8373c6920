"""One forward pass with logits at every position and no gradient."""
import time

import torch


def forward(model, ids: list[list[int]]) -> dict:
    """Logits [B, T, V] of rows of equal length; answers the last position's argmax of each row."""
    tokens = torch.tensor(ids)
    start = time.perf_counter()
    with torch.no_grad():
        logits = model(input_ids=tokens, use_cache=False).logits
    seconds = time.perf_counter() - start
    return {"seconds": seconds, "argmax": logits[:, -1].argmax(-1).tolist()}
