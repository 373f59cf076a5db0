"""A profile counts in its base all that training loads, or every plan would promise too little."""

import subprocess
import sys

PROGRAM = """
import sys
import reelfit.launch.child
from reelfit.models import make_model
from reelfit.tasks import TASKS
from reelfit.training.mixing import Mixing
from reelfit.training.rehearsal import Rehearsal
from reelfit.stages.profile import load_as_training_does

load_as_training_does()
loaded = set(sys.modules)
import numpy as np
import polars as pl
from reelfit.augment import check_strengths
from reelfit.augment.online import OnlineAugmentation
from reelfit.data.seeds import seed_for
from reelfit.data.shards import ShardReader
from reelfit.memory.shortage import describe_shortage
from reelfit.training.fit import Fit
from reelfit.training.journal import StepJournal
from reelfit.training.optimizer import Descent
from reelfit.training.predicting import ClipSet
from reelfit.training.rates import factors_of
from reelfit.training.state import state_bytes
probabilities = np.random.default_rng(0).dirichlet([1, 1], 30)
TASKS["classify"](2, None).metrics(np.arange(30) % 2, probabilities)
late = {name.partition(".")[0] for name in set(sys.modules) - loaded}
print(sorted(late - {"reelfit"}))
"""


def test_training_loads_no_library_that_its_profile_did_not() -> None:
    told = subprocess.run(
        [sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=True
    )
    assert told.stdout.strip() == "[]"
