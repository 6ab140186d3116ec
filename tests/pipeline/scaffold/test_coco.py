"""Files of COCO as they are handed around: which are read, for which split, with which pictures."""

from __future__ import annotations

import gzip
import io
import json

import pytest
from PIL import Image

from pipeline.errors import PipelineError, UsageError
from pipeline.scaffold import inspect, render
from pipeline.scaffold.structured import boxes, coco

CATEGORIES = [{"id": 0, "name": "things"}, {"id": 1, "name": "cat"}, {"id": 2, "name": "dog"}]


def write(file, numbers, folder, shade=9):
    """Writes a JSON file, and its pictures into a folder; names are the same in every folder."""
    folder.mkdir(parents=True, exist_ok=True)
    file.parent.mkdir(parents=True, exist_ok=True)
    for number in numbers:
        buffer = io.BytesIO()
        Image.new("RGB", (64, 48), (shade, number, 7)).save(buffer, "png")
        (folder / f"{number}.png").write_bytes(buffer.getvalue())
    content = {
        "images": [{"id": number, "file_name": f"{number}.png"} for number in numbers],
        "annotations": [{"image_id": n, "category_id": 1 + n % 2, "bbox": [10, 10, 20, 10]} for n in numbers],
        "categories": CATEGORIES,
    }
    file.write_text(json.dumps(content))


def roboflow(root):
    for shade, (split, count) in enumerate({"train": 70, "valid": 20, "test": 30}.items()):
        write(root / split / "_annotations.coco.json", range(count), root / split, shade)


def official(root):
    for shade, (split, count) in enumerate({"train2017": 90, "val2017": 30}.items()):
        for kind in ("instances", "person_keypoints"):
            write(root / "annotations" / f"{kind}_{split}.json", range(count), root / split, shade)


@pytest.mark.parametrize("layout", [roboflow, official])
def test_each_file_is_of_its_split_and_has_its_own_pictures(tmp_path, layout):
    layout(tmp_path / "data")
    plan = inspect.make_plan(tmp_path / "data", "", "")
    arguments = plan.facts["arguments"]
    data = coco.CocoBoxes(**arguments)
    rows = list(data.examples(tmp_path))
    assert [] == [row.fault for row in rows if row.fault]
    assert (90, 30) == tuple(sum(row.split == split for row in rows) for split in ("train", "test"))
    for row in rows:
        shade = Image.open(io.BytesIO(row.features["image_bytes"])).getpixel((0, 0))[0]
        assert ("test" == row.split) == (shade == (2 if layout is roboflow else 1)), row.source
    assert ("cat", "dog") == data.names
    assert any("the category things: left out" in note for note in plan.notes)
    assert any("person_keypoints" in note for note in plan.notes) == (layout is official)
    assert "split=Official(" in render.render_recipe(plan, "mine")


def test_a_file_that_is_alone_is_learnt_from_whatever_it_is_called(tmp_path):
    write(tmp_path / "val.json", range(9), tmp_path / "val")
    assert ([tmp_path / "val.json"], [], []) == coco.sort_coco([tmp_path / "val.json"], tmp_path)


def test_a_file_with_a_mark_of_its_encoding_is_of_coco(tmp_path):
    write(tmp_path / "ann.JSON", range(90), tmp_path)
    text = (tmp_path / "ann.JSON").read_bytes()
    (tmp_path / "ann.JSON").write_bytes(b"\xef\xbb\xbf" + text)
    (tmp_path / "x.json").mkdir()
    (tmp_path / "y.json").symlink_to(tmp_path / "nothing")
    assert inspect.make_plan(tmp_path, "", "").facts["arguments"]["path"] == str(tmp_path / "ann.JSON")


