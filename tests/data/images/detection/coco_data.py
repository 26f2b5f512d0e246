"""A tiny data set in the format of COCO, written to a folder."""

import json

import numpy as np
from PIL import Image

CATEGORIES = ({"id": 7, "name": "lamp"}, {"id": 2, "name": "person"})


def entries(names, *, size=(20, 30), first=1):
    """Images of a JSON file."""
    return [
        {"id": first + place, "file_name": name, "height": size[0], "width": size[1]}
        for place, name in enumerate(names)
    ]


def annotation(number, image, bbox, *, category=2, **more):
    return {"id": number, "image_id": image, "category_id": category, "bbox": bbox, **more}


def write_json(path, *, images, annotations=(), categories=CATEGORIES):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(
        json.dumps({"images": list(images), "annotations": list(annotations), "categories": list(categories)})
    )
    return path


def visible(seed, size=(20, 30)):
    return np.random.default_rng([1, seed]).integers(1, 256, (*size, 3)).astype(np.uint8)


def thermal(seed, size=(20, 30), *, sixteen=False):
    counts = np.random.default_rng([2, seed]).integers(1, 256, size)
    return (7000 + 10 * counts).astype(np.uint16) if sixteen else counts.astype(np.uint8)


def save(path, pixels, **options):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path, **options)


def write_pairs(folder, *, sixteen=False):
    """Three splits of two images each, a to f, in two modalities; the second image of each split has no objects."""
    for place, (split, names) in enumerate({"train": "ab", "validation": "cd", "test": "ef"}.items()):
        images = entries([f"{name}.png" for name in names], first=10 * place)
        objects = [
            annotation(1, 10 * place, [2, 4, 10, 8]),
            annotation(2, 10 * place, [20.5, 0, 9.5, 20], category=7, iscrowd=1),
            annotation(3, 10 * place, [15, 10, 100, 4], category=7),
        ]
        write_json(folder / "annotations" / f"{split}.json", images=images, annotations=objects)
        for seed, name in enumerate(names, start=10 * place):
            save(folder / "visible" / f"{name}.png", visible(seed))
            save(folder / "infrared" / f"{name}.png", thermal(seed, sixteen=sixteen))
    return folder
