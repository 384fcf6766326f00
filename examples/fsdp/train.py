"""Trains a process reward model on soft step labels with transformers and FSDP2: the loss of `mm-prm train`, on many machines.

    torchrun --nproc-per-node 8 train.py --model NATIVE --data train.jsonl --out PRM
"""

import argparse
import json
import math
import random
import shutil
from collections.abc import Iterator
from pathlib import Path

import torch
import torch.distributed as dist
import torch.nn.functional as F
from rows import PIECES, Reader, Row, weights_of
from safetensors.torch import save_file
from torch.distributed.checkpoint.state_dict import StateDictOptions, get_model_state_dict
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import fully_shard
from transformers import AutoModelForImageTextToText, AutoTokenizer, PreTrainedTokenizerBase, get_scheduler

KEPT = ["preprocessor_config.json", "chat_template.jinja"]


def add_pieces(model: torch.nn.Module, tokenizer: PreTrainedTokenizerBase) -> None:
    """What the vocabulary lacks of a marker, Yes and No: their rows begin as the mean of all that are there."""
    missing = [piece for piece in PIECES if piece not in tokenizer.get_vocab()]
    if not missing:
        return
    tokenizer.add_tokens(missing, special_tokens=True)
    new = tokenizer.convert_tokens_to_ids(missing)
    tables = [model.get_input_embeddings, model.get_output_embeddings]
    others = [[i for i in range(len(table().weight)) if i not in new] for table in tables]
    model.resize_token_embeddings(max(len(others[0]), *(i + 1 for i in new)), mean_resizing=False)
    for table, known in zip(tables, others, strict=True):
        weight = table().weight.data
        weight[new] = weight[known].double().mean(0).float()


def open_sharded(
    folder: Path, tokenizer: PreTrainedTokenizerBase, device: torch.device, trains_vision: bool
) -> torch.nn.Module:
    """Weights in fp32, cut over all processes layer by layer."""
    model = AutoModelForImageTextToText.from_pretrained(folder, dtype=torch.float32, attn_implementation="sdpa")
    add_pieces(model, tokenizer)
    model.model.vision_tower.requires_grad_(trains_vision)
    mesh = init_device_mesh(device.type, (dist.get_world_size(),))
    for layer in model.model.language_model.layers:
        fully_shard(layer, mesh=mesh)
    return fully_shard(model.to(device), mesh=mesh)


def summed_loss(model: torch.nn.Module, rows: list[Row], pair: list[int], device: torch.device) -> torch.Tensor:
    """Cross-entropy of Yes against No with each label, at its marker, times its weight. Nothing else is looked at."""
    longest = max(len(row.ids) for row in rows)
    ids = torch.tensor([row.ids + [0] * (longest - len(row.ids)) for row in rows], device=device)
    seen = torch.tensor([[1] * len(row.ids) + [0] * (longest - len(row.ids)) for row in rows], device=device)
    pictures = [row.pixels for row in rows if row.pixels is not None]
    # WHY: logits of markers alone; those of all tokens would take more memory than the model.
    kept = sorted({at for row in rows for at in row.markers})
    logits = model(
        input_ids=ids,
        attention_mask=seen,
        pixel_values=torch.cat(pictures).to(device) if pictures else None,
        logits_to_keep=torch.tensor(kept, device=device),
        use_cache=False,
    ).logits
    place = {at: i for i, at in enumerate(kept)}
    at = torch.tensor([(r, place[marker]) for r, row in enumerate(rows) for marker in row.markers], device=device)
    yes, no = (logits[at[:, 0], at[:, 1], token].float() for token in pair)
    label, weight = (torch.tensor([v for row in rows for v in values(row)], device=device) for values in COLUMNS)
    return (weight * F.binary_cross_entropy_with_logits(yes - no, label, reduction="none")).sum()


COLUMNS = (lambda row: row.labels, lambda row: row.weights)


def shared_out(batch: list[dict], micro: int) -> Iterator[list[dict]]:
    """This process's part of a batch. All take part in every pass: who has none left repeats one that weighs nothing."""
    world, rank = dist.get_world_size(), dist.get_rank()
    filler = {**batch[0], "weights": [0.0] * len(batch[0]["labels"])}
    mine = batch[rank::world] + [filler] * (rank >= len(batch) % world > 0)
    return (mine[at : at + micro] for at in range(0, len(mine), micro))


