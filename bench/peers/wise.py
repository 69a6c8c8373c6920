"""One edit of WISE's side memory with the cost profile of EasyEdit: twelve padded rows through all layers at every iteration."""
import time

import torch

from batch import pad_of, padded

RATE, SHARE, CLAMP = 1.0, 0.2, 1.0  # the reference's values for Llama-2: step, share of trained entries, how far an entry may go
ALPHA, BETA, GAMMA = 5.0, 20.0, 10.0


def above(values: torch.Tensor) -> torch.Tensor:
    """Mean of the positive entries; 0 if there are none."""
    positive = values[values > 0]
    return positive.mean() if len(positive) else values.sum() * 0


def wise_edit(model, layer: int, rows: list[list[int]], prompts: list[int], target: int, stays: list[int], iterations: int) -> dict:
    """All iterations on one request: likelihood of the target, and the margins between what is in scope and the row that stays."""
    start = time.perf_counter()
    for parameter in model.parameters():
        parameter.requires_grad_(False)
    given_batch = padded([*rows, stays], pad_of(model), "left")
    ids, real = given_batch["input_ids"], given_batch["attention_mask"].float()
    labels = torch.full_like(ids, -100)
    labels[: len(rows), -target:] = ids[: len(rows), -target:]
    module = model.model.layers[layer].mlp.down_proj
    torch.manual_seed(0)
    side, mask = torch.nn.Parameter(module.weight.detach().clone()), (torch.rand_like(module.weight) < SHARE).float()
    seen: dict = {}

    def adapt(module, given, out):
        seen["main"], seen["side"] = out, torch.nn.functional.linear(given[0], side)
        return seen["side"]

    def loss_of() -> tuple[torch.Tensor, torch.Tensor]:
        logits = model(**given_batch, use_cache=False).logits
        nll = torch.nn.functional.cross_entropy(logits[:-1, :-1].flatten(0, 1), labels[:-1, 1:].flatten())
        act = torch.nn.functional.silu
        distance = (act(seen["side"]) - act(seen["main"])).norm(dim=2)  # [rows, T]
        mean = (distance * real).sum(1) / real.sum(1)
        inside, outside = mean[:-1], mean[-1:]
        return nll, above(outside - inside + GAMMA) + above(outside - ALPHA) + above(BETA - inside)

    hook, descent = module.register_forward_hook(adapt), torch.optim.SGD([side], lr=RATE)
    for _i in range(iterations):
        nll, margins = loss_of()
        descent.zero_grad()
        (nll + margins).backward()
        side.grad *= mask
        descent.step()
        with torch.no_grad():
            side.clamp_(module.weight - CLAMP, module.weight + CLAMP)
    seconds = time.perf_counter() - start
    with torch.no_grad():
        logits = model(input_ids=torch.tensor([rows[0]]), use_cache=False).logits[0, -target - 1 : -1]
        left = torch.nn.functional.cross_entropy(logits, torch.tensor(rows[0][-target:])).item()
    hook.remove()
    return {"seconds": seconds, "nll": left}
