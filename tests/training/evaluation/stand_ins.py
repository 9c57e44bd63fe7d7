"""Every public benchmark in its published layout, with three things and five photographs of each.

Photographs of one thing are noisy copies of each other, so even a random projection finds them.
"""

from __future__ import annotations

import pickle
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image
from scipy.io import savemat

THINGS, EACH = 3, 5


def write_stand_in(name: str, root: Path) -> None:
    """Write the benchmark of that name below the root."""
    _WRITERS[name](root)


def write_noise(folder: Path, count: int) -> None:
    """Photographs that answer nothing."""
    random = np.random.default_rng(99)
    for number in range(count):
        _save(folder / f"{number}.jpg", random.integers(0, 256, (5, 5, 3)), random)


def _save(path: Path, base: np.ndarray, random: np.random.Generator) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    noisy = np.clip(base + random.integers(-20, 20, base.shape), 0, 255).astype(np.uint8)
    Image.fromarray(noisy).resize((64, 48)).save(path, quality=95)


def _write(paths: Callable[[int, int], Path]) -> None:
    """One photograph for each thing and number."""
    random = np.random.default_rng(1)
    for thing in range(THINGS):
        base = random.integers(0, 256, (5, 5, 3))
        for number in range(EACH):
            _save(paths(thing, number), base, random)


def _landmarks(name: str, *, is_revisited: bool) -> Callable[[Path], None]:
    def write(root: Path) -> None:
        home = root / "test" / name
        _write(lambda thing, number: home / "jpg" / f"thing{thing}_{number}.jpg")
        gallery = [f"thing{t}_{n}" for t in range(THINGS) for n in range(1, EACH)]
        records = []
        for thing in range(THINGS):
            first = thing * (EACH - 1)
            rows = np.arange(first, first + EACH - 1)
            record = {"bbx": [2.0, 1.0, 60.0, 45.0]}
            if is_revisited:
                # The last thing has no easy positive, as two queries of ROxford.
                easy = rows[:0] if thing == THINGS - 1 else rows[:2]
                hard = rows[:3] if thing == THINGS - 1 else rows[2:3]
                record |= {"easy": easy.tolist(), "hard": hard.tolist(), "junk": rows[3:].tolist()}
            else:
                record |= {"ok": rows[:3].tolist(), "junk": rows[3:].tolist()}
            records.append(record)
        truth = {
            "imlist": gallery,
            "qimlist": [f"thing{t}_0" for t in range(THINGS)],
            "gnd": records,
        }
        (home / f"gnd_{name}.pkl").write_bytes(pickle.dumps(truth, protocol=2))

    return write


def _cub(root: Path) -> None:
    home = root / "CUB_200_2011"
    classes = [1, 101, 102]
    names = [f"{number:03d}.Bird" for number in classes]
    _write(lambda thing, number: home / "images" / names[thing] / f"{number}.jpg")
    images = [(t, f"{names[t]}/{n}.jpg") for t in range(THINGS) for n in range(EACH)]
    _lines(home / "classes.txt", [f"{c} {name}" for c, name in zip(classes, names, strict=True)])
    _lines(home / "images.txt", [f"{i} {path}" for i, (_, path) in enumerate(images, 1)])
    labels = [f"{i} {classes[t]}" for i, (t, _) in enumerate(images, 1)]
    _lines(home / "image_class_labels.txt", labels)


def _cars(root: Path) -> None:
    home = root / "cars196"
    _write(lambda thing, number: home / "car_ims" / f"{thing}{number}.jpg")
    kind = [("relative_im_path", object), ("class", object)]
    rows = [
        (f"car_ims/{thing}{number}.jpg", [1, 99, 100][thing])
        for thing in range(THINGS)
        for number in range(EACH)
    ]
    names = np.array([f"Car {number}" for number in range(1, 197)], dtype=object)
    content = {"annotations": np.array(rows, dtype=kind)[None], "class_names": names[None]}
    savemat(home / "cars_annos.mat", content)


def _sop(root: Path) -> None:
    home = root / "Stanford_Online_Products"
    _write(lambda thing, number: home / "chair_final" / f"{thing}_{number}.JPG")
    header = "image_id class_id super_class_id path"
    rows = [
        [f"{i} {t + 1} 1 chair_final/{t}_{n}.JPG" for i, n in enumerate(range(EACH), 1)]
        for t in range(THINGS)
    ]
    _lines(home / "Ebay_train.txt", [header, *rows[0]])
    _lines(home / "Ebay_test.txt", [header, *rows[1], *rows[2]])


def _inshop(root: Path) -> None:
    home = root / "inshop"
    _write(lambda thing, number: home / "Img" / "img" / f"id_{thing}" / f"{number}.jpg")
    rows = []
    for thing in range(THINGS):
        for number in range(EACH):
            part = "train" if thing == 0 else "query" if number < 2 else "gallery"
            rows.append(f"img/id_{thing}/{number}.jpg id_{thing} {part}")
    _lines(
        home / "Eval" / "list_eval_partition.txt",
        [str(len(rows)), "image_name item_id evaluation_status", *rows],
    )


def _gldv2(root: Path) -> None:
    home = root / "gldv2"

    def name(thing: int, number: int) -> str:
        return f"{thing:x}{number:x}" + "0" * 14

    def path(thing: int, number: int) -> Path:
        split, i = "test" if number == 0 else "index", name(thing, number)
        return home / split / i[0] / i[1] / i[2] / f"{i}.jpg"

    _write(path)
    gallery = [name(t, n) for t in range(THINGS) for n in range(1, EACH)]
    _lines(home / "metadata" / "index.csv", ["id", *gallery])
    usage = ["Public", "Private", "Private"]
    rows = [
        f"{name(t, 0)},{' '.join(name(t, n) for n in range(1, EACH))},{usage[t]}"
        for t in range(THINGS)
    ]
    ignored = "f" * 16 + ",None,Ignored"
    _lines(
        home / "ground_truth" / "retrieval_solution_v2.1.csv",
        ["id,images,Usage", *rows, ignored],
    )


def _lines(path: Path, lines: list[str]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join([*lines, ""]))


_WRITERS: dict[str, Callable[[Path], None]] = {
    "roxford5k": _landmarks("roxford5k", is_revisited=True),
    "rparis6k": _landmarks("rparis6k", is_revisited=True),
    "oxford5k": _landmarks("oxford5k", is_revisited=False),
    "paris6k": _landmarks("paris6k", is_revisited=False),
    "cub": _cub,
    "cars": _cars,
    "sop": _sop,
    "inshop": _inshop,
    "gldv2": _gldv2,
}
