"""Random checkpoints of architectures with recorded outputs, in float64 throughout: logits, residual stream, loss, two gradients, greedy tokens.

    python parity/makers/tiny.py parity/fixtures/tiny          makes all that are listed below
    python parity/makers/tiny.py --check FOLDER                recomputes the logits of a recorded folder, and prints how far they are apart

Needs torch, transformers 5 and safetensors. The weights are drawn with a seed: linear maps and biases with a standard deviation of 0.25,
embeddings 0.5, learned positions 0.4, norms 1 + 0.3 n (0.3 n where the model adds 1). For each folder it prints how much the largest logit
changes when the feature in question is dropped; less than 1 is an error, since a mistake there could hide.
"""

import argparse
import json
import pathlib

import torch
from safetensors.numpy import load_file
from safetensors.torch import save_file

# float64 throughout: the library's own casts to single precision go to double precision instead
torch.set_default_dtype(torch.float64)
SINGLE = torch.float32
torch.float32 = torch.float = torch.float64
torch.Tensor.float = torch.Tensor.double

import transformers  # noqa: E402

COMMON = dict(vocab_size=128, hidden_size=32, num_hidden_layers=3, bos_token_id=1, eos_token_id=2, pad_token_id=0)
HEADS = dict(num_attention_heads=4, num_key_value_heads=2)

