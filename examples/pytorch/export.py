"""Trains a small network for handwritten digits in PyTorch and exports it to ONNX: how digits.onnx beside this file was made.

    pip install torch onnxscript onnx scikit-learn
    python3 export.py digits.onnx

The digits are those that Lapidary calls `digits`, so `lapidary eval digits.onnx --data digits` measures it.
"""

import sys

import onnx
import torch
from sklearn.datasets import load_digits
from torch import nn

torch.manual_seed(1)
digits = load_digits()
# Images scaled to 0–1, as Lapidary gives them: [samples, 1, 8, 8].
images = torch.tensor(digits.images, dtype=torch.float32).unsqueeze(1) / 16
labels = torch.tensor(digits.target)

model = nn.Sequential(
    nn.Conv2d(1, 24, 3, padding=1), nn.BatchNorm2d(24), nn.ReLU(),
    nn.Conv2d(24, 24, 3, padding=1), nn.BatchNorm2d(24), nn.ReLU(),
    nn.MaxPool2d(2),
    nn.Conv2d(24, 48, 3, padding=1), nn.BatchNorm2d(48), nn.ReLU(),
    nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Dropout(0.1), nn.Linear(48, 10),
)
update = torch.optim.AdamW(model.parameters(), lr=0.005)
epochs, batch = 25, 64
schedule = torch.optim.lr_scheduler.CosineAnnealingLR(update, epochs)
for epoch in range(epochs):
    for rows in torch.randperm(len(images)).split(batch):
        loss = nn.functional.cross_entropy(model(images[rows]), labels[rows])
        update.zero_grad()
        loss.backward()
        update.step()
    schedule.step()

model.eval()
torch.onnx.export(
    model, (images[:2],), sys.argv[1],
    input_names=["image"], output_names=["logits"],
    dynamic_shapes=({0: "batch"},), external_data=False,
)
# The exporter notes where in which file on this machine each node comes from; that need not be published.
exported = onnx.load(sys.argv[1])
for node in exported.graph.node:
    del node.metadata_props[:]
onnx.save(exported, sys.argv[1])

accuracy = (model(images).argmax(1) == labels).float().mean().item()
print(f"accuracy on all digits, which it was trained on: {accuracy:.4f}")
