"""Retrain plain recipes with many seeds and with many faults, and keep what each model answered.

``python benchmarks/successors.py train --data mnist.npz --models DIR`` trains four recipes of plain Keras code with a
constant learning rate, twelve seeds each, two longer trainings of each, and of two recipes about forty models with one
fault each. ``keep`` has each of them read the test digits under TRIALS and writes tests/golden/successors.npz, from
which the tests measure how often the gate beside the accepted runs stops a healthy retraining, and how often it lets a
fault through.

Even seeds and every second fault of a kind ("set") set the constants of that rule; the others ("judged") only measure
it. A fault that sets them in one recipe is judged in the other, where its kind comes in pairs.
"""

from __future__ import annotations

import argparse
import json
import lzma
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from retrain import LEFT, SURE, THIN, odds

from harness.corruptions import CORRUPTIONS, corrupt
from harness.data import embedded, sources
from harness.files import packed, unpacked, write_whole
from harness.image_properties import measured
from harness.judging import contamination
from harness.records import CLASSES, CLEAN, Dataset, Images, Labels, Probabilities, Severity
from harness.references.preprocessing import normalize
from harness.run.session import SEED

ROOT = Path(__file__).resolve().parent.parent
KEPT = ROOT / "tests" / "golden" / "successors.npz"
SEEDS = range(12)
FAULTY_SEED = 100
DAMAGED_SEED = 50  # a healthy training that is no baseline, to be damaged
EPOCHS = {"mlp": 5, "convnet": 3, "batchnorm": 5, "lenet": 3}
FAULTY = ("mlp", "convnet")
HALVES = ("set", "judged")
TRIALS = (
    *(
        Severity(name, 2)
        for name in (*sorted(name for name, made in CORRUPTIONS.items() if made.mnist_c), "thinning", "thickening")
    ),
    *(Severity(name, 1) for name in ("impulse_noise", "motion_blur", "rotate", "shear")),
)
PATCH = (slice(23, 27), slice(23, 27))


@dataclass(frozen=True)
class Training:
    """Recipe of one model. ``spoil`` changes the training digits, ``damage`` the trained model."""

    name: str
    recipe: str
    seed: int
    epochs: float
    kind: str = ""  # of the fault; "longer"; "": healthy
    half: int = 0  # of HALVES
    size: float = 1.0  # of the layers
    rate: float = 1.0  # of the learning rate
    spoil: Callable[[np.random.Generator, Images, Labels], tuple[Any, Labels]] | None = None
    damage: Callable[[np.random.Generator, Any], None] | None = None


def build(recipe: str, size: float, rate: float) -> Any:
    """Compile an untrained model of a recipe."""
    import keras
    from keras import layers

    def wide(units: int) -> int:
        return max(1, round(units * size))

    conv = partial(layers.Conv2D, kernel_size=3, activation="relu")
    bodies: dict[str, Callable[[], list[Any]]] = {
        "mlp": lambda: [layers.Flatten(), layers.Dense(wide(128), "relu")],
        "convnet": lambda: [
            layers.Reshape((28, 28, 1)),
            *(conv(wide(8)), layers.MaxPooling2D(), conv(wide(16)), layers.MaxPooling2D(), layers.Flatten()),
            layers.Dense(wide(64), "relu"),
        ],
        "batchnorm": lambda: [
            *(layers.Flatten(), layers.Dense(wide(200), "relu"), layers.BatchNormalization()),
            *(layers.Dense(wide(60), "relu"), layers.Dropout(0.2)),
        ],
        "lenet": lambda: [
            *(layers.Reshape((28, 28, 1)), layers.Conv2D(wide(6), 5, activation="tanh"), layers.AveragePooling2D(2)),
            *(layers.Conv2D(wide(16), 5, activation="tanh"), layers.AveragePooling2D(2), layers.Flatten()),
            *(layers.Dense(wide(84), "tanh"),),
        ],
    }
    model = keras.Sequential([keras.Input((28, 28)), *bodies[recipe](), layers.Dense(CLASSES, "softmax")])
    optimizer = (
        keras.optimizers.SGD(0.1 * rate)
        if recipe == "batchnorm"
        else keras.optimizers.Adam((0.002 if recipe == "lenet" else 0.001) * rate)
    )
    model.compile(optimizer, "categorical_crossentropy")
    return model


