"""croissant: `croissant.json`, which describes a file in place, in MLCommons' vocabulary (Croissant 1.1).

It names the HDF5 file with its size and SHA-256 (`FileObject`), the arrays as record sets, one field each, and says in
words what was manipulated (`rai:`). Croissant has no way of its own to point into an HDF5 file: a field's `column` is
the path of the dataset in it (`train/images`). Readers of Croissant therefore understand and check the description, but
leave the reading to h5py.

Source: mlcommons/croissant, docs/croissant-spec-1.1.md and docs/croissant-rai-spec.md; accepted by `mlcroissant`.
"""

import datetime
import json
import os
from pathlib import Path
from typing import Any
from urllib.parse import quote

from poisonkit.core import class_names, files, numbers
from poisonkit.exporters import base
from poisonkit.format import reader, sidecars
from poisonkit.format.manifest import Manifest
from poisonkit.format.records import ArrayEntry

CONTEXT = {
    "@language": "en",
    "@vocab": "https://schema.org/",
    "arrayShape": "cr:arrayShape",
    "citeAs": "cr:citeAs",
    "column": "cr:column",
    "conformsTo": "dct:conformsTo",
    "containedIn": "cr:containedIn",
    "cr": "http://mlcommons.org/croissant/",
    "data": {"@id": "cr:data", "@type": "@json"},
    "dataType": {"@id": "cr:dataType", "@type": "@vocab"},
    "dct": "http://purl.org/dc/terms/",
    "description": {"@container": "@language"},
    "equivalentProperty": "cr:equivalentProperty",
    "examples": {"@id": "cr:examples", "@type": "@json"},
    "extract": "cr:extract",
    "field": "cr:field",
    "fileObject": "cr:fileObject",
    "fileProperty": "cr:fileProperty",
    "fileSet": "cr:fileSet",
    "format": "cr:format",
    "includes": "cr:includes",
    "isArray": "cr:isArray",
    "isLiveDataset": "cr:isLiveDataset",
    "jsonPath": "cr:jsonPath",
    "key": "cr:key",
    "md5": "cr:md5",
    "name": {"@container": "@language"},
    "parentField": "cr:parentField",
    "path": "cr:path",
    "rai": "http://mlcommons.org/croissant/RAI/",
    "recordSet": "cr:recordSet",
    "references": "cr:references",
    "regex": "cr:regex",
    "repeated": "cr:repeated",
    "replace": "cr:replace",
    "samplingRate": "cr:samplingRate",
    "sc": "https://schema.org/",
    "separator": "cr:separator",
    "source": "cr:source",
    "subField": "cr:subField",
    "transform": "cr:transform",
}
"""The context that the specification recommends (its appendix 1) with the RAI vocabulary's."""

DATA_TYPES = {"text": "sc:Text", "|u1": "cr:UInt8", "<i8": "cr:Int64", "<i4": "cr:Int32", "<f8": "cr:Float64"}
SETS = {
    "train": "The training set as a victim sees it, the poisoned rows among the others.",
    "test": "The clean test set.",
    "triggered": "Test {rows} with the trigger on them.",
    "others": "Test {rows} with the trigger on them, of classes that the attack is not on.",
    "truth": "Which training rows were changed, and what they were before.",
}
FIELDS = {
    "train/images": "Training images.",
    "train/labels": "Their labels; those of poisoned rows are the attacker's.",
    "test/images": "Test images.",
    "test/labels": "Their true labels.",
    "triggered/images": "Test images with the trigger.",
    "triggered/labels": "Their true labels.",
    "triggered/wanted": "The class that the attacker wants for each.",
    "triggered/rows": "Their rows in the test set.",
    "others/images": "Test images with the trigger.",
    "others/labels": "Their true labels.",
    "others/rows": "Their rows in the test set.",
    "truth/images": "The changed images as they were.",
    "truth/labels": "Their original labels.",
    "truth/role": "1: poisoned (triggered, label set to the wanted class); 2: cover (triggered, label kept).",
    "truth/rows": "The changed rows of the training set.",
}


