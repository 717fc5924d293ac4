"""Hostile FAISS files: those that name other files, and those with inconsistent numbers."""

from __future__ import annotations

import faiss
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from artidx.errors import BadIndex
from artidx.files import sha256_of
from artidx.index.scoring.vectors import Part, Vectors
from artidx.index.storage import approximate
from artidx.index.storage.approximate import Approximate
from artidx.index.storage.lists_file import check_lists, write_joined

LENGTH, DIM, LISTS = 400, 8, 16
FACTS = Approximate("IVF16,SQ8", 4, 1.0)


def vectors(same=False):
    matrix = np.random.default_rng(0).normal(size=(LENGTH, DIM)).astype(np.float32)
    matrix = matrix[np.zeros(LENGTH, int)] if same else matrix
    return matrix / np.linalg.norm(matrix, axis=1, keepdims=True)


def made(kind=f"IVF{LISTS},SQ8", same=False):
    found = faiss.index_factory(DIM, kind, faiss.METRIC_INNER_PRODUCT)
    found.train(vectors())
    found.add(vectors(same))
    return found


def opened(path, length=LENGTH, dim=DIM):
    return approximate.read(path, FACTS, length, dim, sha256_of(path)).index


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    path = tmp_path_factory.mktemp("lists") / "a.faiss"
    faiss.write_index(made(), str(path))
    return path


@pytest.mark.parametrize("same", [False, True])  # in one list, all others empty: FAISS writes that in another form
def test_lists_as_they_are_written_are_opened_and_find_what_they_should(tmp_path, same):
    index = made(same=same)
    faiss.write_index(index, str(tmp_path / "a.faiss"))
    found = opened(tmp_path / "a.faiss").search(vectors()[:5], 3)
    assert np.array_equal(found[1], index.search(vectors()[:5], 3)[1])


@settings(max_examples=20, deadline=None)
@given(st.lists(st.integers(0, 50), min_size=1, max_size=5))
def test_lists_joined_from_several_parts_are_those_of_one_index_to_the_bit(tmp_path_factory, sizes):
    folder, matrix, ends = tmp_path_factory.mktemp("joined"), vectors()[: sum(sizes)], np.cumsum([0, *sizes])
    whole = made()
    whole.reset()
    parts = [faiss.clone_index(whole) for _ in sizes]
    for part, start, end in zip(parts, ends[:-1], ends[1:], strict=True):
        part.add_with_ids(matrix[start:end], np.arange(start, end))
    whole.ntotal = len(matrix)
    write_joined(folder / "a.faiss", faiss.serialize_index(whole).tobytes(), parts)
    check_lists(folder / "a.faiss", len(matrix), DIM)
    whole.ntotal = 0
    whole.add(matrix)
    joined = faiss.serialize_index(faiss.read_index(str(folder / "a.faiss")))
    assert joined.tobytes() == faiss.serialize_index(whole).tobytes()


def test_lists_that_lie_in_another_file_are_refused_and_that_file_is_as_it_was(tmp_path):
    index, elsewhere = made(), tmp_path / "elsewhere"
    lists = faiss.OnDiskInvertedLists(LISTS, DIM, str(elsewhere))
    lists.merge_from_1(index.invlists)
    index.replace_invlists(lists)
    faiss.write_index(index, str(tmp_path / "a.faiss"))
    elsewhere.write_text("years of work")
    with pytest.raises(BadIndex, match="no ilar"):
        opened(tmp_path / "a.faiss")
    assert elsewhere.read_text() == "years of work"


@pytest.mark.parametrize("kind", ["Flat", "IVF16,Flat", "IVF16,SQ4", "IVF16,PQ4", "HNSW8", "PCA4,IVF16,SQ8"])
def test_files_of_other_kinds_are_refused(tmp_path, kind):
    faiss.write_index(made(kind), str(tmp_path / "a.faiss"))
    with pytest.raises(BadIndex, match="not inverted lists"):
        opened(tmp_path / "a.faiss")


@pytest.mark.parametrize("place", [-1, LENGTH, 1 << 40, -(1 << 62)])
def test_places_that_no_vector_has_are_refused(tmp_path, written, place):
    data = bytearray(written.read_bytes())
    data[-8:] = place.to_bytes(8, "little", signed=True)
    (tmp_path / "a.faiss").write_bytes(data)
    with pytest.raises(BadIndex, match="places that no vector has"):
        opened(tmp_path / "a.faiss")


@settings(deadline=None, max_examples=100)
@given(st.integers(0, 2000), st.integers(0, 255), st.integers(-40, 40))
def test_a_changed_byte_or_length_is_refused_or_harmless(tmp_path_factory, written, place, value, longer):
    data = bytearray(written.read_bytes())
    data[place] = value
    data = data + bytes(longer) if longer > 0 else data[: len(data) + longer]
    path = tmp_path_factory.mktemp("changed") / "a.faiss"
    path.write_bytes(data)
    try:
        check_lists(path, LENGTH, DIM)
    except ValueError:
        return
    assert longer == 0
    lists = approximate.read(path, FACTS, LENGTH, DIM, sha256_of(path))
    try:  # how many lists are read is not the file's to say
        found = Vectors([Part(vectors(), lists)]).nearest(vectors()[:5], 3)[0]
    except BadIndex:  # FAISS refuses it
        return
    assert ((found >= -1) & (found < LENGTH)).all()


def test_an_empty_file_is_refused(tmp_path):
    (tmp_path / "a.faiss").write_bytes(b"")
    with pytest.raises(BadIndex, match="not inverted lists"):
        opened(tmp_path / "a.faiss")
