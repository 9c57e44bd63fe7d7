"""Ground truth: the real files of the revisited benchmarks, and every way a file can be wrong."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.io import savemat

from lorgnette.errors import InvalidDataset, UnsafeFile
from tests.training.public.tiny_sets import CIDS, gldv2_id, old_truth, revisited_truth
from training.data.public import cars, cub, gldv2, inshop, sfm120k, sop
from training.data.public.check import check
from training.data.public.landmarks import read_old, read_revisited
from training.data.public.registry import SETS


@pytest.mark.parametrize(
    ("name", "counts", "without_easy"),
    [("roxford5k", (4993, 3029, 2497, 1356), 2), ("rparis6k", (6322, 6874, 10350, 7153), 0)],
)
def test_the_real_ground_truth_has_its_published_counts(
    photographs: Path, name: str, counts: tuple[int, ...], without_easy: int
) -> None:
    lists = read_revisited(photographs / "revisited" / f"gnd_{name}.pkl", Path("jpg"))
    easy, hard, junk = (
        sum(len(getattr(truth, kind)) for truth in lists.truths)
        for kind in ("easy", "hard", "junk")
    )
    assert (len(lists.gallery), easy, hard, junk) == counts
    assert len(lists.queries) == len(lists.boxes) == 70
    assert sum(not len(truth.easy) for truth in lists.truths) == without_easy
    assert all(box.left < box.right and box.top < box.bottom for box in lists.boxes)


@pytest.mark.parametrize("name", ["roxford5k", "rparis6k"])
def test_the_real_ground_truth_is_what_pythons_own_unpickler_reads(
    photographs: Path, name: str
) -> None:
    path = photographs / "revisited" / f"gnd_{name}.pkl"
    expected = pickle.loads(path.read_bytes())
    lists = read_revisited(path, Path("jpg"))
    assert [image.stem for image in lists.gallery] == expected["imlist"]
    assert [image.stem for image in lists.queries] == expected["qimlist"]
    for truth, box, record in zip(lists.truths, lists.boxes, expected["gnd"], strict=True):
        assert [box.left, box.top, box.right, box.bottom] == record["bbx"]
        assert [truth.easy.tolist(), truth.hard.tolist(), truth.junk.tolist()] == [
            record["easy"],
            record["hard"],
            record["junk"],
        ]


def test_the_real_ground_truth_without_its_photographs_is_not_whole(
    photographs: Path, tmp_path: Path
) -> None:
    (tmp_path / "roxford5k").mkdir()
    real = photographs / "revisited" / "gnd_roxford5k.pkl"
    (tmp_path / "roxford5k" / real.name).write_bytes(real.read_bytes())
    findings = check(SETS["roxford5k"], tmp_path)
    assert findings.counts == SETS["roxford5k"].counts
    (problem,) = findings.problems
    assert problem.startswith("5,063 of 5,063 images are missing: jpg/ashmolean_000283.jpg, ")


Change = Callable[[Any], object]


def _set(path: str, value: object) -> Change:
    def change(truth: Any) -> object:
        *above, last = path.split(".")
        inside = truth
        for key in above:
            inside = inside[int(key) if key.isdigit() else key]
        inside[int(last) if last.isdigit() else last] = value
        return truth

    return change


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda truth: [truth], "expected a dict, found a list"),
        (lambda truth: {"imlist": truth["imlist"]}, "expected the key 'qimlist', found imlist"),
        (_set("imlist", "town"), "imlist: expected a list, found a str"),
        (_set("imlist.0", 7), "imlist: expected the name of an image, found 7"),
        (_set("imlist.0", "../../etc/passwd"), "expected the name of an image"),
        (_set("imlist.0", "/etc/passwd"), "expected the name of an image"),
        (_set("imlist.0", ""), "expected the name of an image"),
        (_set("imlist.0", "."), "expected the name of an image"),
        (_set("imlist.0", "a\\b"), "expected the name of an image"),
        (_set("imlist.0", "a\x1b[2J"), "expected the name of an image"),
        (_set("imlist.1", "town_000000"), "imlist lists 1 names twice"),
        (lambda truth: {"imlist": truth["imlist"], "qimlist": [], "gnd": []}, "qimlist is empty"),
        (_set("qimlist", ["town_100000"]), "record in gnd for each of 1 queries, found 2"),
        (_set("gnd", None), "gnd: expected a list, found a NoneType"),
        (_set("gnd.1", 5), r"gnd\[1\]: expected a dict, found a int"),
        (_set("gnd.1", {"bbx": [0, 0, 1, 1], "ok": [1]}), "expected the key 'easy', found bbx, ok"),
        (_set("gnd.0.easy", 3), r"gnd\[0\]: easy: expected a list"),
        (_set("gnd.0.easy", [6]), r"gnd\[0\]: easy: expected places in 0..5, found 6"),
        (_set("gnd.0.junk", [-1]), "expected places in 0..5, found -1"),
        (_set("gnd.0.easy", [0.0]), "expected whole numbers, found 0.0"),
        (_set("gnd.0.easy", [True]), "expected whole numbers, found True"),
        (_set("gnd.0.easy", [10**30]), "expected whole numbers"),
        (_set("gnd.0.easy", np.array([[0]])), r"expected whole numbers, found int64 of shape"),
        (_set("gnd.0.easy", np.array([0.5])), "expected whole numbers, found float64"),
        (_set("gnd.0.easy", [1]), "listed twice among easy, hard and junk"),
        (_set("gnd.0.bbx", [1, 2, 3]), r"gnd\[0\]: bbx: expected 4 pixel positions"),
        (_set("gnd.0.bbx", [1, 2, "3", 4]), "expected 4 pixel positions"),
        (_set("gnd.0.bbx", [1, 2, float("nan"), 4]), "expected 4 pixel positions"),
        (_set("gnd.0.bbx", [5, 2, 5, 4]), "expected x1 < x2 and y1 < y2"),
        (_set("gnd.0.bbx", None), "bbx: expected a list, found a NoneType"),
    ],
)
def test_a_malformed_ground_truth_says_where_and_what(
    change: Change, said: str, tmp_path: Path
) -> None:
    path = tmp_path / "gnd.pkl"
    path.write_bytes(pickle.dumps(change(revisited_truth())))
    with pytest.raises(InvalidDataset, match=said):
        read_revisited(path, tmp_path)


def test_each_protocol_refuses_the_others_file(tmp_path: Path) -> None:
    path = tmp_path / "gnd.pkl"
    path.write_bytes(pickle.dumps(old_truth()))
    with pytest.raises(InvalidDataset, match="expected the key 'easy', found bbx, junk, ok"):
        read_revisited(path, tmp_path)
    path.write_bytes(pickle.dumps(revisited_truth()))
    with pytest.raises(InvalidDataset, match="expected the key 'ok'"):
        read_old(path, tmp_path)


def test_a_malicious_ground_truth_is_found_by_the_check(tmp_path: Path) -> None:
    (tmp_path / "gnd_roxford5k.pkl").write_bytes(b"cos\nsystem\nU\x04truetR.")
    (problem,) = check(SETS["roxford5k"], tmp_path).problems
    assert "it names os.system" in problem
    with pytest.raises(UnsafeFile):
        read_revisited(tmp_path / "gnd_roxford5k.pkl", tmp_path)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (_set("train.cids.0", "ab"), "expected the name of an image"),
        (_set("train.cids.0", "ab/cdefgh"), "expected the name of an image"),
        (_set("train.cluster", [1]), "a cluster for each of 4 images, found 1"),
        (_set("train.qidxs", [0, 4]), "qidxs: expected places in 0..3, found 4"),
        (_set("train.pidxs", [1]), "a positive for each of 2 queries, found 1"),
        (lambda lists: lists["train"], "expected the key 'train'"),
    ],
)
def test_a_malformed_sfm_list_says_where_and_what(
    change: Change, said: str, tmp_path: Path
) -> None:
    part = {"cids": CIDS[:4], "cluster": [7, 7, 3, 3], "qidxs": [0, 2], "pidxs": [1, 3]}
    path = tmp_path / "retrieval-SfM-120k.pkl"
    path.write_bytes(pickle.dumps(change({"train": part})))
    with pytest.raises(InvalidDataset, match=said):
        sfm120k.load(tmp_path, "train")


def test_a_list_without_images_says_how_to_get_them(tmp_path: Path) -> None:
    part = {"cids": CIDS[:4], "cluster": [7, 7, 3, 3], "qidxs": [0], "pidxs": [1]}
    (tmp_path / "retrieval-SfM-120k.pkl").write_bytes(pickle.dumps({"train": part}))
    with pytest.raises(InvalidDataset, match=r"lacks 4 images.*lorgnette data get sfm120k --root"):
        sfm120k.load(tmp_path, "train")


def _write(root: Path, files: dict[str, str | bytes]) -> None:
    for name, content in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(content if isinstance(content, bytes) else content.encode())


CUB = {
    "images.txt": "1 001.A/1.jpg\n",
    "classes.txt": "1 001.A\n",
    "image_class_labels.txt": "1 1\n",
}
SOP_HEADER = "image_id class_id super_class_id path\n"
INSHOP = "Eval/list_eval_partition.txt"
INSHOP_HEADER = "2\nimage_name item_id evaluation_status\n"


@pytest.mark.parametrize(
    ("load", "files", "said"),
    [
        (cub.load_train, {**CUB, "images.txt": "001.A/1.jpg"}, "a number and a name"),
        (cub.load_train, {**CUB, "image_class_labels.txt": ""}, "image 1 has no class"),
        (cub.load_train, {**CUB, "images.txt": "1 ../x.jpg"}, "name of an image"),
        (cub.load_train, {"images.txt": "1 a.jpg"}, "cannot read .*classes.txt"),
        (cub.load_train, {**CUB, "images.txt": b"\xff\xfe"}, "cannot read .*images.txt"),
        (sop.load_train, {"Ebay_train.txt": ""}, "expected the header"),
        (sop.load_train, {"Ebay_train.txt": "1 1 1 a.jpg\n"}, "expected the header"),
        (sop.load_train, {"Ebay_train.txt": SOP_HEADER + "1 1 1\n"}, "in each line"),
        (sop.load_train, {"Ebay_train.txt": SOP_HEADER + "1 1 1 /a.jpg\n"}, "name of an image"),
        (inshop.load_test, {INSHOP: "2\n"}, "count and the header"),
        (inshop.load_test, {INSHOP: INSHOP_HEADER + "img/a.jpg id_1 val\n"}, "train, query"),
        (inshop.load_test, {INSHOP: INSHOP_HEADER + "../a.jpg id_1 query\n"}, "name of an image"),
        (gldv2.load_clean, {"metadata/train_clean.csv": "id,url\n"}, "header landmark_id,images"),
        (gldv2.load_clean, {"metadata/train_clean.csv": "landmark_id,images\n1,../x\n"}, "16 hex"),
        (
            gldv2.load,
            {
                "metadata/index.csv": f"id\n{gldv2_id(1)}\n",
                "ground_truth/retrieval_solution_v2.1.csv": (
                    f"id,images,Usage\n{gldv2_id(7)},{gldv2_id(2)},Public\n"
                ),
            },
            "an answer that is not in",
        ),
        (cars.load_train, {"cars_annos.mat": b"MATLAB 5.0" + bytes(500)}, "annotation file"),
        (cars.load_train, {"cars_annos.mat": b""}, "annotation file|cannot read"),
        (cars.load_train, {}, "cannot read"),
    ],
)
def test_a_malformed_list_says_where_and_what(
    load: Callable[[Path], object], files: dict[str, str | bytes], said: str, tmp_path: Path
) -> None:
    _write(tmp_path, files)
    with pytest.raises(InvalidDataset, match=said):
        load(tmp_path)


@pytest.mark.parametrize(
    ("kind", "row", "said"),
    [
        ([("relative_im_path", "O"), ("class", "O")], ("../../x.jpg", 1), "name of an image"),
        ([("relative_im_path", "O"), ("class", "O")], ("a.jpg", 3), r"a class in 1\.\.2, found 3"),
        ([("relative_im_path", "O"), ("class", "O")], ("a.jpg", 0), r"a class in 1\.\.2, found 0"),
        ([("path", "O"), ("class", "O")], ("a.jpg", 1), "not the annotation file"),
    ],
)
def test_malformed_car_annotations_say_what(
    kind: list[tuple[str, str]], row: tuple[str, int], said: str, tmp_path: Path
) -> None:
    names = np.array([["A", "B"]], dtype=object)
    annotations = np.array([[row, row]], dtype=kind)
    savemat(tmp_path / "cars_annos.mat", {"annotations": annotations, "class_names": names})
    with pytest.raises(InvalidDataset, match=said):
        cars.load_train(tmp_path)


def test_an_empty_image_is_named(tmp_path: Path) -> None:
    for name in ("mugs/1.jpg", "mugs/2.jpg"):
        _write(tmp_path, {name: b"x" if "1" in name else b""})
    (problem,) = check(SETS["folder"], tmp_path).problems
    assert problem == "1 of 2 images are empty files: mugs/2.jpg"
