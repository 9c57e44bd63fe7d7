"""Every public data set, tiny, in its published layout: lists, archives and what they hold."""

from __future__ import annotations

import hashlib
import io
import pickle
import tarfile
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import numpy as np
from PIL import Image
from scipy.io import savemat

from training.data.public.description import Checksum, PublicSet
from training.data.public.registry import SETS


@dataclass(frozen=True)
class TinySet:
    """files: what a mirror holds, by `RemoteFile.name`.  images: how many the lists name."""

    public: PublicSet
    files: Mapping[str, bytes]
    images: int


def photograph(number: int) -> bytes:
    content = io.BytesIO()
    Image.new("RGB", (8, 6), (number * 7 % 256, number * 31 % 256, 90)).save(content, "JPEG")
    return content.getvalue()


def photographs(names: list[str]) -> dict[str, bytes]:
    return {name: photograph(number) for number, name in enumerate(names)}


def tar(members: Mapping[str, bytes], mode: str = "w:gz") -> bytes:
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode=mode) as file:  # type: ignore[call-overload]
        for name, member in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(member)
            file.addfile(info, io.BytesIO(member))
    return content.getvalue()


def zipped(members: Mapping[str, bytes]) -> bytes:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED) as file:
        for name, member in members.items():
            file.writestr(name, member)
    return content.getvalue()


def revisited_truth(count: int = 6) -> dict[str, object]:
    gnd = [
        {"bbx": [0.5, 1, 7, 5.5], "easy": [0], "hard": [1, 2], "junk": [3]},
        {"bbx": [0, 0, 8, 6], "easy": [], "hard": [4], "junk": [5]},
    ]
    return {
        "imlist": [f"town_{number:06d}" for number in range(count)],
        "qimlist": ["town_100000", "town_100001"],
        "gnd": gnd,
    }


def old_truth() -> dict[str, object]:
    gnd = [{"bbx": [1, 1, 7, 5], "ok": np.array([0, 1]), "junk": np.array([2], dtype=np.int32)}]
    return {"imlist": [f"town_{n:06d}" for n in range(4)], "qimlist": ["town_000000"], "gnd": gnd}


REVISITED_COUNTS = {
    "gallery images": 6,
    "queries": 2,
    "easy positives": 1,
    "hard positives": 3,
    "junk": 2,
}
OLD_COUNTS = {"gallery images": 4, "queries": 1}


def _town(count: int, *, queries: int) -> list[str]:
    found = [f"town_{number:06d}.jpg" for number in range(count)]
    return found + [f"town_{100000 + number}.jpg" for number in range(queries)]


def _oxford(name: str) -> dict[str, bytes]:
    is_revisited = name.startswith("r")
    truth = revisited_truth() if is_revisited else old_truth()
    images = photographs(_town(6, queries=2) if is_revisited else _town(4, queries=0))
    return {f"gnd_{name}.pkl": pickle.dumps(truth, 2), "oxbuild_images-v1.tgz": tar(images)}


def _paris(name: str) -> dict[str, bytes]:
    images = _oxford_images(name)
    first = {f"paris/defense/{key}": images[key] for key in sorted(images)[::2]}
    second = {f"paris/moulin/{key}": images[key] for key in sorted(images)[1::2]}
    return {
        f"gnd_{name}.pkl": _oxford(name)[f"gnd_{name}.pkl"],
        "paris_1-v1.tgz": tar(first),
        "paris_2-v1.tgz": tar(second),
    }


def _oxford_images(name: str) -> dict[str, bytes]:
    is_revisited = name.startswith("r")
    return photographs(_town(6, queries=2) if is_revisited else _town(4, queries=0))


def _r1m() -> dict[str, bytes]:
    names = [f"{number:02x}/{number:04x}.jpg" for number in range(5)]
    images = photographs(names)
    return {
        "revisitop1m.txt": "".join(f"{name}\n" for name in names).encode(),
        "revisitop1m.1.tar.gz": tar({name: images[name] for name in names[:3]}),
        "revisitop1m.2.tar.gz": tar({name: images[name] for name in names[3:]}),
    }


