"""Converts a Qwen2 or Qwen3 text model to GGUF, weights as stored (BF16): a random checkpoint of
bench/engine/random-checkpoint.ts, or the language model of an InternVL checkpoint, without its vision tower.

    pip install gguf && python to_gguf.py CHECKPOINT_FOLDER OUT.gguf
"""

import json
import struct
import sys
from pathlib import Path

import gguf
import numpy as np

NAMES = {
    "self_attn.q_proj": "attn_q",
    "self_attn.k_proj": "attn_k",
    "self_attn.v_proj": "attn_v",
    "self_attn.o_proj": "attn_output",
    "self_attn.q_norm": "attn_q_norm",
    "self_attn.k_norm": "attn_k_norm",
    "mlp.gate_proj": "ffn_gate",
    "mlp.up_proj": "ffn_up",
    "mlp.down_proj": "ffn_down",
    "input_layernorm": "attn_norm",
    "post_attention_layernorm": "ffn_norm",
}
TOP = {
    "model.embed_tokens.weight": "token_embd.weight",
    "model.norm.weight": "output_norm.weight",
    "lm_head.weight": "output.weight",
}


def gguf_name(name: str) -> str:
    if name in TOP:
        return TOP[name]
    _, _, layer, rest = name.split(".", 3)
    stem, suffix = rest.rsplit(".", 1)
    return f"blk.{layer}.{NAMES[stem]}.{suffix}"


def add_tokenizer(writer: gguf.GGUFWriter, folder: Path, vocab: int) -> None:
    """The checkpoint's own byte-pair tokenizer; ids that it does not use get placeholders, as llama.cpp wants one each."""
    tokenizer = json.loads((folder / "tokenizer.json").read_text())
    settings = json.loads((folder / "tokenizer_config.json").read_text())
    pieces = [f"[unused{i}]" for i in range(vocab)]
    kinds = [gguf.TokenType.UNUSED] * vocab
    for piece, i in tokenizer["model"]["vocab"].items():
        pieces[i], kinds[i] = piece, gguf.TokenType.NORMAL
    for token in tokenizer["added_tokens"]:
        pieces[token["id"]], kinds[token["id"]] = token["content"], gguf.TokenType.CONTROL
    merges = tokenizer["model"]["merges"]
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("qwen2")
    writer.add_token_list(pieces)
    writer.add_token_types(kinds)
    writer.add_token_merges([merge if isinstance(merge, str) else " ".join(merge) for merge in merges])
    writer.add_add_bos_token(False)
    if settings.get("eos_token") in pieces:
        writer.add_eos_token_id(pieces.index(settings["eos_token"]))
    if settings.get("chat_template"):
        writer.add_chat_template(settings["chat_template"])


def main(folder: Path, out: Path) -> None:
    config = json.loads((folder / "config.json").read_text())
    config = config.get("llm_config", config)
    bits = np.memmap(folder / "model.safetensors", mode="r")
    header_bytes = struct.unpack("<Q", bits[:8].tobytes())[0]
    header = json.loads(bits[8 : 8 + header_bytes].tobytes())

    writer = gguf.GGUFWriter(out, config["model_type"])
    writer.add_context_length(config["max_position_embeddings"])
    writer.add_embedding_length(config["hidden_size"])
    writer.add_block_count(config["num_hidden_layers"])
    writer.add_feed_forward_length(config["intermediate_size"])
    writer.add_head_count(config["num_attention_heads"])
    writer.add_head_count_kv(config["num_key_value_heads"])
    if "head_dim" in config:
        writer.add_key_length(config["head_dim"])
        writer.add_value_length(config["head_dim"])
    writer.add_layer_norm_rms_eps(config["rms_norm_eps"])
    writer.add_rope_freq_base(config["rope_theta"])
    writer.add_file_type(gguf.LlamaFileType.MOSTLY_BF16)
    add_tokenizer(writer, folder, config["vocab_size"])

    towers = ("__metadata__", "vision_model.", "mlp1.")
    for full_name, entry in header.items():
        if full_name.startswith(towers):
            continue
        name = full_name.removeprefix("language_model.")
        begin, end = (8 + header_bytes + at for at in entry["data_offsets"])
        stored = bits[begin:end].view(np.uint16).reshape(entry["shape"])
        if len(entry["shape"]) == 1:
            wide = (stored.astype(np.uint32) << 16).view(np.float32)
            writer.add_tensor(gguf_name(name), wide)
        else:
            writer.add_tensor(
                gguf_name(name), np.ascontiguousarray(stored).view(np.uint8), raw_dtype=gguf.GGMLQuantizationType.BF16
            )
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


main(Path(sys.argv[1]), Path(sys.argv[2]))
