"""Every public data set, tiny and in its published layout: got over HTTP, checked, read, mended."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from lorgnette.errors import InvalidDataset, NotFound
from tests.training.public.shelf import Shelf, on_a_server
from tests.training.public.tiny_sets import NAMES, TinySet, gldv2_id, old_truth, tiny_set
from tests.training.public.ways import impatient
from training.data.public import (
    cars,
    cub,
    folder,
    gldv2,
    inshop,
    oxford5k,
    revisitop1m,
    roxford5k,
    rparis6k,
    sfm120k,
    sop,
)
from training.data.public.check import Findings, check
from training.data.public.get import Order, get
from training.data.public.registry import SETS, TRAINING, find


def got(tiny: TinySet, root: Path, shelf: Shelf | None = None) -> Findings:
    with on_a_server(shelf or Shelf(dict(tiny.files))) as server, impatient() as ways:
        return get(Order(tiny.public, root, server.url), ways)


@pytest.fixture
def root_with(tmp_path: Path, request: pytest.FixtureRequest) -> Path:
    findings = got(tiny_set(request.param), tmp_path)
    assert not findings.problems
    return tmp_path


@pytest.mark.parametrize("name", NAMES)
def test_a_set_is_got_whole_and_a_second_time_nothing_is_fetched(name: str, tmp_path: Path) -> None:
    tiny = tiny_set(name)
    shelf = Shelf(dict(tiny.files))
    findings = got(tiny, tmp_path, shelf)
    assert findings.problems == ()
    assert findings.counts == tiny.public.counts
    assert shelf.sent == {path: len(content) for path, content in tiny.files.items()}
    again = got(tiny, tmp_path, shelf)
    assert again == findings
    assert shelf.sent == {path: len(content) for path, content in tiny.files.items()}
    left = [path for path in tmp_path.rglob("*") if path.name.endswith((".part", ".tgz", ".zip"))]
    assert left == []


@pytest.mark.parametrize("name", NAMES)
def test_a_lost_image_is_named_and_only_its_archive_is_fetched_again(
    name: str, tmp_path: Path
) -> None:
    tiny = tiny_set(name)
    home = got(tiny, tmp_path).home
    images = list(tiny.public.inventory(home).images)
    assert len(images) >= tiny.images
    before = images[-1].read_bytes()
    images[-1].unlink()
    (problem,) = check(tiny.public, tmp_path).problems
    assert "missing" in problem
    assert images[-1].name in problem
    shelf = Shelf(dict(tiny.files))
    assert got(tiny, tmp_path, shelf).problems == ()
    assert images[-1].read_bytes() == before
    assert len(shelf.sent) == 1


@pytest.mark.parametrize("name", NAMES)
def test_a_set_that_is_not_there_says_where_it_was_looked_for(name: str, tmp_path: Path) -> None:
    (problem,) = check(SETS[name], tmp_path).problems
    assert str(tmp_path / SETS[name].homes[0]) in problem


@pytest.mark.parametrize("name", NAMES)
def test_the_tiny_set_is_not_mistaken_for_the_published_one(name: str, tmp_path: Path) -> None:
    got(tiny_set(name), tmp_path)
    problems = check(SETS[name], tmp_path).problems
    assert len(problems) >= 1
    assert all("as published" in problem for problem in problems)


@pytest.mark.parametrize("name", NAMES)
def test_the_folder_of_the_set_itself_may_be_named(name: str, tmp_path: Path) -> None:
    tiny = tiny_set(name)
    home = got(tiny, tmp_path).home
    assert check(tiny.public, home).problems == ()


@pytest.mark.parametrize("name", NAMES)
def test_every_description_is_whole_in_itself(name: str) -> None:
    public = SETS[name]
    assert len({file.name for file in public.files}) == len(public.files)
    assert public.terms
    assert public.disk_bytes > 0
    assert all(file.url for file in public.files) or public.by_hand
    assert find(name) is public


def test_an_unknown_set_names_those_there_are() -> None:
    with pytest.raises(InvalidDataset, match=r"'roxford'.*roxford5k"):
        find("roxford")


@pytest.mark.parametrize("root_with", ["roxford5k"], indirect=True)
def test_roxford_has_boxes_and_three_kinds_of_images(root_with: Path) -> None:
    lists = roxford5k.load(root_with)
    home = root_with / "test" / "roxford5k"
    assert lists.gallery[0] == home / "jpg" / "town_000000.jpg"
    assert [path.name for path in lists.queries] == ["town_100000.jpg", "town_100001.jpg"]
    assert (lists.boxes[0].left, lists.boxes[0].bottom) == (0.5, 5.5)
    assert lists.truths[0].hard.tolist() == [1, 2]
    assert lists.truths[1].easy.tolist() == []


def test_roxford_and_oxford_share_their_photographs(tmp_path: Path) -> None:
    """The photographs are 2 GB each time."""
    revisited, old = tiny_set("roxford5k"), tiny_set("oxford5k")
    got(revisited, tmp_path)
    shelf = Shelf(dict(old.files))
    assert got(old, tmp_path, shelf).problems == ()
    assert list(shelf.sent) == ["gnd_oxford5k.pkl"]
    lists = oxford5k.load(tmp_path)
    assert lists.gallery[0] == tmp_path / "test" / "roxford5k" / "jpg" / "town_000000.jpg"
    assert lists.truths[0].positives.tolist() == [0, 1]
    assert lists.truths[0].junk.dtype == np.int64
    assert len(lists.gallery) == len(old_truth()["imlist"])  # type: ignore[arg-type]


@pytest.mark.parametrize("root_with", ["rparis6k"], indirect=True)
def test_what_a_user_has_in_revisitops_own_layout_is_found(root_with: Path, tmp_path: Path) -> None:
    (tmp_path / "datasets").mkdir()
    (tmp_path / "test" / "rparis6k").rename(tmp_path / "datasets" / "rparis6k")
    assert len(rparis6k.load(root_with).gallery) == 6


@pytest.mark.parametrize("root_with", ["revisitop1m"], indirect=True)
def test_distractors_come_in_the_order_of_their_list(root_with: Path) -> None:
    images = revisitop1m.load(root_with)
    assert [path.name for path in images] == [f"{number:04x}.jpg" for number in range(5)]


@pytest.mark.parametrize("root_with", ["sfm120k"], indirect=True)
def test_sfm_has_models_as_labels_and_known_pairs(root_with: Path) -> None:
    listing = sfm120k.load(root_with, "train")
    home = root_with / "train" / "retrieval-SfM-120k"
    assert listing.paths[0] == home / "ims" / "01" / "00" / "00" / "00000001"
    assert listing.labels.tolist() == [1, 1, 0, 0]
    assert listing.classes == ("model 3", "model 7")
    assert listing.pairs is not None
    assert listing.pairs.tolist() == [[0, 1], [2, 3]]
    whitening = sfm120k.load_whitening(root_with, "30k")
    assert whitening.pairs is not None
    assert whitening.pairs.tolist() == [[0, 1]]
    assert len(sfm120k.load(root_with, "val").paths) == 4


@pytest.mark.parametrize("root_with", ["sfm120k"], indirect=True)
def test_cirtorchs_own_folder_of_the_smaller_whitening_set_is_found(root_with: Path) -> None:
    train = root_with / "train"
    (train / "retrieval-SfM-30k").mkdir()
    name = "retrieval-SfM-30k-whiten.pkl"
    (train / "retrieval-SfM-120k" / name).rename(train / "retrieval-SfM-30k" / name)
    assert len(sfm120k.load_whitening(root_with, "30k").paths) == 4


@pytest.mark.parametrize("root_with", ["gldv2-clean"], indirect=True)
def test_of_gldv2_only_the_clean_images_are_kept(root_with: Path) -> None:
    listing = gldv2.load_clean(root_with)
    assert listing.classes == ("17", "4")
    assert listing.labels.tolist() == [0, 0, 1]
    kept = {path.stem for path in (root_with / "gldv2" / "train").rglob("*.jpg")}
    assert kept == {gldv2_id(number) for number in (0, 1, 3)}


@pytest.mark.parametrize("root_with", ["gldv2"], indirect=True)
def test_gldv2_asks_what_is_not_ignored(root_with: Path) -> None:
    lists = gldv2.load(root_with)
    assert [path.stem for path in lists.queries] == [gldv2_id(10), gldv2_id(12)]
    assert lists.usage == ("Public", "Private")
    assert [answer.tolist() for answer in lists.answers] == [[2, 0], [3]]
    assert len(lists.gallery) == 4


@pytest.mark.parametrize("root_with", ["cub"], indirect=True)
def test_cub_is_split_after_its_hundredth_class(root_with: Path) -> None:
    train, test = cub.load_train(root_with), cub.load_test(root_with)
    assert train.classes == ("001.Albatross", "100.Pelican")
    assert train.labels.tolist() == [0, 0, 1, 1]
    assert test.classes == ("101.Egret",)
    assert not list(root_with.rglob("._*"))


@pytest.mark.parametrize("root_with", ["cars"], indirect=True)
def test_cars_is_split_after_its_98th_class(root_with: Path) -> None:
    train, test = cars.load_train(root_with), cars.load_test(root_with)
    assert train.classes == ("001 Car 1", "098 Car 98")
    assert train.labels.tolist() == [0, 0, 1]
    assert test.classes == ("099 Car 99",)
    assert test.paths[0] == root_with / "cars196" / "car_ims" / "000004.jpg"


@pytest.mark.parametrize("root_with", ["sop"], indirect=True)
def test_sop_has_its_own_two_lists(root_with: Path) -> None:
    assert sop.load_train(root_with).labels.tolist() == [0, 0, 1]
    assert sop.load_test(root_with).labels.tolist() == [0, 0]


@pytest.mark.parametrize("root_with", ["inshop"], indirect=True)
def test_inshops_queries_and_gallery_share_their_classes(root_with: Path) -> None:
    both = inshop.load_test(root_with)
    assert both.queries.labels.tolist() == [0, 1]
    assert both.gallery.labels.tolist() == [1, 0, 0]
    assert both.queries.classes == both.gallery.classes == ("id_00000002", "id_00000003")
    assert not set(both.queries.paths) & set(both.gallery.paths)
    assert inshop.load_train(root_with).classes == ("id_00000001",)


@pytest.mark.parametrize("name", TRAINING)
def test_what_can_be_trained_on_is_listed_by_name(name: str, tmp_path: Path) -> None:
    if name == "folder":
        for label in ("a", "b"):
            (tmp_path / label).mkdir()
            (tmp_path / label / "1.jpg").write_bytes(b"x")
    else:
        got(tiny_set(name), tmp_path)
    listing = TRAINING[name](tmp_path)
    assert len(listing.paths) == len(listing.labels) > 0
    assert all(path.is_file() for path in listing.paths)
    assert set(listing.labels.tolist()) == set(range(len(listing.classes)))


def test_inshop_without_a_mirror_says_whom_to_ask_and_where_to_put_it(tmp_path: Path) -> None:
    tiny = tiny_set("inshop")
    with impatient() as ways, pytest.raises(InvalidDataset) as raised:
        get(Order(tiny.public, tmp_path, None), ways)
    place = tmp_path / "downloads" / "inshop" / "list_eval_partition.txt"
    assert "InShopRetrieval" in str(raised.value)
    assert str(place) in str(raised.value)
    for name, content in tiny.files.items():
        (place.parent / name).write_bytes(content)
    with impatient() as ways:
        assert get(Order(tiny.public, tmp_path, None), ways).problems == ()


def test_without_a_mirror_the_publishers_address_is_used(tmp_path: Path) -> None:
    tiny = tiny_set("cub")
    with on_a_server(Shelf({"files/CUB.tgz": tiny.files["CUB_200_2011.tgz"]})) as server:
        (file,) = tiny.public.files
        moved = replace(tiny.public, files=(replace(file, url=f"{server.url}/files/CUB.tgz"),))
        with impatient() as ways:
            assert get(Order(moved, tmp_path, None), ways).problems == ()


def test_a_file_that_is_gone_is_to_be_fetched_by_hand(tmp_path: Path) -> None:
    tiny = tiny_set("cub")
    with pytest.raises(
        NotFound, match=r"404.*fetch CUB_200_2011.tgz by hand, put it at .*--mirror"
    ):
        got(tiny, tmp_path, Shelf({}))
    place = tmp_path / "downloads" / "cub" / "CUB_200_2011.tgz"
    place.write_bytes(tiny.files["CUB_200_2011.tgz"])
    assert got(tiny, tmp_path, Shelf({})).problems == ()


def test_a_plain_folder_has_a_class_a_folder(tmp_path: Path) -> None:
    for name in ("mugs/1.jpg", "mugs/red/2.jpg", "lamps/1.png"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b"x")
    listing = folder.load(tmp_path)
    assert listing.classes == ("lamps", "mugs")
    assert listing.labels.tolist() == [0, 1, 1]
    assert check(folder.FOLDER, tmp_path).problems == ()
    (tmp_path / "loose.jpg").write_bytes(b"x")
    assert "loose.jpg" in check(folder.FOLDER, tmp_path).problems[0]
    (tmp_path / "empty").mkdir()
    assert "holds no photographs" in check(folder.FOLDER, tmp_path / "empty").problems[0]
