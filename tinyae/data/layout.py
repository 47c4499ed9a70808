"""Divides the images of a folder into training, validation and test splits and classes, by the names of sub-folders.

A path here is a tuple of names below the folder: ("train", "cat", "1.png").
"""

import os
import re

from .dataset import canonical
from .files import clear_errors, listed, problem

WORDS = {
    "train": "train", "training": "train", "val": "validation", "valid": "validation", "validation": "validation",
    "test": "test", "testing": "test",
}  # fmt: skip
JUNK = ("__MACOSX", "@eaDir", "$RECYCLE.BIN", "lost+found")  # folders that systems leave behind, thumbnails in them
FILLERS = {"set", "data", "dataset", "images", "split"}  # words that the name of a split may contain besides its own


def arrange(folder, images, folders):
    """Assign each image to its split and class: returns ({split: [(path, class name or None)]}, notes).

    images: paths of image files, sorted. folders: paths of all folders, empty ones too.

    Folders called train, val (valid, validation) and test, in any case, are the splits. The sub-folders of a split are
    its classes. A single folder around everything is skipped. Images next to the folders of classes or splits are left
    out, and a note reports them. Raises `DataError` if the names are ambiguous.
    """
    images, strays = _peeled(folder, images, 0)
    depth, names = _parts(folder, images, folders)
    if names:
        inside = {part: [path for path in images if path[depth] == name] for part, name in names.items()}
        inside = {part: [path for path in paths if len(path) > depth + 1] for part, paths in inside.items()}
        for part, name in names.items():
            if not inside[part]:
                raise problem(os.path.join(folder, *images[0][:depth], name), "holds no images: put some there")
        levels = dict.fromkeys(inside, depth + 1)
    else:
        inside, levels = {"train": images}, {"train": 0}
    counts = {part: f"{len(paths):,} image{'s'[: len(paths) > 1]}" for part, paths in inside.items()}
    notes = [f"{part}: {counts[part]} in {listed([name])}" for part, name in names.items()]
    strays += sorted(set(images) - {path for paths in inside.values() for path in paths})
    for part in inside:
        inside[part], beside = _peeled(folder, inside[part], levels[part])
        strays += beside

    wrappers = {part: _common(paths, levels[part]) for part, paths in inside.items()}
    classes = {part: _below(paths, levels[part] + len(wrappers[part])) for part, paths in inside.items()}
    found = {}
    for part, paths in inside.items():
        elsewhere = {name for other, names in classes.items() if other != part and len(names) > 1 for name in names}
        # A lone sub-folder is a class if another part has it among several, as the good ones of a test for defects.
        lone = next((i for i, name in enumerate(wrappers[part]) if name in elsewhere), len(wrappers[part]))
        level = levels[part] + lone
        if len(_below(paths, level)) < 2 and lone == len(wrappers[part]):
            found[part] = [(path, None) for path in paths]
            continue
        loose = [path for path in paths if len(path) == level + 1]
        _refuse_many(folder, loose, paths, level)
        strays += loose
        found[part] = [(path, path[level]) for path in paths if len(path) > level + 1]
    _refuse_parts_of_classes(folder, found)
    found = {part: [(path, name and canonical(name)) for path, name in pairs] for part, pairs in found.items()}
    named = sorted({name for pairs in found.values() for _, name in pairs if name is not None})
    if named:
        notes.append(f"{len(named)} classes by folder: {listed(named)}")
        here = {name for _, name in found["train"]}
        if None not in here and (unseen := [name for name in named if name not in here]):
            notes.append(f"train has no images of {listed(unseen)}")
    bare = {part: listed(["/".join(wrappers[part])]) for part, pairs in found.items() if pairs[0][1] is None}
    if not named and len(set(bare.values())) == 1:
        if any(wrappers.values()):
            notes.append(f"all images lie in {bare['train']}, which counts as no class")
    else:
        for part, lone in bare.items():
            why = f"all images lie in {lone}, which counts as no class" if wrappers[part] else "no class folders"
            notes.append(f"{part}: {why}, so no labels")
    if strays:
        notes.append(f"left out, as they lie next to the folders: {listed(['/'.join(path) for path in strays])}")
    return found, notes


def wrapped(folder):
    """The folder, then the one in it as long as a folder holds one alone: `data`, `data/MNIST`, `data/MNIST/raw`."""
    while folder is not None:
        yield folder
        with clear_errors(folder), os.scandir(folder) as entries:
            inner = [entry.path for entry in entries if entry.is_dir(follow_symlinks=False) and shown(entry.name)]
        folder = inner[0] if len(inner) == 1 else None


def shown(name):
    """Whether the folder called `name` is one that the user made: neither hidden nor left behind by a system."""
    return not name.startswith(".") and name not in JUNK


