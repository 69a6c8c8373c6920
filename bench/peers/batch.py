"""Token rows of different lengths as one padded batch."""
import torch


def padded(rows: list[list[int]], pad: int, side: str) -> dict[str, torch.Tensor]:
    """`input_ids` and `attention_mask` [B, T]; `side` is where the padding goes: "left" to generate, "right" to edit."""
    longest = max(map(len, rows))
    ids = torch.full((len(rows), longest), pad)
    mask = torch.zeros_like(ids)
    for i, row in enumerate(rows):
        at = slice(longest - len(row), None) if side == "left" else slice(0, len(row))
        ids[i, at] = torch.tensor(row)
        mask[i, at] = 1
    return {"input_ids": ids, "attention_mask": mask}


def pad_of(model) -> int:
    """The id to pad with: any id does, the mask hides it."""
    pad = model.config.pad_token_id
    return 0 if pad is None else pad