# folder: (model type, config, feature → the config that drops it)
CASES = {
    "gptj": (
        "gptj",
        dict(vocab_size=128, n_embd=32, n_layer=3, n_head=2, n_positions=64, rotary_dim=8, n_inner=64, bos_token_id=1, eos_token_id=2, tie_word_embeddings=False),
        {"rotation": dict(rotary_dim=2)},
    ),
    "gemma2": (
        "gemma2",
        dict(COMMON, num_attention_heads=4, num_key_value_heads=2, head_dim=8, intermediate_size=48, max_position_embeddings=128, sliding_window=6, query_pre_attn_scalar=5, attn_logit_softcapping=2.0, final_logit_softcapping=12.0, rope_parameters=dict(rope_type="default", rope_theta=5000.0)),
        {"score cap": dict(attn_logit_softcapping=None), "logit cap": dict(final_logit_softcapping=None), "window": dict(sliding_window=64)},
    ),
    "phi": (
        "phi",
        dict(COMMON, num_attention_heads=2, intermediate_size=64, max_position_embeddings=64, rope_parameters=dict(rope_type="default", rope_theta=10000.0, partial_rotary_factor=0.5), tie_word_embeddings=False),
        {"partial rotation": dict(rope_parameters=dict(rope_type="default", rope_theta=10000.0, partial_rotary_factor=1.0))},
    ),
    "stablelm": (
        "stablelm",
        dict(COMMON, **HEADS, intermediate_size=48, max_position_embeddings=64, use_qkv_bias=True, rope_parameters=dict(rope_type="default", rope_theta=10000.0, partial_rotary_factor=0.25), tie_word_embeddings=False),
        {"qkv bias": dict(use_qkv_bias=False)},
    ),
    "stablelm_parallel": (
        "stablelm",
        dict(COMMON, **HEADS, intermediate_size=48, max_position_embeddings=64, use_parallel_residual=True, qk_layernorm=True, rope_parameters=dict(rope_type="default", rope_theta=10000.0, partial_rotary_factor=0.25), tie_word_embeddings=False),
        {},
    ),
    "olmo2": (
        "olmo2",
        dict(COMMON, **HEADS, intermediate_size=48, max_position_embeddings=64, rope_parameters=dict(rope_type="default", rope_theta=10000.0), tie_word_embeddings=False),
        {},
    ),
    "olmo3": (
        "olmo3",
        dict(COMMON, **HEADS, num_hidden_layers=4, intermediate_size=48, max_position_embeddings=64, sliding_window=6, rope_parameters=dict(sliding_attention=dict(rope_type="default", rope_theta=10000.0), full_attention=dict(rope_type="yarn", rope_theta=10000.0, factor=4.0, original_max_position_embeddings=16, beta_fast=4, beta_slow=1)), tie_word_embeddings=False),
        {"window": dict(sliding_window=64), "yarn": dict(rope_parameters=dict(sliding_attention=dict(rope_type="default", rope_theta=10000.0), full_attention=dict(rope_type="default", rope_theta=10000.0)))},
    ),
    "granite": (
        "granite",
        dict(COMMON, **HEADS, intermediate_size=48, max_position_embeddings=64, embedding_multiplier=3.0, residual_multiplier=0.6, attention_multiplier=0.2, logits_scaling=2.0, rope_parameters=dict(rope_type="default", rope_theta=10000.0), tie_word_embeddings=True),
        {"embedding": dict(embedding_multiplier=1.0), "residual": dict(residual_multiplier=1.0), "attention": dict(attention_multiplier=0.7), "logits": dict(logits_scaling=1.0)},
    ),
    "granitemoehybrid": (
        "granitemoehybrid",
        dict(COMMON, **HEADS, intermediate_size=48, shared_intermediate_size=48, num_local_experts=0, num_experts_per_tok=0, layer_types=["attention"] * 3, mamba_n_heads=4, mamba_d_head=16, position_embedding_type="rope", max_position_embeddings=64, embedding_multiplier=3.0, residual_multiplier=0.6, attention_multiplier=0.2, logits_scaling=2.0, rope_parameters=dict(rope_type="default", rope_theta=10000.0), tie_word_embeddings=True),
        {"embedding": dict(embedding_multiplier=1.0)},
    ),
    "ministral3": (
        "ministral3",
        dict(COMMON, **HEADS, head_dim=8, intermediate_size=48, max_position_embeddings=64, rope_parameters=dict(rope_type="yarn", rope_theta=10000.0, factor=4.0, original_max_position_embeddings=8, beta_fast=4.0, beta_slow=1.0, llama_4_scaling_beta=0.5, mscale=1.0, mscale_all_dim=1.0), tie_word_embeddings=False),
        {"query scale": dict(rope_parameters=dict(rope_type="yarn", rope_theta=10000.0, factor=4.0, original_max_position_embeddings=8, beta_fast=4.0, beta_slow=1.0, llama_4_scaling_beta=0.0, mscale=1.0, mscale_all_dim=1.0))},
    ),
    "phi3_longrope": (
        "phi3",
        dict(COMMON, **HEADS, intermediate_size=48, max_position_embeddings=128, original_max_position_embeddings=48, rope_parameters=dict(rope_type="longrope", rope_theta=10000.0, partial_rotary_factor=0.5, short_factor=[1.5, 2.0], long_factor=[3.0, 5.0], original_max_position_embeddings=48), tie_word_embeddings=False),
        {},
    ),
    "gpt_neox_serial": (
        "gpt_neox",
        dict(vocab_size=128, hidden_size=32, num_hidden_layers=3, num_attention_heads=2, intermediate_size=64, max_position_embeddings=64, use_parallel_residual=False, hidden_act="gelu_new", bos_token_id=1, eos_token_id=2, tie_word_embeddings=False, rope_parameters=dict(rope_type="default", rope_theta=10000.0, partial_rotary_factor=0.25)),
        {"serial": dict(use_parallel_residual=True)},
    ),
}
# Norms whose weight the model adds 1 to
PLUS_ONE = {"gemma2"}


def model_of(kind, config):
    made = transformers.AutoConfig.for_model(kind, **config)
    made._attn_implementation = "eager"
    return made, transformers.AutoModelForCausalLM.from_config(made, attn_implementation="eager").double().eval()


def draw(model, kind, seed):
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, p in sorted(model.named_parameters()):
            n = torch.randn(p.shape, generator=generator)
            if "norm" in name.lower() or "ln_" in name:
                value = 0.25 * n if name.endswith("bias") else (0 if kind in PLUS_ONE else 1) + 0.3 * n
            elif "embed" in name or ".wte" in name:
                value = (0.35 if kind in PLUS_ONE else 0.5) * n
            elif ".wpe" in name:
                value = 0.4 * n
            else:
                value = 0.25 * n
            p.copy_(value.to(SINGLE).double())


