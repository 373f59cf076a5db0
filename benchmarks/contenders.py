"""One epoch under a hard limit, by one contender: ``python contenders.py NAME TASK``.

Each runs in a process of its own, with its own interpreter where it is installed in another
environment, so nothing of Reelfit is imported here but for Reelfit itself. The learning rate is 0:
every step's gradient is that of the same weights, and can be compared with the whole batch's.
"""

import json
import resource
import sys
import threading
import time
from pathlib import Path
from typing import Any

import torch
from torch import nn

FRAMES, SIZE = 8, 56


class Clips(torch.utils.data.Dataset):
    """Random clips as bytes, each with its number; the same for every contender."""

    def __init__(self, count: int) -> None:
        self.count = count

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, number: int) -> tuple[torch.Tensor, torch.Tensor]:
        if number >= self.count:
            raise IndexError
        drawn = torch.Generator().manual_seed(number)
        shape = (3, FRAMES, SIZE, SIZE)
        clip = torch.randint(0, 256, shape, dtype=torch.uint8, generator=drawn)
        return clip, torch.tensor(number)


class Small3D(nn.Module):
    """A small 3D network; its samples do not see each other."""

    def __init__(self) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for before, after, stride in ((3, 16, 2), (16, 16, 1), (16, 32, 2)):
            layers += [
                nn.Conv3d(before, after, 3, (1, stride, stride), 1, bias=False),
                nn.GroupNorm(8, after),
                nn.ReLU(),
            ]
        self.body = nn.Sequential(*layers)
        self.head = nn.Linear(32, 2)

    def forward(self, clips: torch.Tensor) -> torch.Tensor:
        """From bytes to two outputs."""
        maps = self.body(clips.float().div(127.5).sub(1.0))
        return self.head(maps.mean((2, 3, 4)))


class Watched:
    """What each optimizer step was made of: the numbers of its samples, and its gradient."""

    def __init__(self) -> None:
        self.pending: list[int] = []
        self.steps: list[list[int]] = []
        self.gradients: list[torch.Tensor] = []

    def losses(self, model: nn.Module, part: Any) -> torch.Tensor:
        """One loss per sample."""
        self.pending += part[1].tolist()
        return nn.functional.cross_entropy(model(part[0]), part[1] % 2, reduction="none")

    def optimizer(self, model: nn.Module) -> torch.optim.Optimizer:
        """One that changes nothing."""
        optimizer = torch.optim.SGD(model.parameters(), lr=0.0)
        parameters = list(model.parameters())

        def after_step(*_: Any) -> None:
            self.steps.append(self.pending)
            self.pending = []
            gradient = torch.cat([p.grad.reshape(-1) for p in parameters if p.grad is not None])
            self.gradients = [*self.gradients[:1], gradient.clone()]

        optimizer.register_step_post_hook(after_step)
        return optimizer

    def forget(self) -> None:
        """As if nothing had been done."""
        self.pending, self.steps, self.gradients = [], [], []


def make_model() -> nn.Module:
    torch.manual_seed(0)
    return Small3D()


def plain(task: dict[str, int], watched: Watched) -> None:
    """A loop without any care."""
    model = make_model()
    optimizer = watched.optimizer(model)
    for batch in torch.utils.data.DataLoader(Clips(task["samples"]), task["batch"]):
        optimizer.zero_grad()
        watched.losses(model, batch).mean().backward()
        optimizer.step()


def reelfit(task: dict[str, int], watched: Watched) -> None:
    """The exact step, which alone can be told what it may hold."""
    from reelfit import ExactStep

    model, memory = make_model(), task.get("budget_bytes")
    if "over_bytes" in task:
        memory = held()["VmRSS"] + task["over_bytes"]

    optimizer = watched.optimizer(model)
    forget_gradients = optimizer.zero_grad

    def begin_anew(**how: Any) -> None:  # as each attempt begins, and as a failed one ends
        watched.pending = []
        forget_gradients(**how)

    optimizer.zero_grad = begin_anew  # type: ignore[method-assign]
    step = ExactStep(model, optimizer, watched.losses, task["batch"], memory)
    for batch in torch.utils.data.DataLoader(Clips(task["samples"]), task["batch"]):
        step(batch)


