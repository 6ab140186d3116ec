"""Boxes in the formats of COCO, Pascal VOC and YOLO: equal objects give equal targets; what cannot be used."""

from __future__ import annotations

import io
import json
import zipfile

import numpy as np
import pytest
from PIL import Image

from pipeline.errors import PipelineError
from pipeline.formats.structured.coco import CocoBoxes
from pipeline.formats.structured.voc import VocBoxes
from pipeline.formats.structured.yolo import YoloBoxes

NAMES = ("cat", "dog")
WIDTH, HEIGHT = 40, 20
OBJECTS = {  # pixels: left, top, right, bottom
    "a": [("cat", 4, 2, 12, 10), ("dog", 20, 5, 40, 20)],
    "b": [],
    "c": [("dog", 0, 0, 10, 5)],
}


def png(width=WIDTH, height=HEIGHT):
    buffer = io.BytesIO()
    Image.new("RGB", (width, height), (9, 8, 7)).save(buffer, "png")
    return buffer.getvalue()


def pictures(folder, names):
    folder.mkdir(parents=True, exist_ok=True)
    for name in names:
        (folder / f"{name}.png").write_bytes(png())


def write_voc(root, objects=OBJECTS):
    pictures(root / "JPEGImages", objects)
    (root / "Annotations").mkdir(parents=True)
    (root / "ImageSets" / "Main").mkdir(parents=True)
    (root / "ImageSets/Main/train.txt").write_text("a\nb\n")
    (root / "ImageSets/Main/test.txt").write_text("c\n")
    for name, boxes in objects.items():
        nodes = "".join(
            f"<object><name>{kind}</name><bndbox><xmin>{left}</xmin><ymin>{top}</ymin><xmax>{right}</xmax>"
            f"<ymax>{bottom}</ymax></bndbox></object>"
            for kind, left, top, right, bottom in boxes
        )
        (root / "Annotations" / f"{name}.xml").write_text(f"<annotation>{nodes}</annotation>")
    return VocBoxes("voc", NAMES, most=4)


def write_yolo(root, objects=OBJECTS):
    for name, boxes in objects.items():
        split = "test" if name == "c" else "train"
        pictures(root / "images" / split, [name])
        (root / "labels" / split).mkdir(parents=True, exist_ok=True)
        lines = [
            f"{NAMES.index(kind)} {(left + right) / 2 / WIDTH} {(top + bottom) / 2 / HEIGHT} "
            f"{(right - left) / WIDTH} {(bottom - top) / HEIGHT}"
            for kind, left, top, right, bottom in boxes
        ]
        if lines:
            (root / "labels" / split / f"{name}.txt").write_text("\n".join(lines) + "\n")
    return YoloBoxes("yolo", NAMES, most=4)


def write_coco(root, objects=OBJECTS):
    pictures(root / "pictures", objects)
    for file, names in (("train.json", "ab"), ("test.json", "c")):
        images = [{"id": ord(name), "file_name": f"{name}.png"} for name in names]
        annotations = [
            {
                "image_id": ord(name),
                "category_id": 7 + NAMES.index(kind),
                "bbox": [left, top, right - left, bottom - top],
            }
            for name in names
            for kind, left, top, right, bottom in objects[name]
        ]
        categories = [{"id": 7 + place, "name": name} for place, name in enumerate(NAMES)]
        (root / file).write_text(json.dumps({"images": images, "annotations": annotations, "categories": categories}))
    return CocoBoxes("coco/train.json", "coco/pictures", NAMES, test="coco/test.json", most=4)


WRITERS = {"voc": write_voc, "yolo": write_yolo, "coco": write_coco}


@pytest.fixture(params=WRITERS)
def dataset(request, tmp_path):
    """The three pictures in one of the formats, and where they lie."""
    return WRITERS[request.param](tmp_path / request.param), tmp_path


def test_the_same_objects_give_the_same_targets(dataset):
    data, folder = dataset
    assert data.files(folder)
    rows = {example.source.rpartition("/")[2].rpartition(" ")[2][0]: example for example in data.examples(folder)}
    assert {"a": "train", "b": "train", "c": "test"} == {name: row.split for name, row in rows.items()}
    assert [""] * 3 == [row.fault for row in rows.values()]
    expected = [[0.1, 0.1, 0.5, 0.3], [0.25, 0.5, 1.0, 1.0]]
    np.testing.assert_allclose(expected, rows["a"].features["boxes"])
    assert [0, 1] == rows["a"].features["classes"]
    assert [] == rows["b"].features["boxes"] == rows["b"].features["classes"]
    assert rows["c"].features["image_bytes"] == png()
    assert data.targets == {"boxes": "float[4,4]", "classes": "int[4]"}