def outputs(model, ids):
    resid = []

    def note(_module, args, kwargs):
        resid.append((args[0] if args else kwargs["hidden_states"]).detach().clone())

    base = model.base_model
    layers = next(m for m in base.modules() if isinstance(m, torch.nn.ModuleList))
    hooks = [layer.register_forward_pre_hook(note, with_kwargs=True) for layer in layers]
    last = []
    hooks.append(layers[-1].register_forward_hook(lambda _m, _a, out: last.append((out[0] if isinstance(out, tuple) else out).detach().clone())))
    logits = model(input_ids=ids, use_cache=False).logits
    for hook in hooks:
        hook.remove()
    return logits, torch.stack(resid + last)


def greedy(model, ids, count):
    out = ids
    for _ in range(count):
        out = torch.cat([out, model(input_ids=out, use_cache=False).logits[:, -1].argmax(-1, keepdim=True)], 1)
    return out[:, ids.shape[1] :]


def make(folder, name, seed):
    kind, config, features = CASES[name]
    made, model = model_of(kind, config)
    draw(model, kind, seed)
    ids = torch.randint(3, config["vocab_size"], (2, 24), generator=torch.Generator().manual_seed(seed + 1))
    logits, resid = outputs(model, ids)
    loss = torch.nn.functional.cross_entropy(logits[:, :-1].reshape(-1, logits.shape[-1]), ids[:, 1:].reshape(-1))
    loss.backward()
    stored = model.state_dict()
    tied = made.tie_word_embeddings
    theirs = {"lm_head.weight": "embed_out.weight"} if kind == "gpt_neox" else {}  # as the library's own saving names it
    weights = {theirs.get(n, n): t.to(SINGLE).contiguous() for n, t in stored.items() if not (tied and n == "lm_head.weight")}
    linear = [n for n, p in model.named_parameters() if p.dim() == 2 and "embed" not in n and ".wte" not in n and "head" not in n]
    attention = [n for n in linear if "attn" in n or "attention" in n][-1]
    mlp = [n for n in linear if "attn" not in n and "attention" not in n][-1]
    grads = {f"grad.{n}": dict(model.named_parameters())[n].grad for n in (attention, mlp)}
    at = folder / name
    at.mkdir(parents=True, exist_ok=True)
    made.dtype = "float32"
    made.save_pretrained(at)
    save_file(weights, at / "model.safetensors", {"format": "pt"})
    with torch.no_grad():
        told = greedy(model, ids, 12)
    save_file(
        dict(input_ids=ids.int(), logits=logits.detach(), resid=resid, loss=loss.detach().reshape(1), continuation=told.int(), **grads),
        at / "golden.safetensors",
    )
    print(f"{name}: loss {loss.item():.3f}, gradients of {attention} and {mlp}, {sum(f.stat().st_size for f in at.iterdir()) // 1000} kB")
    for feature, over in features.items():
        _, other = model_of(kind, {**config, **over})
        other.load_state_dict(stored, strict=False)
        with torch.no_grad():
            change = (outputs(other, ids)[0] - logits).abs().max().item()
        print(f"  without {feature}: the largest change of a logit is {change:.2f}")
        assert change > 1, f"{name} does not show {feature}"


def check(folder):
    config = json.loads((folder / "config.json").read_text())
    made = transformers.AutoConfig.from_pretrained(folder)
    model = transformers.AutoModelForCausalLM.from_config(made, attn_implementation="eager").double().eval()
    weights = {n: torch.from_numpy(t).double() for n, t in load_file(folder / "model.safetensors").items()}
    missing, unexpected = model.load_state_dict(weights, strict=False)
    golden = {n: torch.from_numpy(t) for n, t in load_file(folder / "golden.safetensors").items()}
    logits, resid = outputs(model, golden["input_ids"].long())
    print(config["model_type"], "missing", missing, "unexpected", unexpected, "logits apart", (logits - golden["logits"]).abs().max().item(), "resid apart", (resid - golden["resid"]).abs().max().item())


parser = argparse.ArgumentParser()
parser.add_argument("folder", type=pathlib.Path)
parser.add_argument("--check", action="store_true")
parser.add_argument("--only", nargs="*")
given = parser.parse_args()
if given.check:
    check(given.folder)
else:
    for number, name in enumerate(CASES):
        if not given.only or name in given.only:
            make(given.folder, name, 100 + number)
