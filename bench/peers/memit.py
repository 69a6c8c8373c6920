"""MEMIT and AlphaEdit with the cost profile of EasyEdit: values sought one request at a time, every row through every layer with nothing
cached, keys and residuals of each layer from whole forward passes, and systems as wide as the layer's keys.

`requests` hold rows as in rome.py, the bare prompt first. `moments` is a safetensors file with the second moments of each layer, made by
the other side; reading it, and AlphaEdit's projectors, which EasyEdit keeps in a file too, are not timed. The model's weights are as
they were when a job returns.
"""
import time

import torch
from safetensors.torch import load_file

from batch import pad_of, padded
from rome import Value

TOGETHER = 128  # rows of a forward pass that reads keys, as EasyEdit has it
kept: dict = {}  # second moments and projectors by file: their making is not timed


def seek(model, layer: int, requests: list[dict], evaluations: int) -> torch.Tensor:
    """The wanted outputs of block `layer` at the bare subjects [d, n], each sought alone with all evaluations."""
    found = []
    for request in requests:
        value = Value(model, model.model.layers[layer], request["rows"], request["lookup"], request["target"])
        for i in range(evaluations):
            loss = value.loss()
            if i < evaluations - 1:
                value.update(loss)
        found.append(value.wanted())
    return torch.stack(found, 1)


def read(model, module, rows: list[list[int]], at: list[int], track: str) -> torch.Tensor:
    """Input or output of a module at one token of each row [rows, width], from whole forward passes."""
    seen = []

    def note(module, given, out):
        seen.append(given[0] if track == "in" else out[0] if isinstance(out, tuple) else out)

    hook, parts = module.register_forward_hook(note), []
    with torch.no_grad():
        for start in range(0, len(rows), TOGETHER):
            part = rows[start : start + TOGETHER]
            model(**padded(part, pad_of(model), "right"))
            parts.append(seen.pop()[torch.arange(len(part)), at[start : start + TOGETHER]])
    hook.remove()
    return torch.cat(parts)


def keys_of(model, layer: int, requests: list[dict]) -> torch.Tensor:
    """Keys [m, n]: half the bare prompt's, half the mean of its templates'."""
    rows = [row for request in requests for row in request["key_rows"]]
    at = [place for request in requests for place in request["key_at"]]
    seen = read(model, model.model.layers[layer].mlp.down_proj, rows, at, "in").view(len(requests), -1, model.config.intermediate_size)
    return ((seen[:, 0] + seen[:, 1:].mean(1)) / 2).T


def batch(model, layers: list[int], requests: list[dict], evaluations: int, solve, after=None) -> dict:
    """A whole batch; `solve(layer, keys, residual)` gives a layer's change [d, m]; `after` is called while the edited weights stand."""
    start = time.perf_counter()
    wanted = seek(model, layers[-1], requests, evaluations)
    bare, at = [r["key_rows"][0] for r in requests], [r["key_at"][0] for r in requests]
    weights = {layer: model.model.layers[layer].mlp.down_proj.weight for layer in layers}
    before, changes = {layer: weight.data.clone() for layer, weight in weights.items()}, []
    for i, layer in enumerate(layers):
        keys = keys_of(model, layer, requests)
        now = read(model, model.model.layers[layers[-1]], bare, at, "out").T
        change = solve(layer, keys, (wanted - now) / (len(layers) - i))
        weights[layer].data += change.float()
        changes.append(change)
    if after is not None:
        after()
    seconds = (time.perf_counter() - start) / len(requests)
    for layer, weight in weights.items():
        weight.data.copy_(before[layer])
    return {"seconds": seconds, "norm": torch.stack([change.double().norm() for change in changes]).norm().item()}


def moments_of(path: str) -> dict[int, torch.Tensor]:
    if path not in kept:
        kept[path] = {int(layer): c for layer, c in load_file(path).items()}
    return kept[path]


def memit_batch(model, layers: list[int], requests: list[dict], evaluations: int, moments: str, weight: float) -> dict:
    """Seconds for each request of a MEMIT batch; systems in float64."""
    c = moments_of(moments)

    def solve(layer: int, keys: torch.Tensor, residual: torch.Tensor) -> torch.Tensor:
        k = keys.double()
        return residual.double() @ torch.linalg.solve(weight * c[layer] + k @ k.T, k).T

    return batch(model, layers, requests, evaluations, solve)


def alphaedit_batch(
    model, layers: list[int], requests: list[dict], evaluations: int, moments: str, thresholds: list[float], l2: float
) -> dict:
    """Seconds for each request of an AlphaEdit batch; systems in float32, the keys of the edited model read for later batches."""
    c, name = moments_of(moments), (moments, *thresholds)
    if name not in kept:
        kept[name] = {}
        for layer, threshold in zip(layers, thresholds):
            values, vectors = torch.linalg.eigh(c[layer])
            null = vectors[:, values < threshold]
            kept[name][layer] = (null @ null.T).float()
    projectors, width = kept[name], model.config.intermediate_size
    past = {layer: torch.zeros(width, width) for layer in layers}

    def solve(layer: int, keys: torch.Tensor, residual: torch.Tensor) -> torch.Tensor:
        p = projectors[layer]
        left = p @ (keys @ keys.T + past[layer]) + l2 * torch.eye(width)
        return torch.linalg.solve(left, p @ keys @ residual.T).T

    def after() -> None:
        for layer in layers:
            keys = keys_of(model, layer, requests)
            past[layer] += keys @ keys.T

    return batch(model, layers, requests, evaluations, solve, after)