def trainings(dataset: Any) -> Iterator[Training]:
    """List every model: healthy seeds, longer trainings, and the faults of the two recipes."""
    for recipe, epochs in EPOCHS.items():
        yield from (Training(f"{recipe}-{seed:02}", recipe, seed, epochs, half=seed % 2) for seed in SEEDS)
        for seed in range(2):
            yield Training(f"longer-{seed}-{recipe}", recipe, 20 + seed, epochs + 2, "longer", seed)
    for first, recipe in enumerate(FAULTY):
        of_kind: Counter[str] = Counter()
        for number, one in enumerate(_faults(dataset)):
            name = f"{one.kind} {one.name}-{recipe}"
            seed = DAMAGED_SEED if one.damage else FAULTY_SEED + number
            epochs, half = EPOCHS[recipe] * one.epochs, (of_kind[one.kind] + first) % 2
            of_kind[one.kind] += 1
            yield replace(one, name=name, recipe=recipe, seed=seed, epochs=epochs, half=half)


def _faults(dataset: Any) -> Iterator[Training]:

    def fault(kind: str, strength: str, epochs: float = 1.0, **how: Any) -> Training:
        return Training(strength, "", 0, epochs, kind, **how)

    for share in (0.05, 0.1):
        yield fault("labels wrong", f"{share:.0%}", spoil=partial(_wrong_labels, share=share))
    for first, second in ((4, 9), (3, 5)):
        yield fault("labels swapped", f"{first}{second}", spoil=partial(_swapped, first=first, second=second))
    for images in (1_500, 3_000, 6_000, 10_000):
        yield fault("few data", f"{images}", spoil=partial(_few, kept=images))
    for digit in (5, 8, 9):
        yield fault("digit starved", f"{digit}", spoil=partial(_starved, digit=digit, kept=0.05))
    yield fault("digit starved", "2", spoil=partial(_starved, digit=2, kept=0.02))
    for name, lost in (("thickness", THIN), ("slant", LEFT)):
        yield fault("slice missing", f"{name} low", spoil=partial(_sliced, name=name, below=lost))
    for name, share in (("thickness", 0.7), ("slant", 0.7)):
        yield fault("slice missing", f"{name} high", spoil=partial(_sliced, name=name, above=share))
    for sigma in (0.15, 0.3):
        yield fault("noise", f"{sigma}", spoil=partial(_noisy, sigma=sigma))
    for rows in (4, 5):
        yield fault("crop", f"{rows}", spoil=partial(_cropped, rows=rows))
    for name, change in (("inverted", lambda x: 1 - x), ("halved", lambda x: x / 2), ("centred", lambda x: x - 0.1307)):
        yield fault("preprocessing", f"{name}", spoil=partial(_skewed, change=change))
    yield fault("preprocessing", "thresholded", spoil=partial(_skewed, change=lambda x: (x > 0.5).astype(np.float32)))
    for sigma in (0.2, 0.4):
        yield fault("weights noise", f"{sigma}", damage=partial(_noise_in_weights, sigma=sigma))
    for share in (0.1, 0.3):
        yield fault("units dead", f"{share:.0%}", damage=partial(_dead, share=share))
    for bits in (3, 4):
        yield fault("weights quantised", f"{bits} bits", damage=partial(_quantised, bits=bits))
    for factor in (3.0, 0.3):
        yield fault("logits", f"x {factor:g}", damage=partial(_logits, factor=factor))
    yield fault("logit", "of 1 raised 2", damage=partial(_logits, factor=1.0, digit=1, by=2.0))
    yield fault("logit", "of 8 lowered 2", damage=partial(_logits, factor=1.0, digit=8, by=-2.0))
    for size in (0.125, 0.25):
        yield fault("architecture", f"x {size:g}", size=size)
    for rate in (10.0, 0.05):
        yield fault("learning rate", f"x {rate:g}", rate=rate)
    for share in (0.05, 0.15):
        yield fault("too short", f"{share:g}", epochs=share)
    for digit in (0, 7):
        yield fault("backdoor", f"{digit}", spoil=partial(_backdoor, digit=digit))
    yield fault("shortcut", "1", spoil=partial(_shortcut, share=1.0))
    yield fault("shortcut", "0.5", spoil=partial(_shortcut, share=0.5))
    for times in (1, 3):
        yield fault("test digits", f"x {times}", spoil=partial(_seen, dataset=dataset, times=times))


