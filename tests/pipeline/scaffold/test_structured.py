"""Recipes of `new` for annotated pictures: which format a path holds, its classes, splits, and what is said."""

from __future__ import annotations

import ast
import io
import json
import re
import zipfile

import numpy as np
import pytest
from PIL import Image

from pipeline.errors import PipelineError, UsageError
from pipeline.scaffold import inspect, render
from pipeline.scaffold.structured import boxes, find, masks
from pipeline.scaffold.structured import coco as coco_plans
from pipeline.settings import ROOT

COUNT = 120
# The templates are the recipes of the catalogue, which are measured. The recipe's word, and the template's own.
WORDS = {
    "nuclei": {"NUCLEI": "DATA"},
    "blood_cells": {"BCCD": "DATA"},
    "translate": {"'german'": "'target_pieces'", "'english'": "'source_pieces'"},
}
# The sizes fit the data; names of classes may be any text, and need not be words for a metric.
OWN = {"nuclei": {"Params"}, "blood_cells": {"Params", "score"}, "translate": {"Params"}}


def png(number=0, size=(64, 48)):
    random = np.random.default_rng(number)
    pixels = random.integers(0, 60, (size[1], size[0], 3), dtype=np.uint8)
    pixels[10:20, 10:30] += 150
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "png")
    return buffer.getvalue()


def mask(size=(64, 48)):
    pixels = np.zeros((size[1], size[0]), np.uint8)
    pixels[10:20, 10:30] = 255
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "png")
    return buffer.getvalue()


def write(path, content):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content if isinstance(content, bytes) else content.encode())


def voc(root):
    for number in range(COUNT):
        write(root / f"JPEGImages/{number}.png", png(number))
        box = "<bndbox><xmin>10</xmin><ymin>10</ymin><xmax>30</xmax><ymax>20</ymax></bndbox>"
        name = "a cat's" if number % 2 else "dog"
        node = f"<annotation><object><name>{name}</name>{box}</object></annotation>"
        write(root / f"Annotations/{number}.xml", node)
    return root


def yolo(root):
    for number in range(COUNT):
        split = "val" if number % 5 == 0 else "train"
        write(root / f"{split}/images/{number}.png", png(number))
        write(root / f"{split}/labels/{number}.txt", f"{number % 2} 0.3 0.3 0.2 0.2\n")
    write(root / "data.yaml", "names: ['cat', 'dog']\nnc: 2\n")
    return root


def darknet(root):
    """As CVAT writes it: each text next to its picture."""
    for number in range(COUNT):
        write(root / f"obj_train_data/{number}.png", png(number))
        write(root / f"obj_train_data/{number}.txt", f"{number % 2} 0.3 0.3 0.2 0.2\n")
    write(root / "obj.names", "cat\ndog\n")
    write(root / "train.txt", "".join(f"data/obj_train_data/{number}.png\n" for number in range(COUNT)))
    write(root / "obj.data", "classes = 2\nnames = data/obj.names\n")
    return root


def coco(root):
    for split, numbers in (("train", range(80)), ("test", range(80, COUNT))):
        for number in numbers:
            write(root / split / f"{number}.png", png(number))
        content = {
            "images": [{"id": number, "file_name": f"{number}.png"} for number in numbers],
            "annotations": [
                {"image_id": number, "category_id": number % 2, "bbox": [10, 10, 20, 10]} for number in numbers
            ],
            "categories": [{"id": 0, "name": "cat"}, {"id": 1, "name": "dog"}],
        }
        write(root / f"annotations/instances_{split}.json", json.dumps(content))
    return root


def cells(root):
    for number in range(COUNT):
        write(root / f"imgs/{number}.png", png(number))
        write(root / f"masks/{number}_mask.png", mask())
    return root


def planned(path, name="mine"):
    plan = inspect.make_plan(path, "", "")
    text = render.render_recipe(plan, name)
    ast.parse(text)
    return plan, text


@pytest.mark.parametrize(
    ("writer", "name"), [(voc, "VocBoxes"), (yolo, "YoloBoxes"), (darknet, "YoloBoxes"), (coco, "CocoBoxes")]
)
def test_a_detector_is_written_for_boxes_of_any_format(tmp_path, writer, name):
    plan, text = planned(writer(tmp_path / "data"))
    assert f"DATA = {name}(" in text
    assert plan.facts["height"] % 32 == plan.facts["width"] % 32 == 0
    assert ["60", "60"] == [row[1] for row in plan.rows]
    assert "most=8" in text
    assert "split=Official(" in text if writer is coco else "split=Hash(" in text