CIDS = [f"{number:08x}" for number in range(1, 9)]


def _sfm() -> dict[str, bytes]:
    def part(cids: list[str], models: list[int]) -> dict[str, object]:
        return {"cids": cids, "cluster": models, "qidxs": [0, 2], "pidxs": [1, 3], "bbxs": None}

    lists = {"train": part(CIDS[:4], [7, 7, 3, 3]), "val": part(CIDS[4:], [9, 9, 9, 9])}
    whitening = {"cids": CIDS[:4], "qidxs": [0], "pidxs": [1]}
    places = [f"./{cid[-2:]}/{cid[-4:-2]}/{cid[-6:-4]}/{cid}" for cid in CIDS]
    return {
        "retrieval-SfM-120k.pkl": pickle.dumps(lists),
        "retrieval-SfM-120k-whiten.pkl": pickle.dumps(whitening),
        "retrieval-SfM-30k-whiten.pkl": pickle.dumps(whitening),
        "ims.tar.gz": tar(photographs(places)),
    }


def gldv2_id(number: int) -> str:
    return f"{number:03x}{number:013x}"


def _scattered(numbers: range) -> dict[str, bytes]:
    ids = [gldv2_id(number) for number in numbers]
    return photographs([f"{name[0]}/{name[1]}/{name[2]}/{name}.jpg" for name in ids])


def _gldv2_clean() -> dict[str, bytes]:
    lists = f"landmark_id,images\n17,{gldv2_id(0)} {gldv2_id(1)}\n4,{gldv2_id(3)}\n"
    return {
        "metadata/train_clean.csv": lists.encode(),
        "train/images_000.tar": tar(_scattered(range(3)), "w"),
        "train/images_001.tar": tar(_scattered(range(3, 6)), "w"),
    }


def _gldv2() -> dict[str, bytes]:
    index = "id\n" + "".join(f"{gldv2_id(number)}\n" for number in range(4))
    solution = (
        "id,images,Usage\n"
        f"{gldv2_id(10)},{gldv2_id(2)} {gldv2_id(0)},Public\n"
        f"{gldv2_id(11)},None,Ignored\n"
        f"{gldv2_id(12)},{gldv2_id(3)},Private\n"
    )
    return {
        "metadata/index.csv": index.encode(),
        "ground_truth/retrieval_solution_v2.1.csv": solution.encode(),
        "index/images_000.tar": tar(_scattered(range(4)), "w"),
        "test/images_000.tar": tar(_scattered(range(10, 13)), "w"),
    }


def _cub() -> dict[str, bytes]:
    classes = {1: "001.Albatross", 100: "100.Pelican", 101: "101.Egret"}
    images = [f"{name}/bird_{number}.jpg" for name in classes.values() for number in (1, 2)]
    numbers = [number for number in classes for _ in (1, 2)]
    lists = {
        "images.txt": [f"{i} {name}" for i, name in enumerate(images, 1)],
        "classes.txt": [f"{number} {name}" for number, name in classes.items()],
        "image_class_labels.txt": [f"{i} {number}" for i, number in enumerate(numbers, 1)],
    }
    members = {
        "attributes.txt": b"1 has_bill\n",
        **{
            f"CUB_200_2011/{name}": "".join(f"{line}\n" for line in lines).encode()
            for name, lines in lists.items()
        },
        **photographs([f"CUB_200_2011/images/{name}" for name in images]),
        "CUB_200_2011/images/001.Albatross/._bird_1.jpg": b"litter",
    }
    return {"CUB_200_2011.tgz": tar(members)}


def _cars() -> dict[str, bytes]:
    kind = [("relative_im_path", "O"), ("bbox_x1", "O"), ("class", "O"), ("test", "O")]
    rows = [(f"car_ims/{n:06d}.jpg", 5, label, n % 2) for n, label in enumerate((1, 1, 98, 99), 1)]
    content = io.BytesIO()
    savemat(
        content,
        {
            "annotations": np.array([rows], dtype=kind),
            "class_names": np.array([[f"Car {n}" for n in range(1, 197)]], dtype=object),
        },
    )
    return {
        "cars_annos.mat": content.getvalue(),
        "car_ims.tgz": tar(photographs([row[0] for row in rows])),
    }