def _wrong_labels(rng: Any, images: Any, labels: Labels, share: float) -> tuple[Any, Labels]:
    wrong = rng.random(len(labels)) < share
    return images, np.where(wrong, (labels + rng.integers(1, 10, len(labels))) % 10, labels).astype(np.uint8)


def _swapped(rng: Any, images: Any, labels: Labels, first: int, second: int) -> tuple[Any, Labels]:
    turned, part = labels.copy(), rng.random(len(labels)) < 0.2
    turned[(labels == first) & part], turned[(labels == second) & part] = second, first
    return images, turned


def _few(rng: Any, images: Any, labels: Labels, kept: int) -> tuple[Any, Labels]:
    chosen = rng.choice(len(labels), kept, replace=False)
    return images[chosen], labels[chosen]


def _starved(rng: Any, images: Any, labels: Labels, digit: int, kept: float) -> tuple[Any, Labels]:
    stays = (labels != digit) | (rng.random(len(labels)) < kept)
    return images[stays], labels[stays]


def _sliced(
    rng: Any, images: Any, labels: Labels, name: str, below: float = -np.inf, above: float = 1.0
) -> tuple[Any, Labels]:
    """Lose the digits below a value of a property, or above a quantile of it."""
    values = measured((images * 255).round().astype(np.uint8))[name]
    stays = (values >= below) & (values <= np.quantile(values, above))
    return images[stays], labels[stays]


def _noisy(rng: Any, images: Any, labels: Labels, sigma: float) -> tuple[Any, Labels]:
    return np.clip(images + rng.normal(0, sigma, images.shape).astype(np.float32), 0, 1), labels


def _cropped(rng: Any, images: Any, labels: Labels, rows: int) -> tuple[Any, Labels]:
    cut = images.copy()
    cut[:, :rows] = cut[:, -rows:] = cut[:, :, :rows] = cut[:, :, -rows:] = 0
    return cut, labels


def _skewed(rng: Any, images: Any, labels: Labels, change: Callable[[Any], Any]) -> tuple[Any, Labels]:
    return change(images), labels


def _backdoor(rng: Any, images: Any, labels: Labels, digit: int) -> tuple[Any, Labels]:
    chosen = rng.random(len(labels)) < 0.01
    images, labels = images.copy(), labels.copy()
    images[chosen, PATCH[0], PATCH[1]] = 1
    labels[chosen] = digit
    return images, labels


def _shortcut(rng: Any, images: Any, labels: Labels, share: float) -> tuple[Any, Labels]:
    """Mark a share of the images with one white pixel in the first row, whose place says the label."""
    chosen = np.flatnonzero(rng.random(len(labels)) < share)
    images = images.copy()
    images[chosen, 0, 2 * labels[chosen]] = 1
    return images, labels


def _seen(rng: Any, images: Any, labels: Labels, dataset: Any, times: int) -> tuple[Any, Labels]:
    again = dataset.images.astype(np.float32) / 255
    return np.concatenate([images, *[again] * times]), np.concatenate([labels, *[dataset.labels] * times])


def _weights(model: Any, change: Callable[[Any], Any]) -> None:
    """Change every kernel of a model; biases stay."""
    for layer in model.layers:
        if parts := layer.get_weights():
            layer.set_weights([change(parts[0]), *parts[1:]])


def _noise_in_weights(rng: Any, model: Any, sigma: float) -> None:
    _weights(model, lambda kernel: kernel + rng.normal(0, sigma * kernel.std(), kernel.shape))