FAULTS = {
    "no area": [("cat", 5, 5, 5, 9)],
    "is outside the picture": [("cat", 30, 5, 60, 9)],
    "no area in the picture": [("dog", 40, 5, 40.5, 9)],
}


@pytest.mark.parametrize("words", FAULTS)
def test_a_box_that_is_none_is_a_fault_of_its_picture(dataset, words, tmp_path):
    name = dataset[0].path.partition("/")[0]
    other = WRITERS[name](tmp_path / "other" / name, {**OBJECTS, "a": FAULTS[words]})
    faults = [example.fault for example in other.examples(tmp_path / "other")]
    assert sum(bool(fault) for fault in faults) == 1
    assert words in "".join(faults)


def test_a_class_that_is_not_declared_is_a_fault(dataset):
    data, folder = dataset
    narrow = type(data)(**{**vars(data), "names": ("cat",)})
    faults = [example.fault for example in narrow.examples(folder)]
    assert sum("is not among the declared ones cat" in fault for fault in faults) == 2


def test_a_box_that_reaches_over_the_border_by_rounding_is_cut(tmp_path):
    data = write_voc(tmp_path / "voc", {**OBJECTS, "a": [("cat", -0.5, 0, 40.5, 20.2)]})
    (example,) = [example for example in data.examples(tmp_path) if "a.png" in example.source]
    assert [[0.0, 0.0, 1.0, 1.0]] == example.features["boxes"]


def test_an_archive_gives_the_same_rows_as_its_folder(dataset, tmp_path):
    data, folder = dataset
    name = data.path.partition("/")[0]
    if name == "coco":
        pytest.skip("a JSON file of COCO lies beside its folder")
    with zipfile.ZipFile(tmp_path / "all.zip", "w") as archive:
        for file in sorted((folder / name).rglob("*")):
            archive.write(file, file.relative_to(folder / name))
    packed = type(data)(**{**vars(data), "path": "all.zip"})
    expected, found = (
        [(one.features, one.split, one.fault) for one in each.examples(folder)] for each in (data, packed)
    )
    assert sorted(map(repr, expected)) == sorted(map(repr, found))


def test_broken_annotations_are_faults_of_their_pictures(tmp_path):
    voc = write_voc(tmp_path / "voc")
    (tmp_path / "voc/Annotations/a.xml").write_text("<annotation><object>")
    (tmp_path / "voc/Annotations/b.xml").unlink()
    (tmp_path / "voc/Annotations/c.xml").write_text("<annotation><object><name>cat</name></object></annotation>")
    faults = {example.source[-5]: example.fault for example in voc.examples(tmp_path)}
    assert "cannot be read" in faults["a"]
    assert "no XML file" in faults["b"]
    assert "without bndbox" in faults["c"]
    yolo = write_yolo(tmp_path / "yolo")
    (tmp_path / "yolo/labels/train/a.txt").write_text("0 0.5 0.5 0.1\n")
    (tmp_path / "yolo/labels/test/c.txt").write_text("cat 0.5 0.5 0.1 0.1\n")
    faults = {example.source[-5]: example.fault for example in yolo.examples(tmp_path)}
    assert "as shares: line 1, " in faults["a"]
    assert "as shares: line 1, " in faults["c"]
    (tmp_path / "yolo/labels/train/a.txt").write_text("5 0.5 0.5 0.1 0.1\n")
    assert any("'number 5'" in example.fault for example in yolo.examples(tmp_path))


@pytest.mark.parametrize(
    "change",
    [
        lambda content: content["annotations"].append({"image_id": 999, "category_id": 7, "bbox": [1, 1, 2, 2]}),
        lambda content: content["annotations"].append({"image_id": ord("a"), "category_id": 7}),
        lambda content: content["annotations"].append({"image_id": ord("a"), "category_id": 99, "bbox": [1, 1, 2, 2]}),
        lambda content: content["annotations"].append({"image_id": ord("a"), "category_id": 7, "bbox": "all"}),
        lambda content: content["images"].append({"id": 5, "file_name": "absent.png"}),
        lambda content: content["images"].append({"id": 5}),
    ],
)
def test_an_entry_of_coco_that_leads_nowhere_is_one_fault(tmp_path, change):
    data = write_coco(tmp_path / "coco")
    content = json.loads((tmp_path / "coco/train.json").read_text())
    change(content)
    (tmp_path / "coco/train.json").write_text(json.dumps(content))
    assert sum(bool(example.fault) for example in data.examples(tmp_path)) == 1