def test_a_file_that_is_cut_off_or_packed_is_refused(tmp_path):
    write(tmp_path / "ann.json", range(90), tmp_path / "cats")
    text = (tmp_path / "ann.json").read_bytes()
    (tmp_path / "ann.json").write_bytes(text[:-40])
    with pytest.raises(PipelineError, match="cannot be read completely"):
        inspect.make_plan(tmp_path, "", "")
    (tmp_path / "ann.json").unlink()
    (tmp_path / "ann.json.gz").write_bytes(gzip.compress(text))
    with pytest.raises(UsageError, match=r"gzip -d ann\.json\.gz"):
        inspect.make_plan(tmp_path, "", "")


def test_lines_of_json_are_not_of_coco(tmp_path):
    (tmp_path / "rows.json").write_text('{"images": 1, "file_name": "a"}\n' * 3)
    assert [] == list(coco.find_coco(tmp_path))


def test_copies_are_not_read(tmp_path):
    write(tmp_path / "ann.json", range(90), tmp_path)
    write(tmp_path / "backup/ann.json", range(90), tmp_path)
    write(tmp_path / ".old/ann.json", range(90), tmp_path)
    plan = inspect.make_plan(tmp_path, "", "")
    assert "more" not in plan.facts["arguments"]
    assert str(tmp_path / "ann.json") == plan.facts["arguments"]["path"]
    assert any("Not read: backup/ann.json" in note for note in plan.notes)
    assert "The pictures of ann.json are those in its folder." in plan.notes


@pytest.mark.parametrize(("folder", "taken"), [("train2017", True), ("images", True), ("other", False)])
def test_pictures_of_another_data_set_are_not_taken(tmp_path, folder, taken):
    file = tmp_path / "mine/instances_train2017.json"
    write(file, range(9), tmp_path / folder)
    write(file, range(9), tmp_path / "other/train2017")
    content = coco.read_file(file)
    if taken:
        assert tmp_path / folder == coco.find_pictures(file, file.parent, content)
    else:
        with pytest.raises(PipelineError, match="are neither below"):
            coco.find_pictures(file, file.parent, content)


def test_pictures_next_to_their_file_come_before_others(tmp_path):
    write(tmp_path / "mine/ann.json", range(9), tmp_path / "mine/images")
    write(tmp_path / "other/ann.json", range(9), tmp_path / "other/images")
    (tmp_path / "mine/images/5.png").unlink()
    file = tmp_path / "mine/ann.json"
    assert tmp_path / "mine/images" == coco.find_pictures(file, tmp_path, coco.read_file(file))


def test_a_name_that_no_file_can_have_is_not_found(tmp_path):
    file = tmp_path / "ann.json"
    write(file, range(3), tmp_path)
    content = coco.read_file(file)
    content["images"][1]["file_name"], content["images"][2]["file_name"] = "x" * 300, "x\0"
    assert tmp_path == coco.find_pictures(file, tmp_path, content)


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("names: [a, b]", ("a", "b")),
        ("names:\n  1: b\n  0: a", ("a", "b")),
        ("- names", ()),
        ("names:\n  '10': k\n  '2': c\n  0: a", ("a", "class 1", "c", *(f"class {n}" for n in range(3, 10)), "k")),
        ("names:\n  1: a\n  2: b", ("class 0", "a", "b")),
        ("names: [yes, no, 1.0, null, '']", ("yes", "no", "1.0", "null", "class 4")),
        ("exported: 2024-02-30\nnames: [a]", ("a",)),
        ("names: []", ()),
        ("", ()),
    ],
)
def test_names_of_a_yaml_file(text, names):
    assert names == boxes.read_yaml_names("data.yaml", text)


@pytest.mark.heavy
@pytest.mark.parametrize(
    "text",
    ["names: [a, b", "names: a, b", "names:\n  0: a\n  x: b", "names:\n  -1: a", "names:\n  99999: a", "[" * 9999],
)
def test_a_yaml_file_that_is_none_is_an_error_in_words(text):
    with pytest.raises(PipelineError, match=r"data.yaml cannot be read"):
        boxes.read_yaml_names("data.yaml", text)


