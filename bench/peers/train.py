"""One full-parameter training step: forward, backward, torch's AdamW with its defaults."""
import time

import torch

kept: dict = {}  # the optimiser of the model being trained: its moments live as long as the process


def train(model, ids: list[list[int]], lr: float = 1e-5) -> dict:
    """One step on the mean next-token cross entropy of `ids` [B, T]; the model of this process changes with every call."""
    if "optimiser" not in kept:
        for parameter in model.parameters():
            parameter.requires_grad_(True)
        kept["optimiser"] = torch.optim.AdamW(model.parameters(), lr=lr)
    optimiser = kept["optimiser"]
    tokens = torch.tensor(ids)
    model.train()
    start = time.perf_counter()
    loss = model(input_ids=tokens, labels=tokens, use_cache=False).loss
    loss.backward()
    optimiser.step()
    optimiser.zero_grad(set_to_none=True)
    seconds = time.perf_counter() - start
    model.eval()
    return {"seconds": seconds, "loss": loss.item()}
