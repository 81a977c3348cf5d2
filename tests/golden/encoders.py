#!/usr/bin/env python3
"""Write golden/encoders.npz anew: what `transformers` computes of the folders in tests/benchmark/encoder_folders.py.

    pip install transformers torch safetensors; python tests/golden/encoders.py

Of each folder: the tokens of its texts (padded with 0) and how many each has, the last hidden states, the attention.
"""

import sys
import tempfile
from pathlib import Path

import numpy as np

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "benchmark"))

import encoder_folders  # noqa: E402


def reference(folder: Path) -> dict[str, np.ndarray]:
    """Tokens, lengths, hidden (n, T, D), attention (L, n, H, T, T)."""
    import torch
    from transformers import AutoTokenizer, BertModel

    model = BertModel.from_pretrained(
        folder, dtype=torch.float32, attn_implementation="eager", add_pooling_layer=False
    ).eval()
    found = AutoTokenizer.from_pretrained(folder)(encoder_folders.TEXTS, padding=False).input_ids
    lengths = np.array([len(ids) for ids in found])
    ids = np.zeros((len(found), lengths.max()), "i4")
    for row, own in enumerate(found):
        ids[row, : len(own)] = own
    there = np.arange(ids.shape[1]) < lengths[:, None]
    with torch.no_grad():
        out = model(torch.tensor(ids), attention_mask=torch.tensor(there.astype("i8")), output_attentions=True)
    attention = np.stack([one.numpy() for one in out.attentions])
    return {"ids": ids, "lengths": lengths, "hidden": out.last_hidden_state.numpy(), "attention": attention}


def main() -> None:
    found = {}
    with tempfile.TemporaryDirectory() as scratch:
        for number, (name, changes) in enumerate(encoder_folders.RIGHT.items()):
            folder = encoder_folders.make(Path(scratch) / f"bert-{number}", **changes)
            if "no model_type" in name:  # which the reference's tokenizer alone needs
                (folder / "config.json").write_text(
                    (folder / "config.json").read_text()[:-1] + ', "model_type": "bert"}'
                )
            found |= {f"{name}/{key}": value for key, value in reference(folder).items()}
    np.savez_compressed(HERE / "encoders.npz", **found)


if __name__ == "__main__":
    main()