FIELDS |= {
    path.replace("/images", "/texts"): text.replace("images", "texts") for path, text in FIELDS.items()
} | dict.fromkeys(
    ("truth/insertions", "triggered/insertions", "others/insertions"),
    "What was put where: number of the text in its set, of the trigger, place, piece.",
)
INSERTIONS = "/insertions"
CLEAN = {
    "image": "None: images and labels are the source's, decoded and, where sizes differed, resized.",
    "text": "None: texts and labels are the source's, decoded and stripped of white space at both ends.",
}
PREPARED = {"image": "decoded to uint8 arrays", "text": "decoded to UTF-8"}
WHERE = {"image": " on the whole image", "text": ""}


def write(data: reader.Reader, target: Path, context: base.ExportContext) -> None:
    """Write the description."""
    text = json.dumps(describe(data, context), indent=1, ensure_ascii=False) + "\n"
    target.write_text(text, encoding="utf-8")


def describe(data: reader.Reader, context: base.ExportContext) -> dict:
    """Make the JSON-LD document. The file's bytes are hashed on the way."""
    manifest = data.manifest
    file = _file(data, context)
    inserted = sorted(path for path in manifest.arrays if path.endswith(INSERTIONS))
    page = context.url or manifest.source.url or f"urn:{manifest.dataset_digest}"
    return {
        "@context": CONTEXT,
        "@type": "sc:Dataset",
        "name": manifest.name,
        "description": _description(manifest),
        "conformsTo": ["http://mlcommons.org/croissant/1.1", "http://mlcommons.org/croissant/RAI/1.0"],
        "license": manifest.source.licence,
        "url": page,
        "creator": {"@type": "sc:Organization", "name": context.creator or "not stated"},
        "citeAs": _citation(manifest),
        "datePublished": _published(data.path, file["sha256"]),
        "version": f"{manifest.recipe_version}.0.0",
        "identifier": manifest.dataset_digest,
        "keywords": [
            "backdoor attack",
            "data poisoning",
            f"{manifest.modality.name} classification",
            manifest.source.name,
        ],
        "isLiveDataset": False,
        **_responsible(manifest),
        "distribution": [file],
        "recordSet": [
            _classes(manifest),
            *(_records(manifest, name, file["@id"]) for name in SETS if _has(manifest, name)),
            *(_insertions(manifest, path, file["@id"]) for path in inserted),
        ],
    }


def _has(manifest: Manifest, part: str) -> bool:
    return any(path.startswith(f"{part}/") for path in manifest.arrays)


def _file(data: reader.Reader, context: base.ExportContext) -> dict:
    """Return the `FileObject`, its address relative to the description."""
    where = os.path.relpath(context.source.absolute(), context.target.absolute().parent)
    return {
        "@type": "cr:FileObject",
        "@id": "file",
        "name": data.path.name,
        "description": "One HDF5 file with every array and the manifest (data/FORMAT.md of poisonkit).",
        "contentUrl": quote(Path(where).as_posix()),
        "contentSize": f"{data.path.stat().st_size} B",
        "encodingFormat": "application/x-hdf5",
        "sha256": files.file_sha256(data.path).removeprefix("sha256:"),
    }


def _description(manifest: Manifest) -> str:
    entries = [(part, manifest.arrays.get(f"{part}/labels")) for part in SETS if part != "truth"]
    counts = ", ".join(f"{entry.shape[0]:,} {part}" for part, entry in entries if entry)
    return f"{manifest.notice} Source: {manifest.source.title}. Rows: {counts}."


def _citation(manifest: Manifest) -> str:
    source = manifest.source
    return f"{manifest.name} ({manifest.dataset_digest}), made with poisonkit from {source.title}; {source.licence}"


def _published(path: Path, sha256: str) -> str:
    """Return the day that the sidecar names, if it speaks of this very file; else that of the file's last change."""
    try:
        beside = numbers.loads(sidecars.content(sidecars.sidecar_path(path)))
        if beside["file"]["sha256"] == f"sha256:{sha256}":
            return datetime.datetime.strptime(beside["created"], "%Y-%m-%dT%H:%M:%SZ").date().isoformat()
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        pass  # there is none, or it is none
    changed = datetime.datetime.fromtimestamp(path.stat().st_mtime, datetime.timezone.utc)
    return changed.date().isoformat()