def _peeled(folder, images, level):
    """Separate (images, strays): strays lie next to a folder that holds all other images, in several sub-folders."""
    rest, strays, around = images, [], level
    while len(names := _below(rest, around)) == 1:
        strays += [path for path in rest if len(path) == around + 1]
        rest = [path for path in rest if len(path) > around + 1]
        around += 1
    if len(names) < 2 or not strays:
        return images, []
    _refuse_many(folder, strays, images, level)
    return rest, strays


def _refuse_many(folder, loose, paths, level):
    """Refuse to leave out `loose`, the images next to folders of images, if they are most of `paths`."""
    if len(loose) > len(paths) // 2:
        beside = f"{len(loose):,} images next to folders of images ({listed(_below(paths, level))})"
        where = os.path.join(folder, *loose[0][:level])
        raise problem(where, f"holds {beside}: move all of them into folders by class, or out of them")


def _refuse_parts_of_classes(folder, found):
    """Refuse cat/train, cat/test, dog/train and the like: splits inside classes would all be used for training."""
    for pairs in found.values():
        below = {(name, path[path.index(name) + 1]) for path, name in pairs if name and path[-2] != name}
        parts = sorted({inner for _, inner in below if _kind(inner)})
        if len({_kind(inner) for inner in parts}) > 1:
            classes = listed(sorted({name for name, inner in below if inner in parts}))
            advice = f"put {parts[0]} and the others outside, {parts[0]}/{sorted(below)[0][0]} and so on"
            raise problem(folder, f"has {listed(parts)} inside of {classes}: {advice}")


def _parts(folder, images, folders):
    """Find the splits: returns (number of folders around them, {split: folder name}); no names without splits."""
    around, alone = _common(images, 0), None
    for depth in range(len(around) + 1):
        beside = sorted(path[depth] for path in folders if len(path) == depth + 1 and path[:depth] == around[:depth])
        kinds = {}
        for name in beside:
            if kind := _kind(name):
                kinds.setdefault(kind, []).append(name)
        where, holding = os.path.join(folder, *around[:depth]), set(_below(images, depth))
        if len(kinds) > 1 or any(len(names) > 1 for names in kinds.values()):
            return depth, _checked(where, kinds, holding)
        for kind, (name,) in kinds.items():
            classes = _below([path for path in images if path[depth] == name], depth + 1)
            # A folder train next to others may hold pictures of trains, but not classes.
            if name in holding and len(holding) > 1 and (kind != "train" or len(classes) > 1):
                others = listed(sorted(holding - {name}))
                raise problem(where, f"has folders of images ({others}) next to {name}: put them into a folder train")
            if holding == {name}:
                alone = None if kind == "train" else (where, kinds)
    if alone is not None:
        _checked(*alone)
    _refuse_look_alikes(os.path.join(folder, *around), _below(images, len(around)))
    return 0, {}


def _checked(where, kinds, holding=()):
    """Check folders named like splits and return {split: folder name}. holding: the folders that hold images."""
    names = sum(kinds.values(), [])
    if twice := next((found for found in kinds.values() if len(found) > 1), None):
        raise problem(where, f"has {listed(twice)}, which name the same part: keep one of them")
    if "train" not in kinds:
        raise problem(where, f"has {listed(names)} and no train: add it, or give the path of one of them")
    if others := sorted(holding - set(names)):
        raise problem(where, f"has folders of images ({listed(others)}) next to {listed(names)}: move them away")
    return {part: kinds[part][0] for part in ("train", "validation", "test") if part in kinds}


def _words(name):
    """The words of a folder's name: "seg_train" -> seg, train; "trainA" -> train, a; "val2017" -> val."""
    return [word.lower() for word in re.findall(r"[A-Z]?[a-z]+|[A-Z]+", name)]


def _kind(name):
    """The split that a folder's name means, or None."""
    if part := WORDS.get(name.lower()):  # "tEST", too
        return part
    words = [word for word in _words(name) if word not in FILLERS]
    return WORDS.get(words[0]) if len(words) == 1 else None


def _refuse_look_alikes(where, names):
    """Refuse folders such as trainA and testA: they seem to be splits, so taking them as classes would be wrong."""
    said = {name: {WORDS[word] for word in _words(name) if word in WORDS} for name in names}
    alike = [name for name in names if said[name]]
    if 2 * len(alike) >= len(names) and len(set().union(*said.values())) > 1:
        advice = "call them train, val and test, or give the path of one"
        raise problem(where, f"has {listed(alike)}, which look like parts: {advice}")


def _common(paths, level):
    """The folders from `level` on that all paths have in common."""
    return os.path.commonprefix([path[level:-1] for path in paths])


def _below(paths, level):
    """The sorted names of folders at `level` that hold images."""
    return sorted({path[level] for path in paths if len(path) > level + 1})