def test_a_recipe_of_a_single_file_of_coco_finds_its_pictures(tmp_path):
    root = coco(tmp_path / "data")
    _, text = planned(root / "annotations/instances_train.json")
    assert str(root / "train") in text
    for file in (root / "train").iterdir():
        file.unlink()
    with pytest.raises(PipelineError, match=r"are neither below .* nor next to it"):
        inspect.make_plan(root / "annotations/instances_train.json", "", "")


def test_names_of_yolo_come_from_its_files_or_are_numbers(tmp_path):
    root = yolo(tmp_path / "data")
    assert boxes.read_names(root) == (("cat", "dog"), [])
    (root / "data.yaml").write_text("names:\n  0: tom\n  1: rex\n")
    assert boxes.read_names(root)[0] == ("tom", "rex")
    (root / "data.yaml").unlink()
    names, notes = boxes.read_names(root)
    assert names == ("class 0", "class 1")
    assert "name them in the recipe" in notes[0]
    (root / "classes.txt").write_text("one\ntwo\n")
    assert boxes.read_names(root)[0] == ("one", "two")


def test_texts_next_to_pictures_hold_boxes_or_are_none_of_ours(tmp_path):
    root = darknet(tmp_path / "data")
    assert boxes.read_names(root) == (("cat", "dog"), [])
    (root / "obj.names").unlink()
    (root / "labels.txt").write_text("9 words of the person who took the pictures\n")
    assert boxes.read_names(root)[0] == ("class 0", "class 1")
    (root / "obj_train_data/_darknet.labels").write_text("tom\nrex\n")
    assert planned(root)[0].facts["arguments"]["names"] == ("tom", "rex")
    for number in range(COUNT):
        (root / f"obj_train_data/{number}.txt").write_text("a cat on a mat\n")
    assert find.find_planner(root) is None


@pytest.mark.parametrize(
    ("file", "content", "tool"),
    [
        ("0.json", '{"version": "5.4.1", "flags": {}, "shapes": [], "imagePath": "0.png"}', "Labelme"),
        ("annotations.xml", '<?xml version="1.0"?>\n<annotations>\n<image id="0" name="0.png"/></annotations>', "CVAT"),
    ],
)
def test_annotations_of_other_tools_are_named(tmp_path, file, content, tool):
    write(tmp_path / "data/0.png", png(0))
    write(tmp_path / "data" / file, content)
    with pytest.raises(PipelineError, match=f"{file} has annotations in the format of {tool}"):
        find.find_planner(tmp_path / "data")


def test_masks_are_found_by_the_names_of_their_folders_and_a_threshold_sets_the_gate(tmp_path):
    plan, text = planned(cells(tmp_path / "data"))
    assert "DATA = ImageMasks(" in text
    assert 'suffix="_mask"' in text
    assert plan.facts["bounds"].at_least["dice"] > 0.9  # the light rectangles are found by a threshold
    assert "A plain threshold of the grey reaches" in plan.facts["bounds"].baseline
    with zipfile.ZipFile(tmp_path / "data.zip", "w") as archive:
        for file in sorted((tmp_path / "data").rglob("*.png")):
            archive.write(file, file.relative_to(tmp_path))
    assert inspect.make_plan(tmp_path / "data.zip", "", "").template == "masks"


def test_otsu_parts_two_heaps():
    counts = np.zeros(256)
    counts[20:40], counts[200:220] = 5, 3
    assert 39 <= masks.otsu_threshold(counts) < 200


def test_folders_of_classes_stay_classes(tmp_path):
    for number in range(COUNT):
        write(tmp_path / f"data/{'cat' if number % 2 else 'dog'}/{number}.png", png(number))
    assert inspect.make_plan(tmp_path / "data", "", "").template == "image"


def test_pictures_without_a_box_and_a_target_are_refused(tmp_path):
    root = voc(tmp_path / "data")
    for file in (root / "Annotations").iterdir():
        file.write_text("<annotation></annotation>")
    with pytest.raises(PipelineError, match="There is no box"):
        inspect.make_plan(root, "", "")
    with pytest.raises(UsageError, match="say by themselves what is on them"):
        inspect.make_plan(voc(tmp_path / "other"), "price", "")


def test_a_split_without_a_box_is_refused(tmp_path):
    root = coco(tmp_path / "data")
    file = root / "annotations/instances_test.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | {"annotations": []}))
    with pytest.raises(PipelineError, match=r"No picture of the test split of .* has a box"):
        inspect.make_plan(root, "", "")


def test_faulty_pictures_are_named(tmp_path):
    root = voc(tmp_path / "data")
    (root / "Annotations/3.xml").write_text("<annotation>")
    plan, text = planned(root)
    assert any("1 of 120 rows cannot be used" in note for note in plan.notes)
    assert "bad_share=" in text