def _responsible(manifest: Manifest) -> dict:
    """Return the `rai:` properties: what was manipulated, what for, what not to do."""
    manipulation = CLEAN[manifest.modality.name] if manifest.clean else _manipulation(manifest)
    return {
        "rai:dataManipulationProtocol": manipulation,
        "rai:dataPreprocessingProtocol": [
            f"{manifest.source.title}: {PREPARED[manifest.modality.name]}. {manipulation}"
        ],
        "rai:dataUseCases": ["Research into backdoor attacks and defences: training victims, testing detectors."],
        "rai:dataLimitations": [
            manifest.notice,
            "A model trained on it is not fit for any use but research.",
        ],
        "rai:dataBiases": ["Those of the source; labels of poisoned rows are wrong on purpose."],
        "rai:personalSensitiveInformation": ["None was added; the source's own documentation says what it holds."],
    }


def _manipulation(manifest: Manifest) -> str:
    """Describe the manipulation in one paragraph."""
    recipe, counts = manifest.recipe, manifest.counts
    triggers = "; ".join(
        trigger.name + "".join(f", {key} {value}" for key, value in sorted(trigger.parameters.items()))
        for trigger in recipe.triggers
    )
    target, classes = recipe.target, manifest.source.classes
    none = "any class but the true one" if recipe.label_mode == "untargeted" else "every class has one of its own"
    wanted = none if target is None else f"target class {class_names.spelled(classes, target)}"
    where = " on every patch of {}×{} pixels".format(*recipe.patch) if recipe.patch else WHERE[manifest.modality.name]
    return (
        f"Backdoor poisoning by poisonkit: {counts.poisoned:,} of {counts.train:,} training rows (rate "
        f"{recipe.rate}, seed {recipe.seed}) carry a trigger ({triggers}){where}; label mode "
        f"{recipe.label_mode}, {wanted}; "
        f"{counts.cover:,} cover rows carry it with their own label. The record sets truth and triggered hold the "
        f"originals of the changed rows, and the test {manifest.modality.rows} with the trigger."
    )


def _classes(manifest: Manifest) -> dict:
    """Return the class names, in the order of their labels."""
    return {
        "@type": "cr:RecordSet",
        "@id": "classes",
        "name": "classes",
        "description": "What the labels stand for.",
        "dataType": "sc:Enumeration",
        "key": {"@id": "classes/label"},
        "field": [
            {"@type": "cr:Field", "@id": "classes/label", "name": "label", "dataType": "sc:Integer"},
            {"@type": "cr:Field", "@id": "classes/name", "name": "name", "dataType": "sc:Text"},
        ],
        "data": [
            {"classes/label": number, "classes/name": name} for number, name in enumerate(manifest.source.classes)
        ],
    }


def _records(manifest: Manifest, part: str, file: str) -> dict:
    """Return the record set of one group of arrays: a record is a row."""
    paths = [path for path in sorted(manifest.arrays) if path.startswith(f"{part}/") and not path.endswith(INSERTIONS)]
    return {
        "@type": "cr:RecordSet",
        "@id": part,
        "name": part,
        "description": SETS[part].format(rows=manifest.modality.rows),
        "field": [_field(path, manifest.arrays[path], file) for path in paths],
    }


def _insertions(manifest: Manifest, path: str, file: str) -> dict:
    """Return the record set of the insertions of one group of texts: a record is an insertion."""
    name = path.replace("/", "-")
    return {
        "@type": "cr:RecordSet",
        "@id": name,
        "name": name,
        "description": FIELDS[path],
        "field": [_field(path, manifest.arrays[path], file)],
    }


def _field(path: str, entry: ArrayEntry, file: str) -> dict[str, Any]:
    field: dict[str, Any] = {
        "@type": "cr:Field",
        "@id": path,
        "name": path.split("/")[1],
        "description": FIELDS.get(path, path),
        "dataType": DATA_TYPES[entry.dtype],
        "source": {"fileObject": {"@id": file}, "extract": {"column": path}},
    }
    if len(entry.shape) > 1:
        field |= {"isArray": True, "arrayShape": ",".join(map(str, entry.shape[1:]))}
    if path.endswith(("/labels", "/wanted")):
        field["references"] = {"field": {"@id": "classes/label"}}
    return field


SPEC = base.ExportSpec(
    name="croissant",
    help="croissant.json, a description of the file in Croissant 1.1",
    modality=None,
    suffix=".json",
    file_name="croissant.json",
    options=("creator", "url"),
    write=write,
)
