"""An evaluation as users of transformers write it: answers generated batch by batch, then given answers read in whole forward passes."""
import time

import torch

from batch import pad_of, padded


def evaluate(model, prompts: list[list[int]], answers: list[list[int]], new_tokens: int, together: int, stops: list[int]) -> dict:
    """What the model says to each prompt, greedily, until one of `stops` or `new_tokens`; log-probabilities and ranks of the tokens of
    `answers` behind the prompts. Batches of `together` rows in their order; answers `ids`, the mean `loss`, and the sum of `ranks`."""
    pad = pad_of(model)
    model.generation_config.eos_token_id = stops
    start = time.perf_counter()
    ids, logprobs, ranks = [], [], []
    with torch.no_grad():
        for at in range(0, len(prompts), together):
            asked, wanted = prompts[at : at + together], answers[at : at + together]
            batch = padded(asked, pad, "left")
            out = model.generate(**batch, do_sample=False, max_new_tokens=new_tokens, pad_token_id=pad)
            ids.extend(out[:, batch["input_ids"].shape[1] :].tolist())
            rows = [a + b for a, b in zip(asked, wanted)]
            batch = padded(rows, pad, "right")
            logits = model(**batch).logits[:, :-1]
            labels = batch["input_ids"][:, 1:]
            chosen = logits.gather(2, labels.unsqueeze(2))
            loss = torch.log_softmax(logits, 2).gather(2, labels.unsqueeze(2)).squeeze(2)
            above = (logits > chosen).sum(2) + 1
            for i, (a, b) in enumerate(zip(asked, wanted)):
                place = slice(len(a) - 1, len(a) + len(b) - 1)
                logprobs.append(loss[i, place])
                ranks.append(above[i, place])
    seconds = time.perf_counter() - start
    return {"seconds": seconds, "ids": ids, "loss": -torch.cat(logprobs).mean().item(), "ranks": torch.cat(ranks).sum().item()}