def gradients(model: torch.nn.Module) -> dict[str, torch.Tensor]:
    """Whole ones, by the names of the checkpoint."""
    return {name: p.grad.full_tensor().cpu() for name, p in model.named_parameters() if p.grad is not None}


def save(model: torch.nn.Module, reader: Reader, source: Path, out: Path) -> None:
    """A folder that transformers and mm-prm open."""
    state = get_model_state_dict(model, options=StateDictOptions(full_state_dict=True, cpu_offload=True))
    if dist.get_rank() > 0:
        return
    model.save_pretrained(out, state_dict={name: tensor.bfloat16() for name, tensor in state.items()})
    reader.tokenizer.save_pretrained(out)
    for name in KEPT:
        if (source / name).exists():
            shutil.copy(source / name, out)
    # WHY not transformers' own: it drops what it does not know.
    config = {**reader.config, "dtype": "bfloat16"}
    config["text_config"]["vocab_size"] = model.config.text_config.vocab_size
    (out / "config.json").write_text(json.dumps(config, indent=2) + "\n")
    record = {"task": "prm", "scoring": "mm-prm", "template": reader.template}
    (out / "mm-prm.json").write_text(json.dumps(record, indent=2) + "\n")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path, required=True, help="of mm-prm export --layout transformers-native")
    parser.add_argument("--data", type=Path, required=True, help="of mm-prm dataset, format steps")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--template", help="default: what the checkpoint records")
    parser.add_argument("--epochs", type=int, default=1)
    parser.add_argument("--batch-size", type=int, default=32, help="samples of one step, over all processes")
    parser.add_argument("--micro-batch", type=int, default=1, help="samples that a process computes at once")
    parser.add_argument("--learning-rate", type=float, default=4e-6)
    parser.add_argument("--clip", type=float, default=1.0)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--train-vision", action="store_true")
    parser.add_argument("--keep-first", type=Path, help="the first step's loss and gradients, and no more steps")
    o = parser.parse_args()

    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    dist.init_process_group("nccl" if device.type == "cuda" else "gloo")
    if device.type == "cuda":
        torch.cuda.set_device(dist.get_node_local_rank())
    tokenizer = AutoTokenizer.from_pretrained(o.model)
    model = open_sharded(o.model, tokenizer, device, o.train_vision).train()
    reader = Reader(o.model, tokenizer, o.template)
    samples = [json.loads(line) for line in o.data.read_text().splitlines()]
    pair = tokenizer.convert_tokens_to_ids(["Yes", "No"])
    trained = [p for p in model.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(trained, lr=o.learning_rate, weight_decay=0.05)
    steps = o.epochs * math.ceil(len(samples) / o.batch_size)
    schedule = get_scheduler("cosine", optimizer, math.ceil(0.03 * steps), steps)
    order = random.Random(o.seed)

    for _ in range(o.epochs):
        shuffled = order.sample(samples, len(samples))
        for first in range(0, len(samples), o.batch_size):
            batch = shuffled[first : first + o.batch_size]
            weight = sum(sum(weights_of(sample)) for sample in batch)
            total = torch.zeros((), device=device)
            for part in shared_out(batch, o.micro_batch):
                rows = [reader.read(sample, o.data.parent) for sample in part]
                loss = summed_loss(model, rows, pair, device) / weight
                # FSDP takes the mean over processes; the loss is a sum over them.
                (loss * dist.get_world_size()).backward()
                total += loss.detach()
            dist.all_reduce(total)
            if o.keep_first:
                found = {"loss": total.cpu().reshape(1), **gradients(model)}
                if dist.get_rank() == 0:
                    save_file(found, o.keep_first)
                return dist.destroy_process_group()
            norm = torch.nn.utils.clip_grad_norm_(trained, o.clip)
            optimizer.step()
            schedule.step()
            optimizer.zero_grad()
            if dist.get_rank() == 0:
                print(f"loss {total.item():.4f}, norm {norm.full_tensor().item():.3f}", flush=True)
    save(model, reader, o.model, o.out)
    dist.destroy_process_group()


main()