def accelerate(task: dict[str, int], watched: Watched, **how: Any) -> None:
    """As its example of automatic gradient accumulation has it: a tenth less each time."""
    from accelerate import Accelerator
    from accelerate.utils import find_executable_batch_size

    @find_executable_batch_size(starting_batch_size=task["batch"], **how)
    def train(batch_size: int) -> None:
        watched.forget()
        accelerator = Accelerator(cpu=True, gradient_accumulation_steps=task["batch"] // batch_size)
        accelerator.free_memory()
        model = make_model()
        loader = torch.utils.data.DataLoader(Clips(task["samples"]), batch_size)
        model, optimizer, loader = accelerator.prepare(model, watched.optimizer(model), loader)
        for batch in loader:
            with accelerator.accumulate(model):
                accelerator.backward(watched.losses(model, batch).mean())
                optimizer.step()
                optimizer.zero_grad()

    train()


def accelerate_halving(task: dict[str, int], watched: Watched) -> None:
    """The same, told to halve the batch, which then divides the one that was wanted."""
    sizes = [task["batch"]]

    def half() -> int:
        sizes.append(sizes[-1] // 2)
        return sizes[-1]

    accelerate(task, watched, reduce_batch_size_fn=half)


def lightning(task: dict[str, int], watched: Watched) -> None:
    """Its finder, and then as many batches accumulated as make the batch that was wanted."""
    import logging
    import warnings

    import lightning.pytorch as pl
    from lightning.pytorch.tuner import Tuner

    warnings.filterwarnings("ignore")
    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)

    class Module(pl.LightningModule):
        def __init__(self) -> None:
            super().__init__()
            self.batch_size = task["batch"]
            self.model = make_model()

        def training_step(self, batch: Any, _: int) -> torch.Tensor:
            return watched.losses(self.model, batch).mean()

        def configure_optimizers(self) -> torch.optim.Optimizer:
            return watched.optimizer(self.model)

        def train_dataloader(self) -> Any:
            return torch.utils.data.DataLoader(Clips(task["samples"]), self.batch_size)

    quiet = {
        "accelerator": "cpu",
        "logger": False,
        "enable_checkpointing": False,
        "enable_progress_bar": False,
        "enable_model_summary": False,
        "max_epochs": 1,
    }
    module = Module()
    Tuner(pl.Trainer(**quiet)).scale_batch_size(module, mode="power", init_val=task["batch"])
    watched.forget()
    module.batch_size = min(module.batch_size, task["batch"])
    several = task["batch"] // module.batch_size
    pl.Trainer(**quiet, accumulate_grad_batches=several).fit(module)


def composer(task: dict[str, int], watched: Watched) -> None:
    """Its automatic micro-batches."""
    import composer
    from composer.models import ComposerModel

    class Module(ComposerModel):
        def __init__(self) -> None:
            super().__init__()
            self.model = make_model()

        def forward(self, batch: Any) -> Any:
            return batch

        def loss(self, _outputs: Any, batch: Any) -> torch.Tensor:
            return watched.losses(self.model, batch).mean()

    module = Module()
    composer.Trainer(
        model=module,
        optimizers=watched.optimizer(module),
        train_dataloader=torch.utils.data.DataLoader(Clips(task["samples"]), task["batch"]),
        max_duration="1ep",
        device="gpu" if torch.cuda.is_available() else "cpu",
        device_train_microbatch_size="auto",
        progress_bar=False,
    ).fit()


CONTENDERS = {
    each.__name__: each
    for each in (plain, accelerate, accelerate_halving, lightning, composer, reelfit)
}


def held() -> dict[str, int]:
    """Bytes by the kernel's names."""
    lines = Path("/proc/self/status").read_text().splitlines()
    pairs = [line.split()[:2] for line in lines if line.startswith(("Vm", "Rss"))]
    return {name.rstrip(":"): 1024 * int(size) for name, size in pairs}


def limit(task: dict[str, int]) -> None:
    """Leaves so many bytes over what this process holds now, or so many in all."""
    now = held()
    if "over_bytes" in task:
        most = now["VmData"] + task["over_bytes"]
    elif "budget_bytes" in task:
        most = now["VmData"] + task["budget_bytes"] - now["VmRSS"]
    else:
        return
    resource.setrlimit(resource.RLIMIT_DATA, (most, resource.RLIM_INFINITY))


def main() -> None:
    """Prints how it went as JSON, and keeps the gradients of the first and the last step."""
    name, task = sys.argv[1], json.loads(sys.argv[2])
    torch.set_num_threads(1)
    watched = Watched()
    try:
        CONTENDERS[name]({"batch": 1, "samples": 2}, watched)  # imports, and what libraries keep
    except Exception as error:
        print(json.dumps({"end": f"{type(error).__name__}: {error}"[:200]}))
        return
    watched.forget()
    limit(task)
    began, before, peak = time.perf_counter(), held()["VmRSS"], [0]
    done = threading.Event()

    def watch() -> None:  # not the kernel's own peak: Reelfit lets it begin anew at each step
        while not done.wait(0.004):
            peak[0] = max(peak[0], held()["VmRSS"])

    watcher = threading.Thread(target=watch)
    watcher.start()
    end = "done"
    try:
        CONTENDERS[name](task, watched)
    except Exception as error:
        end = f"{type(error).__name__}: {error}"[:200]
    seconds = time.perf_counter() - began
    done.set()
    watcher.join()
    resource.setrlimit(resource.RLIMIT_DATA, (resource.RLIM_INFINITY,) * 2)
    if "gradients" in task:
        torch.save(watched.gradients, task["gradients"])
    print(
        json.dumps(
            {
                "end": end,
                "seconds": seconds,
                "peak_bytes": peak[0] - before,
                "samples": sorted(number for step in watched.steps for number in step),
                "sizes": [len(step) for step in watched.steps],
            }
        )
    )


if __name__ == "__main__":
    main()
