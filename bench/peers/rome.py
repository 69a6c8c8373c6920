"""ROME with the cost profile of EasyEdit: every row through every layer, logits at every position, nothing cached.

Rows come as token ids, so that both sides of a comparison edit the same text. `rows` are the templates' rows, each holding the
prompt and all target tokens but the last, and at the end one KL row; `lookup[i]` is where the shift is added in row i, and
in the last row also where the KL term is read. The model's weights are as they were when a job returns.
"""
import time

import torch

from batch import pad_of, padded

KL, DECAY, CLAMP, RATE, STOP = 0.0625, 1e-3, 4.0, 0.5, 0.05  # the reference's values for Llama-2


class Value:
    """Adam on a shift of one module's output: a step is one evaluation, one backward pass and one update."""

    def __init__(self, model, module, rows: list[list[int]], lookup: list[int], target: list[int]):
        self.model, self.module, self.lookup = model, module, lookup
        self.batch = padded(rows, pad_of(model), "right")
        self.labels = torch.full((len(rows) - 1, self.batch["input_ids"].shape[1]), -100)
        for i, row in enumerate(rows[:-1]):
            self.labels[i, len(row) - len(target) : len(row)] = torch.tensor(target)
        self.count = len(target)
        self.shift = torch.zeros(model.config.hidden_size, requires_grad=True)
        self.start = self.before = None  # the MLP's output and the KL row's log-probabilities, both unshifted
        self.adam = torch.optim.Adam([self.shift], lr=RATE)
        for parameter in model.parameters():
            parameter.requires_grad_(False)

    def _add(self, module, given, result):
        out = result[0] if isinstance(result, tuple) else result
        if self.start is None:
            self.start = out[0, self.lookup[0]].detach().clone()
        for row, at in enumerate(self.lookup):
            out[row, at, :] += self.shift
        return result

    def loss(self) -> torch.Tensor:
        hook = self.module.register_forward_hook(self._add)
        try:
            logits = self.model(**self.batch).logits  # [rows, T, V]
        finally:
            hook.remove()
        now = torch.log_softmax(logits[-1:, self.lookup[-1]], dim=1)  # [1, V]
        if self.before is None:
            self.before = now.detach().clone()
        everywhere = torch.log_softmax(logits[:-1], dim=2)
        at = torch.where(self.labels != -100, self.labels, 0)
        chosen = everywhere.gather(2, at.unsqueeze(2)).squeeze(2) * (self.labels != -100)
        nll = (-chosen.sum(1) / self.count).mean()
        kl = KL * torch.nn.functional.kl_div(self.before, now, log_target=True, reduction="batchmean")
        return nll + kl + DECAY * self.shift.norm() / self.start.norm() ** 2

    def wanted(self) -> torch.Tensor:
        """The module's output at the bare subject with the shift [d]."""
        return self.start + self.shift.detach()

    def update(self, loss: torch.Tensor) -> None:
        self.adam.zero_grad()
        loss.backward()
        self.adam.step()
        most = CLAMP * self.start.norm()
        if self.shift.norm() > most:
            with torch.no_grad():
                self.shift.mul_(most / self.shift.norm())


def rome_step(model, layer: int, rows: list[list[int]], lookup: list[int], target: list[int], steps: int = 1) -> dict:
    """`steps` value-optimisation steps after one untimed evaluation; seconds are of one step."""
    value = Value(model, model.model.layers[layer].mlp, rows, lookup, target)
    value.update(value.loss())
    start = time.perf_counter()
    for _ in range(steps):
        loss = value.loss()
        value.update(loss)
    return {"seconds": (time.perf_counter() - start) / steps, "loss": loss.item()}


def taken(model, layer: int, rows: list[list[int]], at: list[int]) -> tuple[torch.Tensor, torch.Tensor]:
    """Input [rows, m] and output [rows, d] of the edited matrix at one token of each row, from a whole forward pass."""
    seen = []
    hook = model.model.layers[layer].mlp.down_proj.register_forward_hook(lambda module, given, out: seen.append((given[0], out)))
    with torch.no_grad():
        model(**padded(rows, pad_of(model), "right"))
    hook.remove()
    (given, out), picked = seen[0], torch.arange(len(rows))
    return given[picked, at], out[picked, at]


def rome_edit(model, layer: int, key_rows: list[list[int]], key_at: list[int], rows: list[list[int]], lookup: list[int],
              target: list[int], evaluations: int = 25, stop: float = STOP) -> dict:
    """A whole edit: key, value, rank-one update; `key_rows[0]` is the bare prompt. `stop` 0 always makes all evaluations."""
    start = time.perf_counter()
    keys, _ = taken(model, layer, key_rows, key_at)
    key = keys.mean(0)
    key = key / key.norm()
    value, losses = Value(model, model.model.layers[layer].mlp, rows, lookup, target), []
    for i in range(evaluations):
        loss = value.loss()
        losses.append(loss.item())
        if loss.item() < stop or i == evaluations - 1:
            break
        value.update(loss)
    wanted = value.wanted()
    given, out = taken(model, layer, key_rows[:1], key_at[:1])
    right = (wanted - out[0]) / (given[0] @ key)
    weight = model.model.layers[layer].mlp.down_proj.weight
    edited = weight + torch.outer(right, key)  # what the model would hold; it keeps its own
    seconds = time.perf_counter() - start
    return {"seconds": seconds, "losses": losses, "norm": (edited - weight).norm().item()}