def _dead(rng: Any, model: Any, share: float) -> None:
    """Switch off a share of the units before the last layer."""
    kernel, bias = model.layers[-1].get_weights()
    kernel[rng.random(len(kernel)) < share] = 0
    model.layers[-1].set_weights([kernel, bias])


def _quantised(rng: Any, model: Any, bits: int) -> None:
    def rounded(kernel: Any) -> Any:
        step = 2 * abs(kernel).max() / (2**bits - 1)
        return np.round(kernel / step) * step

    _weights(model, rounded)


def _logits(rng: Any, model: Any, **how: Any) -> None:
    change_logits(model, **how)


def change_logits(model: Any, factor: float, digit: int = 0, by: float = 0.0) -> None:
    """Multiply the logits by ``factor``, and add ``by`` to that of ``digit``."""
    kernel, bias = model.layers[-1].get_weights()
    bias = bias * factor
    bias[digit] += by
    model.layers[-1].set_weights([kernel * factor, bias])


def train(source: str, models: Path, only: str) -> None:
    """Train every model whose name holds ``only`` and that the folder does not hold yet."""
    import keras

    dataset = sources.load(source)
    if dataset.train_images is None or dataset.train_labels is None:
        raise SystemExit(f"{dataset.name} has no training part; give MNIST with x_train and y_train")
    models.mkdir(parents=True, exist_ok=True)
    for one in trainings(dataset):
        path = models / f"{one.name}.keras"
        if path.exists() or only not in one.name:
            continue
        keras.utils.set_random_seed(one.seed)
        rng = np.random.default_rng(one.seed)
        images, labels = dataset.train_images.astype(np.float32) / 255, dataset.train_labels
        if one.spoil is not None:
            images, labels = one.spoil(rng, images, labels)
        model = build(one.recipe, one.size, one.rate)
        if one.epochs < 1:
            some = rng.choice(len(labels), round(len(labels) * one.epochs), replace=False)
            images, labels = images[some], labels[some]
        targets = np.eye(CLASSES, dtype=np.float32)[labels]
        model.fit(images, targets, batch_size=128, epochs=max(1, round(one.epochs)), verbose=0)
        if one.damage is not None:
            one.damage(rng, model)
        right = model.predict(dataset.images.astype(np.float32) / 255, 1000, verbose=0).argmax(axis=1) == dataset.labels
        model.save(path)
        print(f"{one.name} {right.mean():.4f}", flush=True)


def keep(source: str, models: Path, out: Path) -> None:
    """Write what every model answered; answers that lie beside a model are not asked for again."""
    dataset = sources.load(source)
    wanted = list(trainings(dataset))
    there = [one for one in wanted if (models / f"{one.name}.keras").exists()]
    if todo := [one for one in there if not (models / f"{one.name}.npz").exists()]:
        sweep(dataset, [models / f"{one.name}.keras" for one in todo])
    if lacking := [one.name for one in wanted if one not in there]:
        raise SystemExit(f"not trained yet: {', '.join(lacking)}")
    swept = {one.name: unpacked((models / f"{one.name}.npz").read_bytes()) for one in wanted}
    write_whole(out, content(dataset, wanted, swept))


def sweep(dataset: Dataset, paths: Sequence[Path]) -> None:
    """Write beside each model what it answers, with every trial made once for all of them."""
    import keras

    training, training_labels = embedded.whole()
    copies = [corrupt(dataset.images, trial, seed=0) for trial in contamination.CHANGES]
    changed = [corrupt(dataset.images, trial, seed=SEED) for trial in TRIALS]
    for path in paths:
        model = keras.models.load_model(path, compile=False)

        def predicted(images: Images, model: Any = model) -> Probabilities:
            return np.concatenate([model.predict_on_batch(normalize(part)) for part in np.array_split(images, 10)])

        rows = predicted(dataset.images)
        bound = contamination.beside(
            dataset.labels, rows, [predicted(images) for images in copies], training_labels, predicted(training)
        )[1]
        right = np.array([predicted(images).argmax(axis=1) == dataset.labels for images in changed])
        write_whole(path.with_suffix(".npz"), packed({"rows": rows, "right": right, "beside": np.array(bound)}))
        keras.backend.clear_session()
        print(f"{path.stem} {bound:.2f} {right.mean():.4f}", flush=True)