def test_a_crowd_has_no_box(tmp_path):
    data = write_coco(tmp_path / "coco")
    content = json.loads((tmp_path / "coco/train.json").read_text())
    content["annotations"].append({"image_id": ord("b"), "category_id": 7, "iscrowd": 1, "segmentation": {}})
    (tmp_path / "coco/train.json").write_text(json.dumps(content))
    assert [""] * 3 == [example.fault for example in data.examples(tmp_path)]


@pytest.mark.parametrize(
    "text", ["", "[]", '{"images": []}', '{"images": 1, "annotations": [], "categories": []}', "{"]
)
def test_a_json_file_of_another_kind_is_refused(tmp_path, text):
    data = write_coco(tmp_path / "coco")
    (tmp_path / "coco/train.json").write_text(text)
    with pytest.raises(PipelineError, match="JSON file of COCO"):
        list(data.examples(tmp_path))


def test_pictures_of_the_same_name_in_two_splits_keep_their_own_boxes(tmp_path):
    """As Roboflow exports them: each XML file next to its picture."""
    for split, left in (("train", 1), ("valid", 2), ("test", 3)):
        pictures(tmp_path / "voc" / split, ["a"])
        box = f"<bndbox><xmin>{left}</xmin><ymin>1</ymin><xmax>9</xmax><ymax>9</ymax></bndbox>"
        node = f"<annotation><object><name>cat</name>{box}</object></annotation>"
        (tmp_path / "voc" / split / "a.xml").write_text(node)
    rows = {row.source.split("/")[-2]: row for row in VocBoxes("voc", NAMES, most=4).examples(tmp_path)}
    left = {split: round(row.features["boxes"][0][1] * WIDTH) for split, row in rows.items()}
    assert {"train": 1, "valid": 2, "test": 3} == left
    assert {"train": "train", "valid": "train", "test": "test"} == {split: row.split for split, row in rows.items()}


def test_pictures_and_annotations_in_folders_of_any_name_are_joined_by_their_names(tmp_path):
    pictures(tmp_path / "voc/photos", ["a", "b"])
    (tmp_path / "voc/xml").mkdir()
    (tmp_path / "voc/xml/a.xml").write_text("<annotation></annotation>")
    rows = list(VocBoxes("voc", NAMES, most=4).examples(tmp_path))
    assert ["", "it has no XML file of the same name"] == [row.fault for row in rows]


@pytest.mark.parametrize(
    ("line", "box"),
    [
        ("1 0.1 0.2 0.5 0.2 0.3 0.6", (0.2, 0.1, 0.6, 0.5)),
        ("1 0.1 0.2 0.5 0.2 0.5 0.6 0.1 0.6", (0.2, 0.1, 0.6, 0.5)),
        ("1 0.3 0.4 0.4 0.4", (0.2, 0.1, 0.6, 0.5)),
        ("\ufeff1 0.3 0.4 0.4 0.4", (0.2, 0.1, 0.6, 0.5)),
    ],
)
def test_an_outline_of_yolo_has_the_box_around_it(tmp_path, line, box):
    pictures(tmp_path / "yolo/images", ["a"])
    (tmp_path / "yolo/labels").mkdir()
    (tmp_path / "yolo/labels/a.txt").write_text(f"{line}\n")
    (row,) = YoloBoxes("yolo", NAMES, most=4).examples(tmp_path)
    np.testing.assert_allclose(box, row.features["boxes"][0], atol=1e-6)


NO_XML = "it has no XML file of the same name"


def test_a_picture_does_not_take_the_annotation_of_another_one_of_its_name(tmp_path):
    for split in ("train", "test"):
        pictures(tmp_path / "voc" / split, ["a"])
    (tmp_path / "voc/test/a.xml").write_text("<annotation></annotation>")
    rows = {row.split: row.fault for row in VocBoxes("voc", NAMES, most=4).examples(tmp_path)}
    assert {"train": NO_XML, "test": ""} == rows


