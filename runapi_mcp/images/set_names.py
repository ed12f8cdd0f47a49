"""What a set of pictures can be called in a directory: where it is already, and what is taken."""

import hashlib
import json
from collections.abc import Collection, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from itertools import chain
from typing import Final

from runapi_mcp.base.json_values import as_object
from runapi_mcp.images.directory import Directory
from runapi_mcp.images.naming import IMAGE_SUFFIXES, SetMember

# Counting on would take as many steps as there are pictures of the name.
LAST_NUMBER: Final = 9
MOST_HASHED: Final = 16
"""How many names of four digits are tried; one is free sooner unless nearly all are taken."""
LARGEST_SIDECAR_BYTES: Final = 1_000_000


@dataclass(frozen=True, slots=True)
class SetNames:
    """The names that one picture of a set may have, and so its siblings."""

    directory: Directory
    stem: str
    """The wanted one."""
    member: SetMember
    suffixes: Collection[str] = IMAGE_SUFFIXES
    """Those with which a file takes a name."""

    def numbered(self) -> list[str]:
        """The stems that are likely."""
        return [self.stem, *(f"{self.stem}-{number}" for number in range(2, LAST_NUMBER + 1))]

    def in_order(self) -> Iterable[str]:
        """All stems there are, the one where siblings are first."""
        stems = [*self.numbered(), *self._hashed()]
        return dict.fromkeys([next(filter(self.has_siblings, stems), self.stem), *stems])

    def _hashed(self) -> list[str]:
        """The same for the whole set, whichever server saves it."""
        seeds = (f"{self.member.set_id} {n}".encode(errors="replace") for n in range(MOST_HASHED))
        return [f"{self.stem}-{hashlib.sha256(seed).hexdigest()[:4]}" for seed in seeds]

    def has_siblings(self, stem: str) -> bool:
        return any(map(self._is_sibling, self.member.sibling_names(stem)))

    def taken(self, stem: str, but: Collection[str] = ()) -> list[str]:
        """The files with one of the set's names, those of siblings and some others aside."""
        found = self._files(self.member.name(stem))
        for name in self.member.sibling_names(stem):
            # In this order: a sibling may come between.
            if (files := self._files(name)) and not self._is_sibling(name):
                found += files
        return [file for file in found if file not in but]

    def clear_sidecars(self, picture: str) -> None:
        """Remove the JSONs of the set that this picture is of, if all of the set are there."""
        stem = self.member.stem(picture.rpartition(".")[0])
        names = [self.member.name(stem), *self.member.sibling_names(stem)]
        pictures = [self._pictures(name) for name in names]
        if not all(pictures):
            return
        for each in chain.from_iterable(pictures):
            if self._is_of_set(each):
                with suppress(OSError):
                    self.directory.remove(f"{each}.json")

    def _files(self, name: str) -> list[str]:
        sidecars = [f"{name}{suffix}.json" for suffix in self.suffixes]
        return [*self._pictures(name), *filter(self.directory.exists, sidecars)]

    def _pictures(self, name: str) -> list[str]:
        return list(filter(self.directory.exists, (name + suffix for suffix in self.suffixes)))

    def _is_sibling(self, name: str) -> bool:
        return any(self._is_of_set(name + suffix) for suffix in self.suffixes)

    def _is_of_set(self, picture: str) -> bool:
        told = read_sidecar(self.directory, picture)
        return told.get("set", told.get("task_id")) == self.member.set_id


def read_sidecar(directory: Directory, picture: str) -> Mapping[str, object]:
    """What the JSON beside a picture says; nothing where there is none of ours."""
    try:
        return as_object(json.loads(directory.read(f"{picture}.json", LARGEST_SIDECAR_BYTES)))
    except (OSError, ValueError, RecursionError):
        return {}
