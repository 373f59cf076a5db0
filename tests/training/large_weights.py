"""A training whose weights are most of what it holds, gone on under a tight limit: prints done."""

import sys
from pathlib import Path

import torch

from reelfit.memory.limits import limit_host_memory
from reelfit.memory.record import host_memory
from small_training import SmallTraining

folder, stop, room_mib = Path(sys.argv[1]), sys.argv[2] == "stop", int(sys.argv[3])
torch.set_num_threads(1)
training = SmallTraining(
    folder, count=6, size=16, options={"channels": [512] * 8}, epochs=2, effective_batch=6
)
fit = training.fit()
torch.nn.Conv2d(3, 8, 3)(torch.zeros(1, 3, 8, 8)).sum().backward()  # libraries take their own
fit.should_stop = lambda: stop
limit_host_memory(host_memory().rss_bytes + room_mib * 2**20)
try:
    fit.run()
finally:
    sys.stdout.write(f"{fit.progress.step}\n")