def _sop() -> dict[str, bytes]:
    train = ["bicycle_final/1_0.JPG", "bicycle_final/1_1.JPG", "chair_final/2_0.JPG"]
    test = ["chair_final/3_0.JPG", "chair_final/3_1.JPG"]
    header = "image_id class_id super_class_id path"

    def listing(names: list[str]) -> bytes:
        rows = [f"{n} {name.split('/')[1][0]} 1 {name}" for n, name in enumerate(names, 1)]
        return "\n".join([header, *rows, ""]).encode()

    top = "Stanford_Online_Products"
    members = {
        f"{top}/Ebay_train.txt": listing(train),
        f"{top}/Ebay_test.txt": listing(test),
        f"{top}/._Ebay_test.txt": b"litter",
        **photographs([f"{top}/{name}" for name in train + test]),
    }
    return {"Stanford_Online_Products.zip": zipped(members)}


def _inshop() -> dict[str, bytes]:
    rows = [
        ("img/WOMEN/Dresses/id_00000001/01_1_front.jpg", "id_00000001", "train"),
        ("img/WOMEN/Dresses/id_00000001/01_2_side.jpg", "id_00000001", "train"),
        ("img/MEN/Denim/id_00000002/01_1_front.jpg", "id_00000002", "query"),
        ("img/MEN/Denim/id_00000003/01_1_front.jpg", "id_00000003", "query"),
        ("img/MEN/Denim/id_00000003/02_1_front.jpg", "id_00000003", "gallery"),
        ("img/MEN/Denim/id_00000002/02_1_front.jpg", "id_00000002", "gallery"),
        ("img/MEN/Denim/id_00000002/02_2_side.jpg", "id_00000002", "gallery"),
    ]
    header = ["7", "image_name item_id evaluation_status"]
    lines = header + ["  ".join(row) for row in rows]
    return {
        "list_eval_partition.txt": "\n".join(lines).encode(),
        "img.zip": zipped(photographs([row[0] for row in rows])),
    }


_TINY: Mapping[str, tuple[Callable[[], dict[str, bytes]], dict[str, int], int]] = {
    "roxford5k": (lambda: _oxford("roxford5k"), REVISITED_COUNTS, 8),
    "rparis6k": (lambda: _paris("rparis6k"), REVISITED_COUNTS, 8),
    "oxford5k": (lambda: _oxford("oxford5k"), OLD_COUNTS, 5),
    "paris6k": (lambda: _paris("paris6k"), OLD_COUNTS, 5),
    "revisitop1m": (_r1m, {"images": 5}, 5),
    "sfm120k": (_sfm, {"training images": 4, "validation images": 4}, 8),
    "gldv2-clean": (_gldv2_clean, {"images": 3, "landmarks": 2}, 3),
    "gldv2": (_gldv2, {"gallery images": 4}, 6),
    "cub": (_cub, {"classes": 3, "training images": 4, "test images": 2}, 6),
    "cars": (_cars, {"classes": 3, "training images": 3, "test images": 1}, 4),
    "sop": (
        _sop,
        {"training images": 3, "training classes": 2, "test images": 2, "test classes": 1},
        5,
    ),
    "inshop": (
        _inshop,
        {"train images": 2, "query images": 2, "gallery images": 3, "training classes": 1},
        7,
    ),
}
NAMES = tuple(_TINY)


def tiny_set(name: str) -> TinySet:
    make, counts, images = _TINY[name]
    files = make()
    public = SETS[name]
    known = [
        replace(
            file,
            size_bytes=file.size_bytes and len(files[file.name]),
            checksum=file.checksum and Checksum("sha256", _sha256(files[file.name])),
        )
        for file in public.files
        if file.name in files
    ]
    assert {file.name for file in known} == set(files), "the names are those of the description"
    return TinySet(replace(public, files=tuple(known), counts=counts, disk_bytes=1), files, images)


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