def test_annotations_without_a_picture_are_counted_with_the_first_one(tmp_path):
    for writer, file in ((voc, "Annotations/0.xml"), (yolo, "val/labels/0.txt")):
        root = writer(tmp_path / writer.__name__)
        for number in (0, 5, 10):
            next(root.rglob(f"{number}.png")).unlink()
        notes = planned(root)[0].notes
        assert any(note.startswith("3 of 120 rows cannot be used: it is ") for note in notes)
        assert any(note.startswith(f"The first: {root}/{file}: it is ") for note in notes)


def test_pictures_in_no_list_and_classes_of_one_name_are_said(tmp_path):
    root = voc(tmp_path / "data")
    write(root / "ImageSets/Main/train.txt", "\n".join(map(str, range(100))))
    for number in range(0, COUNT, 2):
        file = root / f"Annotations/{number}.xml"
        file.write_text(file.read_text().replace("dog", "A Cat's"))
    notes = planned(root)[0].notes
    words = "20 pictures that no list of a split names are not read: JPEGImages/100.png"
    assert any(note.startswith(words) for note in notes)
    assert any(note.startswith("Names of classes differ only in their case: A Cat's") for note in notes)


def test_texts_of_boxes_without_a_folder_of_pictures_are_named(tmp_path):
    root = yolo(tmp_path / "data")
    for split in ("train", "val"):
        (root / split / "images").rename(root / split / "photos")
    with pytest.raises(
        UsageError, match=r"folder labels of data are boxes of YOLO(.*\n)*Next: rename the folder of the"
    ):
        inspect.make_plan(root, "", "")


def test_a_table_of_pairs_without_rows_is_named(tmp_path):
    (tmp_path / "pairs.csv").write_text("en,de\n")
    with pytest.raises(UsageError, match="Received: a table without rows"):
        inspect.make_plan(tmp_path / "pairs.csv", "", "translation")


def pairs(path, columns=("en", "de")):
    lines = [",".join(columns), *(f"a sentence of number {n},ein Satz der Nummer {n}" for n in range(COUNT))]
    path.write_text("\n".join(lines) + "\n")
    return path


def test_two_columns_of_text_are_translated(tmp_path):
    plan = inspect.make_plan(pairs(tmp_path / "pairs.csv"), "", "translation")
    assert plan.template == "translation"
    assert plan.facts["arguments"]["source"] == "en"
    assert "A copy of the source has BLEU" in plan.facts["bounds"].baseline
    assert plan.facts["bounds"].at_least["bleu"] >= 5
    plan = inspect.make_plan(tmp_path / "pairs.csv", "en", "translation")
    assert (plan.facts["arguments"]["source"], plan.facts["arguments"]["target"]) == ("de", "en")


@pytest.mark.parametrize(("columns", "target"), [(("en", "de"), "fr"), (("en", "", "x"), "")])
def test_texts_that_are_not_clear_are_asked_for(tmp_path, columns, target):
    path = pairs(tmp_path / "pairs.csv", ("en", "de"))
    if len(columns) == 3:
        lines = [f"{line},word {n}" for n, line in enumerate(path.read_text().splitlines())]
        path.write_text("\n".join([lines[0].replace("word 0", "third"), *lines[1:]]) + "\n")
    with pytest.raises(UsageError, match="It is not clear which text"):
        inspect.make_plan(path, target, "translation")


def write_pairs(path, rows, columns=("en", "de")):
    path.write_text("\n".join([";".join(columns), *(";".join(row) for row in rows)]) + "\n")
    return path


def test_columns_that_are_no_text_are_named(tmp_path):
    path = write_pairs(tmp_path / "pairs.csv", [(f"a text of {n} words", str(n)) for n in range(COUNT)])
    for target in ("", "de"):
        with pytest.raises(UsageError, match=r"Received: .*en \(text\), de \(numbers\)\nNext: name a table with two"):
            inspect.make_plan(path, target, "translation")


def test_columns_that_are_the_same_are_refused(tmp_path):
    path = write_pairs(tmp_path / "pairs.csv", [(f"a text of {n} words",) * 2 for n in range(COUNT)])
    with pytest.raises(
        PipelineError, match=r"Both columns are the same(.*\n)*Received: 120 of 120 pairs .*'a text of 0"
    ):
        inspect.make_plan(path, "", "translation")


