"""Trains one neural network of scikit-learn for handwritten digits; `examples/sklearn.toml` says how it is tuned.

A candidate comes as a line of JSON on stdin; what was measured leaves as lines of JSON on stdout, one after each epoch and one
at the end.
"""

import json
import warnings

from sklearn.datasets import load_digits
from sklearn.metrics import log_loss
from sklearn.model_selection import train_test_split
from sklearn.neural_network import MLPClassifier

EPOCHS = 27

candidate = json.loads(input())
point = candidate["point"]
images, digits = load_digits(return_X_y=True)
# Every trial is measured on the same images, whatever its seed.
train_x, valid_x, train_y, valid_y = train_test_split(images / 16, digits, test_size=0.3, stratify=digits, random_state=0)
model = MLPClassifier(
    hidden_layer_sizes=[point["width"]] * point["depth"],
    activation=point["activation"],
    solver=point["solver"],
    learning_rate_init=point["learning_rate"],
    momentum=point.get("momentum", 0.9),
    alpha=point["alpha"],
    batch_size=32,
    random_state=candidate["seed"],
)
warnings.simplefilter("ignore")


def measured():
    probabilities = model.predict_proba(valid_x)
    return {"accuracy": model.score(valid_x, valid_y), "loss": log_loss(valid_y, probabilities)}


# The fidelity is the share of a full training to spend.
for epoch in range(1, max(1, round(EPOCHS * candidate["fidelity"])) + 1):
    model.partial_fit(train_x, train_y, classes=range(10))
    print(json.dumps({"step": epoch, "metrics": measured()}), flush=True)
print(json.dumps({"metrics": measured()}))
