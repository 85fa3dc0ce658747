"""Trains a PyTorch module. retraind calls `train` in the interpreter that `trainer.python` names.

`data` is a pandas DataFrame of the features and the target, oldest row first. What is returned is kept,
judged at the gates and registered; its `forward` takes the features as one float32 tensor, in their
order, and gives the probability of the answer 1.
"""

import torch
from torch import nn


class Network(nn.Module):
    """A small network that brings its own scaling; a missing value counts as an average one."""

    def __init__(self, mean, spread, hidden):
        super().__init__()
        self.register_buffer("mean", mean)
        self.register_buffer("spread", spread)
        self.layers = nn.Sequential(
            nn.Linear(len(mean), hidden), nn.ReLU(), nn.Linear(hidden, hidden), nn.ReLU(), nn.Linear(hidden, 1)
        )

    def logits(self, rows):
        return self.layers(torch.nan_to_num((rows - self.mean) / self.spread))

    def forward(self, rows):
        return torch.sigmoid(self.logits(rows))


def train(data, target, epochs=20, hidden=32, batch=256):
    torch.manual_seed(0)
    rows = torch.from_numpy(data.drop(columns=target).to_numpy(dtype="float32"))
    answers = torch.from_numpy(data[target].to_numpy(dtype="float32")).unsqueeze(1)
    known = ~torch.isnan(rows)
    mean = torch.nanmean(rows, dim=0)
    spread = torch.sqrt(torch.nanmean((rows - mean) ** 2, dim=0)).clamp_min(1e-6)
    print(f"{len(rows)} rows, {int((~known).sum())} missing values, {epochs} epochs")

    network = Network(mean, spread, hidden)
    optimizer = torch.optim.Adam(network.parameters(), lr=1e-2)
    loss_of = nn.BCEWithLogitsLoss()
    for epoch in range(epochs):
        losses = []
        for chosen in torch.randperm(len(rows)).split(batch):
            optimizer.zero_grad()
            loss = loss_of(network.logits(rows[chosen]), answers[chosen])
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
        print(f"epoch {epoch + 1}: loss {sum(losses) / len(losses):.4f}")
    return network