@pytest.mark.parametrize(
    ("row", "metric"),
    [
        (lambda n: (f"a text of {n} words", f"a text of {n} words" if n else "none of all these"), "bleu"),
        (lambda n: (f"the word {n}", f"das Wort {n}"), "chrf"),  # no text has the four words that BLEU counts
        (lambda n: (f"text {n}", f"text {n}." if n % 50 else "none"), "chrf"),
    ],
)
def test_a_gate_of_translations_asks_for_no_more_than_can_be_reached(tmp_path, row, metric):
    path = write_pairs(tmp_path / "pairs.csv", map(row, range(600)))
    bounds = inspect.make_plan(path, "", "translation").facts["bounds"]
    (name,) = bounds.at_least
    assert (metric, metric) == (name, next(iter(bounds.no_worse)))
    assert 5 <= bounds.at_least[name] < 100
    assert float(re.search(r"has (?:BLEU|chrF) (\d+\.\d)", bounds.baseline)[1]) < bounds.at_least[name]


def test_pairs_that_cannot_be_used_are_grouped_by_why(tmp_path):
    long = " word" * 1000
    rows = [(f"a text of {n} words", f"ein Text {n}") for n in range(COUNT)]
    rows += [(f"long {n}{' word' * n}{long}", f"lang {n}") for n in range(30)] + [("", f"leer {n}") for n in range(20)]
    notes = inspect.make_plan(write_pairs(tmp_path / "pairs.csv", rows), "", "translation").notes
    grouped = "30 times column en has … words, expected at most …; 20 times column en is empty."
    assert f"50 of 170 rows cannot be used: {grouped}" in notes
    assert any(
        note.startswith(f"The first: {tmp_path}/pairs.csv line 122: column en has 1,002 words") for note in notes
    )


def test_a_large_table_in_json_is_not_read_to_see_that_it_is_not_of_coco(tmp_path, monkeypatch):
    monkeypatch.setattr(type(tmp_path), "read_bytes", lambda path: pytest.fail(f"{path} was read as a whole"))
    (tmp_path / "rows.json").write_text("[" + ",".join(f'{{"a": {n}, "b": "x"}}' for n in range(9)) + "]")
    (tmp_path / "lines.json").write_text("\n".join(f'{{"a": {n}, "b": "x"}}' for n in range(9)))
    assert not coco_plans.is_coco(tmp_path / "rows.json")
    assert not coco_plans.is_coco(tmp_path / "lines.json")


def test_an_archive_of_coco_is_no_folder_of_classes(tmp_path):
    root = coco(tmp_path / "data")
    with zipfile.ZipFile(tmp_path / "data.zip", "w") as archive:
        for file in sorted(path for path in root.rglob("*") if path.is_file()):
            archive.write(file, file.relative_to(tmp_path))
    with pytest.raises(UsageError, match="archive of pictures with boxes in COCO's format"):
        inspect.make_plan(tmp_path / "data.zip", "", "")


def test_masks_that_lose_pixels_are_no_class(tmp_path):
    for number in range(COUNT):
        write(tmp_path / f"data/images/{number}.png", png(number))
        buffer = io.BytesIO()
        Image.open(io.BytesIO(mask())).save(buffer, "jpeg")
        write(tmp_path / f"data/masks/{number}.jpg", buffer.getvalue())
    with pytest.raises(UsageError, match="cannot be trusted to the pixel"):
        inspect.make_plan(tmp_path / "data", "", "")


def test_texts_beside_pictures_are_no_masks(tmp_path):
    for number in range(COUNT):
        write(tmp_path / f"data/images/{'a' if number % 2 else 'b'}/{number}.png", png(number))
        write(tmp_path / f"data/labels/{number}.csv", "1,2\n")
    assert masks.find_masks(tmp_path / "data") is None


def definitions(text):
    """Functions and classes without their docstrings."""
    found = {}
    for node in ast.parse(text).body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            for inner in ast.walk(node):
                if isinstance(inner, ast.FunctionDef | ast.ClassDef) and ast.get_docstring(inner):
                    inner.body = inner.body[1:] or [ast.Pass()]
            found[node.name] = ast.unparse(node)
    return found


@pytest.mark.parametrize(
    ("recipe", "write", "task"),
    [
        ("nuclei", cells, ""),
        ("blood_cells", voc, ""),
        ("translate", lambda path: pairs(path.with_suffix(".csv")), "translation"),
    ],
)
def test_a_template_has_the_code_of_its_recipe(tmp_path, recipe, write, task):
    plan = inspect.make_plan(write(tmp_path / "data"), "", task)
    written = definitions(render.render_recipe(plan, "mine"))
    source = (ROOT / "models" / f"{recipe}.py").read_text()
    for word, own in WORDS[recipe].items():
        source = re.sub(rf"(?<!\w){word}(?!\w)", own, source.replace(word.replace("'", '"'), word))
    expected = definitions(source)
    assert expected.keys() == written.keys()
    assert {} == {
        name: (code, written[name])
        for name, code in expected.items()
        if code != written[name] and name not in OWN[recipe]
    }
