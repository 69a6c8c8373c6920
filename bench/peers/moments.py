"""Second moments of what enters MLPs' output matrices as EasyEdit takes them: a pass over the whole text for each layer, cut behind it."""
import time

import torch


class Enough(Exception):
    """The layer was seen: the rest of the pass is of no use."""


def moments(model, layers: list[int], rows: list[list[int]], together: int) -> dict:
    """Means of x xT over all tokens of rows of equal length, `together` rows a pass; answers their norms by layer."""
    start, norms = time.perf_counter(), []
    for layer in layers:
        total, seen = torch.zeros(model.config.intermediate_size, model.config.intermediate_size), 0

        def note(module, given):
            nonlocal seen
            x = given[0].flatten(0, 1)
            total.add_(x.T @ x)
            seen += len(x)
            raise Enough

        hook = model.model.layers[layer].mlp.down_proj.register_forward_pre_hook(note)
        with torch.no_grad():
            for first in range(0, len(rows), together):
                try:
                    model(input_ids=torch.tensor(rows[first : first + together]), use_cache=False)
                except Enough:
                    pass
        hook.remove()
        norms.append((total / seen).norm().item())
    return {"seconds": time.perf_counter() - start, "norm": torch.tensor(norms).norm().item()}