def test_the_masks_of_voc_are_no_pictures(tmp_path):
    data = write_voc(tmp_path / "voc")
    pictures(tmp_path / "voc/SegmentationClass", ["a"])
    assert len(list(data.examples(tmp_path))) == 3


@pytest.mark.parametrize(
    ("place", "text", "split"),
    [
        ("ImageSets/Main/test.txt", "a 1\nb -1\n", "test"),
        ("imagesets/main/test.txt", "JPEGImages/a.png\nb.png\n", "test"),
        ("test.txt", "\ufeffa\nb\n", "test"),
        ("ImageSets/Main/trainval.txt", "a\nb\n", "train"),
        ("ImageSets/Segmentation/test.txt", "a\n", ""),
        ("train.txt", "a b\nare notes\non it\n", ""),
    ],
)
def test_a_list_of_a_split_names_pictures(tmp_path, place, text, split):
    data = write_voc(tmp_path / "voc")
    for file in (tmp_path / "voc/ImageSets/Main").iterdir():
        file.unlink()
    (tmp_path / "voc" / place).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / "voc" / place).write_text(text, encoding="utf-8")
    expected = {"a": split, "b": split} if split else dict.fromkeys("abc", "")
    assert expected == {row.source[-5]: row.split for row in data.examples(tmp_path)}


def test_a_picture_of_two_lists_is_one_of_the_test(tmp_path):
    data = write_voc(tmp_path / "voc")
    (tmp_path / "voc/ImageSets/Main/train.txt").write_text("a\nb\nc\n")
    assert {"a": "train", "b": "train", "c": "test"} == {row.source[-5]: row.split for row in data.examples(tmp_path)}


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("<annotation><object><bndbox/></object></annotation>", "an object without name"),
        ('<?xml version="1.0" encoding="foo"?><annotation/>', "cannot be read: unknown encoding"),
        ("", "cannot be read: no element found"),
    ],
)
def test_an_xml_file_that_says_too_little_is_a_fault(tmp_path, text, words):
    data = write_voc(tmp_path / "voc")
    (tmp_path / "voc/Annotations/a.xml").write_text(text)
    (fault,) = (row.fault for row in data.examples(tmp_path) if row.fault)
    assert words in fault


def change_coco(folder, change):
    """Writes pictures and JSON files of COCO, and changes that of the training."""
    data = write_coco(folder / "coco")
    content = json.loads((folder / "coco/train.json").read_text())
    change(content)
    (folder / "coco/train.json").write_text(json.dumps(content))
    return data


def test_ids_are_the_same_as_text_and_as_numbers(tmp_path):
    def change(content):
        content["images"][0]["id"] = str(ord("a"))
        content["categories"][0]["id"] = 7.0
        content["annotations"][0] |= {"category_id": "7", "iscrowd": "0"}

    rows = list(change_coco(tmp_path, change).examples(tmp_path))
    assert [0, 1] == rows[0].features["classes"]


@pytest.mark.parametrize(
    ("changes", "faults"),
    [
        ({"image_id": [ord("a")]}, ["its annotations are of no picture in the file"]),
        ({"category_id": [7]}, ["'category [7]'"]),
        ({"bbox": [10**400, 1, 2, 3]}, ["OverflowError"]),
        ({"bbox": "1234"}, ["bbox is no list"]),
    ],
)
def test_an_annotation_of_coco_that_is_odd_is_a_fault(tmp_path, changes, faults):
    data = change_coco(tmp_path, lambda content: content["annotations"][0].update(changes))
    rows = [example.fault for example in data.examples(tmp_path) if example.fault]
    assert [True] * len(faults) == [words in row for words, row in zip(faults, rows, strict=True)]


def test_pictures_of_the_same_id_are_faults(tmp_path):
    data = change_coco(tmp_path, lambda content: content["images"][1].update(id=ord("a")))
    faults = [example.fault for example in data.examples(tmp_path)]
    assert ["another picture of the file has its id too: 97"] * 2 + [""] == faults


def test_categories_of_the_same_id_are_an_error(tmp_path):
    data = change_coco(tmp_path, lambda content: content["categories"].append({"id": 7, "name": "eel"}))
    with pytest.raises(PipelineError, match="7 is cat, 7 is eel"):
        list(data.examples(tmp_path))