def test_key_points_are_no_outlines():
    with pytest.raises(UsageError, match="key points"):
        boxes.read_yaml_names("data.yaml", "kpt_shape: [4, 2]\nnames: [a]")


@pytest.mark.parametrize(
    ("texts", "names"),
    [
        ({"data.yaml": "\ufeffnames: [a, b]", "classes.txt": "x\ny"}, ("a", "b")),
        ({".git/x.yaml": "names: [wrong]", "zoo/data.yaml": "names: [a]", "other.yaml": "names: [b]"}, ("a",)),
        ({"classes.txt": "\ufeffcat\r\n\r\ndog\r\n\r\n"}, ("cat", "class 1", "dog")),
        ({"obj.names": "cat\ndog\n"}, ("cat", "dog")),
        ({"labels/a.txt": f"1 .5 .5 .2 .2\n{'9' * 5000} .5 .5 .2 .2\n"}, ("class 0", "class 1")),
    ],
)
def test_names_come_from_the_file_that_is_made_for_them(tmp_path, texts, names):
    for name, text in texts.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text, encoding="utf-8")
    assert names == boxes.read_names(tmp_path)[0]


def test_a_file_without_categories_is_named_with_what_it_lacks(tmp_path):
    write(tmp_path / "ann.json", range(90), tmp_path)
    content = json.loads((tmp_path / "ann.json").read_text())
    content.pop("categories")
    (tmp_path / "ann.json").write_text(json.dumps(content))
    for path in (tmp_path, tmp_path / "ann.json"):
        with pytest.raises(
            PipelineError, match=r"ann\.json lacks categories\.\n(.*\n)*Received: an object with images"
        ):
            inspect.make_plan(path, "", "")


def test_captions_beside_boxes_are_not_read(tmp_path):
    write(tmp_path / "ann.json", range(90), tmp_path)
    captions = {"images": [{"id": 1, "file_name": "1.png"}], "annotations": [{"image_id": 1, "caption": "A cat."}]}
    (tmp_path / "captions.json").write_text(json.dumps(captions))
    assert str(tmp_path / "ann.json") == inspect.make_plan(tmp_path, "", "").facts["arguments"]["path"]


def test_boxes_that_are_there_twice_are_counted(tmp_path):
    write(tmp_path / "ann.json", range(90), tmp_path)
    content = json.loads((tmp_path / "ann.json").read_text())
    content["annotations"] += content["annotations"][:3]
    (tmp_path / "ann.json").write_text(json.dumps(content))
    plan = inspect.make_plan(tmp_path, "", "")
    assert f"3 boxes that are there twice are kept once; the first in {tmp_path}/ann.json: 0.png." in plan.notes
    assert ["45", "45"] == [row[1] for row in plan.rows]


def test_folders_with_pictures_of_the_same_names_are_named(tmp_path):
    """Two lists, and nothing says whose pictures a folder has: one of them would be lost as a copy."""
    write(tmp_path / "lists/x/ann.json", range(90), tmp_path / "one")
    write(tmp_path / "lists/y/ann.json", range(90), tmp_path / "two", shade=200)
    with pytest.raises(PipelineError, match=r"nothing says in which folder .*\n.*\nReceived: 0\.png in .*one and in"):
        inspect.make_plan(tmp_path, "", "")
    (tmp_path / "lists/y/ann.json").unlink()
    notes = inspect.make_plan(tmp_path, "", "").notes
    assert "Files of the same names as in one are not read: two." in notes


def test_pictures_in_no_list_are_said(tmp_path):
    write(tmp_path / "data/ann.json", range(95), tmp_path / "data/all")
    content = json.loads((tmp_path / "data/ann.json").read_text())
    kept = {key: content[key][:90] for key in ("images", "annotations")}
    (tmp_path / "data/ann.json").write_text(json.dumps(content | kept))
    (tmp_path / "data/all/notes.txt").write_text("no picture")
    notes = inspect.make_plan(tmp_path / "data", "", "").notes
    assert "5 pictures that no list names are not read: all/90.png first." in notes
