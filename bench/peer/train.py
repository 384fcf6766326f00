"""The training benchmark in PyTorch: the same model, weights, tokens and optimizer, bf16 autocast, driven by train.bench.ts.

    python train.py CHECKPOINT_FOLDER TOKENS.bin --batch 8 --threads 2

Reads a number of steps per line from standard input, takes them and answers with a line of JSON: seconds and the loss
before the first of them.
"""

import argparse
import json
import sys
import time
from pathlib import Path

import torch
import torch.nn.functional as F
from safetensors.torch import load_file
from torch import nn


class Block(nn.Module):
    def __init__(self, c: dict, weights: dict[str, torch.Tensor]):
        super().__init__()
        self.heads, self.kv_heads, self.eps = c["num_attention_heads"], c["num_key_value_heads"], c["rms_norm_eps"]
        for name, tensor in weights.items():
            self.register_parameter(name.replace(".weight", "").replace(".", "_"), nn.Parameter(tensor.clone()))

    def forward(self, x: torch.Tensor, cos: torch.Tensor, sin: torch.Tensor) -> torch.Tensor:
        batch, length, width = x.shape
        h = F.rms_norm(x, (width,), self.input_layernorm, self.eps)
        q, k, v = (
            F.linear(h, w).view(batch, length, n, -1).transpose(1, 2)
            for w, n in (
                (self.self_attn_q_proj, self.heads),
                (self.self_attn_k_proj, self.kv_heads),
                (self.self_attn_v_proj, self.kv_heads),
            )
        )
        q, k = ((t * cos + torch.cat((-t.chunk(2, -1)[1], t.chunk(2, -1)[0]), -1) * sin).to(v.dtype) for t in (q, k))
        k, v = (t.repeat_interleave(self.heads // self.kv_heads, 1) for t in (k, v))
        o = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        x = x + F.linear(o.transpose(1, 2).reshape(batch, length, -1), self.self_attn_o_proj)
        h = F.rms_norm(x, (width,), self.post_attention_layernorm, self.eps)
        return x + F.linear(F.silu(F.linear(h, self.mlp_gate_proj)) * F.linear(h, self.mlp_up_proj), self.mlp_down_proj)


class Model(nn.Module):
    def __init__(self, folder: Path):
        super().__init__()
        c = json.loads((folder / "config.json").read_text())
        w = {name: tensor.float() for name, tensor in load_file(folder / "model.safetensors").items()}
        self.eps, self.theta = c["rms_norm_eps"], c["rope_theta"]
        self.head_dim = c["hidden_size"] // c["num_attention_heads"]
        self.embed, self.norm, self.head = (
            nn.Parameter(w[n].clone()) for n in ("model.embed_tokens.weight", "model.norm.weight", "lm_head.weight")
        )
        prefixes = [f"model.layers.{i}." for i in range(c["num_hidden_layers"])]
        layers = ({n.removeprefix(p): t for n, t in w.items() if n.startswith(p)} for p in prefixes)
        self.blocks = nn.ModuleList(Block(c, weights) for weights in layers)

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        inverse = self.theta ** (-torch.arange(0, self.head_dim, 2) / self.head_dim)
        angle = torch.outer(torch.arange(tokens.shape[1]), inverse).repeat(1, 2)
        cos, sin = angle.cos(), angle.sin()
        x = F.embedding(tokens, self.embed)
        for block in self.blocks:
            x = block(x, cos, sin)
        logits = F.linear(F.rms_norm(x, (x.shape[-1],), self.norm, self.eps), self.head)
        return F.cross_entropy(logits[:, :-1].flatten(0, 1).float(), tokens[:, 1:].flatten())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("tokens", type=Path)
    parser.add_argument("--batch", type=int, required=True)
    parser.add_argument("--threads", type=int, required=True)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    model = Model(options.folder)
    tokens = torch.frombuffer(bytearray(options.tokens.read_bytes()), dtype=torch.int32).long().view(options.batch, -1)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4, weight_decay=0.05, fused=True)

    def step() -> float:
        optimizer.zero_grad(set_to_none=True)
        with torch.autocast("cpu", torch.bfloat16):
            loss = model(tokens)
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        return loss.item()

    parameters = sum(p.numel() for p in model.parameters())
    print(json.dumps({"peer": f"PyTorch {torch.__version__}", "parameters": parameters}), flush=True)
    for line in sys.stdin:
        start = time.perf_counter()
        losses = [step() for _ in range(int(line))]
        print(json.dumps({"seconds": time.perf_counter() - start, "loss": losses[0]}), flush=True)


main()