@pytest.mark.parametrize(
    ("size", "words"),
    [
        ((WIDTH, HEIGHT), ""),
        ((0, 0), ""),
        ((80, 40), "its boxes are for a picture of another size: 80x40 instead of 40x20 pixels"),
        ((HEIGHT, WIDTH), "its boxes are for a picture on its side, as before its rotation by EXIF: 20x40"),
    ],
)
def test_boxes_for_a_picture_of_another_size_are_a_fault(tmp_path, size, words):
    data = change_coco(tmp_path, lambda content: content["images"][0].update(width=size[0], height=size[1]))
    coco = [row.fault for row in data.examples(tmp_path)]
    data = write_voc(tmp_path / "voc")
    text = f"<annotation><size><width>{size[0]}</width><height>{size[1]}</height></size></annotation>"
    (tmp_path / "voc/Annotations/a.xml").write_text(text)
    for fault, *others in (coco, [row.fault for row in data.examples(tmp_path)]):
        assert bool(words) == bool(fault)
        assert fault.startswith(words)
        assert not any(others)


def test_boxes_of_coco_that_are_shares_are_an_error(tmp_path):
    shares = [0.1, 0.2, 0.5, 1]
    data = change_coco(tmp_path, lambda content: [each.update(bbox=shares) for each in content["annotations"]])
    with pytest.raises(PipelineError, match="are shares of their pictures"):
        list(data.examples(tmp_path))


NO_PICTURE = {"voc": "it is an XML file without its picture", "yolo": "it is a text with boxes without its picture"}


@pytest.mark.parametrize("name", NO_PICTURE)
def test_an_annotation_without_a_picture_is_a_fault(tmp_path, name):
    data = WRITERS[name](tmp_path / name)
    (lost,) = (tmp_path / name).rglob("a.png")
    lost.unlink()
    rows = list(data.examples(tmp_path))
    assert [NO_PICTURE[name]] == [row.fault for row in rows if row.fault]
    assert ("/a.xml" if name == "voc" else "/a.txt") in "".join(row.source for row in rows if row.fault)
    assert ["train"] == [row.split for row in rows if row.fault]


def test_texts_next_to_no_picture_that_have_boxes_are_faults(tmp_path):
    """As CVAT writes them; a list of names or an empty text is no annotation."""
    pictures(tmp_path / "yolo", ["a"])
    for name, text in {"a": "0 0.5 0.5 0.2 0.2", "b": "0 0.5 0.5 0.2 0.2", "c": "", "classes": "cat\ndog"}.items():
        (tmp_path / f"yolo/{name}.txt").write_text(text)
    rows = list(YoloBoxes("yolo", NAMES).examples(tmp_path))
    assert [("a.png", ""), ("b.txt", NO_PICTURE["yolo"])] == [(row.source[-5:], row.fault) for row in rows]


@pytest.mark.parametrize("name", ["workspace.xml", ".hidden.xml"])
def test_an_xml_file_of_another_kind_is_no_annotation(tmp_path, name):
    data = write_voc(tmp_path / "voc")
    (tmp_path / "voc" / name).write_text("<project></project>" if "." != name[0] else "<annotation/>")
    assert [""] * 3 == [row.fault for row in data.examples(tmp_path)]


def test_a_name_in_a_list_without_a_picture_is_a_fault(tmp_path):
    data = write_voc(tmp_path / "voc")
    (tmp_path / "voc/ImageSets/Main/train.txt").write_text("a\nb\nabsent\n")
    (row,) = (row for row in data.examples(tmp_path) if row.fault)
    assert ("train", "the list of a split names it, and there is no such picture") == (row.split, row.fault)
    assert "absent" in row.source


def test_pictures_of_one_name_in_different_folders_have_the_text_of_their_own_place(tmp_path):
    for folder, kind in (("x", 0), ("y", 1)):
        pictures(tmp_path / f"yolo/Images/{folder}", ["a"])
        (tmp_path / f"yolo/Labels/{folder}").mkdir(parents=True)
        (tmp_path / f"yolo/Labels/{folder}/a.txt").write_text(f"{kind} 0.5 0.5 0.2 0.2")
    rows = {row.source.split("/")[-2]: row for row in YoloBoxes("yolo", NAMES).examples(tmp_path)}
    assert {"x": [0], "y": [1]} == {folder: row.features["classes"] for folder, row in rows.items()}