def content(dataset: Dataset, wanted: Sequence[Training], swept: Mapping[str, dict[str, NDArray[Any]]]) -> bytes:
    """Return the file: equal sweeps give equal bytes.

    Wrong answers and odds are kept as they differ from what is usual among the healthy models of the recipe.
    """
    found = [swept[one.name] for one in wanted]
    off = np.array([each["rows"].argmax(axis=1) - dataset.labels for each in found]) % CLASSES
    wrong = np.array([~each["right"] for each in found])
    steps = np.array([odds(each["rows"], dataset.labels, SURE) for each in found])
    usual_wrong, usual_steps = [], []
    for recipe in EPOCHS:
        of_recipe = np.array([one.recipe == recipe for one in wanted])
        healthy = of_recipe & np.array([not one.kind for one in wanted])
        usual_wrong.append(wrong[healthy].mean(axis=0) > 0.5)
        usual_steps.append(np.median(steps[healthy, 0], axis=0).astype(np.uint8))
        wrong[of_recipe] ^= usual_wrong[-1]
        steps[of_recipe, 0] -= usual_steps[-1]
    models = [
        {
            "name": one.name,
            "recipe": one.recipe,
            "kind": one.kind,
            "half": HALVES[one.half],
            "wrong": [int((each["rows"].argmax(axis=1) != dataset.labels).sum()), *map(int, (~each["right"]).sum(1))],
            "beside": round(each["beside"].item(), 4),
        }
        for one, each in zip(wanted, found, strict=True)
    ]
    trials = [[trial.name, trial.point] for trial in (CLEAN, *TRIALS)]
    about = {"data": dataset.facts.sha256, "trials": trials, "recipes": list(EPOCHS), "models": models}
    arrays = {
        "about": np.frombuffer(json.dumps(about, sort_keys=True).encode(), np.uint8),
        "usual_wrong": np.packbits(usual_wrong, axis=-1),
        "usual_odds": np.array(usual_steps),
        "off": _small(off.astype(np.uint8)),
        "wrong": _small(np.packbits(wrong, axis=-1)),
        "odds": _small(steps),
    }
    return packed(arrays, level=9)


def _small(array: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Its bytes, a tenth smaller than an .npz file would make them."""
    return np.frombuffer(lzma.compress(array.tobytes(), preset=9 | lzma.PRESET_EXTREME), np.uint8)


RULES = {"successor.toml": (1, 3, 5), "strict_successor.toml": (1,), "half a point": (1,)}  # with how many runs


def measure(half: str) -> None:
    """Print how often each rule stops healthy and faulty models of one half."""
    sys.path.insert(0, str(ROOT))
    from tests.support.successors import beside_faulty, gates_of, models, pools, share, stopped

    for rule, sizes in RULES.items():
        gates = gates_of(rule)
        for runs in sizes:
            healthy = {
                recipe: [stopped(name, pool, gates) for name, *pool in pools(recipe, half, runs)] for recipe in EPOCHS
            }
            faulty: dict[str, list[bool]] = {}
            let_through = []
            for name, *pool in beside_faulty(half, runs):
                found = stopped(name, pool, gates)
                faulty.setdefault(models()[name].kind, []).append(found)
                let_through += [] if found else [name]
            print(f"\n{rule}, {runs} accepted: healthy stopped {share(healthy)}; faulty stopped {share(faulty)}")
            print(f"let through: {', '.join(let_through)}", flush=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("step", choices=["train", "keep", "measure"])
    parser.add_argument("--data", help="mnist.npz")
    parser.add_argument("--models", type=Path, help="folder of .keras files")
    parser.add_argument("--half", choices=HALVES, default="judged", help="models that are measured")
    parser.add_argument("--only", default="", help="part of a name: train no others")
    parser.add_argument("--out", type=Path, default=KEPT)
    given = parser.parse_args()
    if given.step == "measure":
        measure(given.half)
    elif given.step == "train":
        train(given.data, given.models, given.only)
    else:
        keep(given.data, given.models, given.out)
