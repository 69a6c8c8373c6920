"""One training step: forward, backward, torch's AdamW with its defaults; of every weight, of LoRA's factors, or of the top third of the blocks."""
import time

import torch

kept: dict = {}  # the optimiser of the model being trained: its moments live as long as the process


class LowRank(torch.nn.Module):
    """A frozen linear map with B·A beside it, A as PEFT draws it and B zeros."""

    def __init__(self, base: torch.nn.Linear, rank: int, alpha: int):
        super().__init__()
        self.base = base
        self.scale = alpha / rank
        self.a = torch.nn.Parameter(torch.empty(rank, base.in_features).uniform_(-1, 1) / base.in_features**0.5)
        self.b = torch.nn.Parameter(torch.zeros(base.out_features, rank))

    def forward(self, x):
        return self.base(x) + self.scale * torch.nn.functional.linear(torch.nn.functional.linear(x, self.a), self.b)


def trained(model, kind: str) -> list:
    """The parameters that a step of this kind changes; all others are frozen."""
    for parameter in model.parameters():
        parameter.requires_grad_(kind == "full")
    layers = model.model.layers
    if kind == "lora":
        for layer in layers:
            for part in (layer.self_attn, layer.mlp):
                for name, child in list(part.named_children()):
                    if isinstance(child, torch.nn.Linear):
                        setattr(part, name, LowRank(child, 8, 32))
        return [p for n, p in model.named_parameters() if n.endswith((".a", ".b"))]
    if kind == "top":
        top = [p for layer in layers[len(layers) - round(len(layers) / 3) :] for p in layer.parameters()]
        for parameter in top:
            parameter.requires_grad_(True)
        return top
    return list(model.parameters())


def train(model, ids: list[list[int]], answer: int, kind: str = "full", lr: float = 1e-5) -> dict:
    """One step on the mean next-token cross entropy of the last `answer` tokens of each row of `ids` [B, T]; the model of this process
    changes with every call."""
    if "optimiser" not in kept:
        kept["optimiser"] = torch.optim.AdamW(trained(model, kind), lr=lr)
    optimiser = kept["optimiser"]
    tokens = torch.tensor(ids)
    labels = tokens.clone()
    labels[:, : tokens.shape[1] - answer] = -100
    model.train()
    start = time.perf_counter()
    loss = model(input_ids=tokens, labels=labels, use_cache=False).loss
    loss.backward()
    optimiser.step()
    optimiser.zero_grad(set_to_none=True)
    seconds = time.perf_counter() - start
    model.eval()
    return {"seconds": seconds, "loss": loss.item()}