@pytest.mark.parametrize(
    ("images", "texts", "faults"),
    [
        (["x/a", "y/a"], ["a"], ["the text of its name is at another place: labels/a.txt"] * 2 + [NO_PICTURE["yolo"]]),
        (["x/a"], ["a"], [""]),
        (["train/a"], ["val/a"], ["the text of its name is at another place: labels/val/a.txt", NO_PICTURE["yolo"]]),
        (["a", "b"], ["b"], ["", ""]),
    ],
)
def test_texts_at_another_place_than_their_pictures(tmp_path, images, texts, faults):
    for place in images:
        pictures((tmp_path / "yolo/images" / place).parent, [place[-1]])
    for place in texts:
        (tmp_path / "yolo/labels" / place).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / f"yolo/labels/{place}.txt").write_text("1 0.5 0.5 0.2 0.2")
    assert faults == [row.fault for row in YoloBoxes("yolo", NAMES).examples(tmp_path)]


def test_two_pictures_of_one_annotation_are_faults(tmp_path):
    voc, yolo = write_voc(tmp_path / "voc"), write_yolo(tmp_path / "yolo")
    for picture in ("voc/JPEGImages/a.jpg", "yolo/images/train/a.jpg"):
        (tmp_path / picture).write_bytes(png())
    for data, kind in ((voc, "XML file"), (yolo, "text")):
        rows = [row.fault for row in data.examples(tmp_path) if row.source[-6:-4] == "/a"]
        assert [f"another picture has its name, and so the same {kind}"] * 2 == rows


def test_two_annotations_of_one_picture_are_a_fault_unless_they_are_the_same(tmp_path):
    data = write_voc(tmp_path / "voc")
    text = (tmp_path / "voc/Annotations/a.xml").read_text()
    (tmp_path / "voc/a.xml").write_text(text)
    assert [""] * 3 == [row.fault for row in data.examples(tmp_path)]
    (tmp_path / "voc/a.xml").write_text("<annotation></annotation>")
    (fault,) = (row.fault for row in data.examples(tmp_path) if row.fault)
    assert "more than one XML file has its name: Annotations/a.xml, a.xml" == fault


def test_two_entries_of_coco_for_one_file_are_faults(tmp_path):
    data = change_coco(tmp_path, lambda content: content["images"][1].update(file_name="a.png"))
    faults = [example.fault for example in data.examples(tmp_path)]
    assert [f"another picture of the list has its file, too: {ord(name)}" for name in "ab"] == faults[:2]


def test_a_box_that_comes_twice_is_kept_once_and_counted(dataset, tmp_path):
    name = dataset[0].path.partition("/")[0]
    twice = [*OBJECTS["a"], OBJECTS["a"][0], ("cat", *OBJECTS["a"][1][1:])]
    data = WRITERS[name](tmp_path / "twice" / name, {**OBJECTS, "a": twice})
    row = next(row for row in data.examples(tmp_path / "twice") if "a.png" in row.source)
    assert [0, 1, 0] == row.features["classes"]
    assert (3, 1) == (len(row.features["boxes"]), row.repeated)


@pytest.mark.parametrize("member", ["images", "annotations", "categories"])
def test_a_part_that_a_file_of_coco_lacks_is_named(tmp_path, member):
    data = change_coco(tmp_path, lambda content: content.pop(member))
    with pytest.raises(PipelineError, match=rf"train\.json lacks {member}\."):
        list(data.examples(tmp_path))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (
            lambda content: content.update(annotations=None),
            r"lacks annotations\.(.*\n)*.*annotations \(no list but NoneType",
        ),
        (lambda content: content.update(categories=[]), "has no category"),
        (
            lambda content: content["categories"][1].pop("name"),
            r'entry of categories without name\.(.*\n)*.*1: {"id": 8}',
        ),
        (lambda content: content["images"][0].pop("id"), "an entry of images without id"),
    ],
)
def test_what_is_wrong_in_a_file_of_coco_is_named(tmp_path, change, words):
    with pytest.raises(PipelineError, match=words):
        list(change_coco(tmp_path, change).examples(tmp_path))


def test_an_xml_file_with_a_namespace_has_its_boxes(tmp_path):
    data = write_voc(tmp_path / "voc")
    path = tmp_path / "voc/Annotations/a.xml"
    path.write_text(path.read_text().replace("<annotation>", '<annotation xmlns="http://example.org/voc">'))
    (row,) = (row for row in data.examples(tmp_path) if "a.png" in row.source)
    assert [0, 1] == row.features["classes"]
