"""Six Croissant cards in the wild."""

import pytest

from ledger.errors import Malformed
from ledger.governance.card import parse_card

pytestmark = pytest.mark.real

ISSUE = "https://github.com/mlcommons/croissant/issues/80"


@pytest.fixture
def read(shared_data):
    return lambda name: (shared_data / "croissant" / name).read_bytes()


@pytest.mark.parametrize(
    ("name", "title", "version", "files"),
    [
        (
            "1.0-dices-350.json",
            "DICES-350_dataset",
            "1.0.0",
            [("repo", "0091e88bcdc6ef788d30c647ea02e2a52523cbd322c94ea3b46137ef66c44acc")],
        ),
        (
            "1.1-image_test.json",
            "GSFC_AI4QC dataset",
            "1.0.0",
            [
                ("S2_images_all_bands.zip", "8a5cddd70495387f3a055590fce91fb60a6433d4eb051027a2a90d18f0466573"),
                ("masks.zip", "c51bcbd2ec8c3f1649591b9c693ddbf99f5b464ec9c6d3b57bd7946fe455c1af"),
                ("S2_images_true_color.zip", "f2fc2f7602087e55790a1556fac2938489b5320fde3737d90d79061447f0e340"),
            ],
        ),
        ("1.1-zenodo-head-mri.json", "MRI head scan", "", [("data.zip", None)]),
    ],
)
def test_three_are_accepted(read, name, title, version, files):
    """Three are accepted, one of them with an MD5 alone, which is no digest to us."""
    card = parse_card(read(name))
    assert (title, version) == (card.name, card.version)
    assert name[:3] == card.conforms_to.rpartition("/")[2]
    assert files == [(file.name, file.sha256) for file in card.files]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("1.0-bigcode-the-stack.json", ISSUE),
        ("1.0-coco2014.json", "sha256"),
        ("1.1-huggingface-manud-dfl_video_classification.json", ISSUE),
    ],
)
def test_three_are_refused(read, name, value):
    """Three are refused for what stands where a SHA-256 should, at their first file."""
    with pytest.raises(Malformed) as refused:
        parse_card(read(name))
    assert refused.value.pointer == "/distribution/0/sha256"
    assert f"`{value}` cannot be a SHA-256" in refused.value.problem


def test_the_md5_of_nothing_is_refused(read):
    """A card that gives the MD5 of nothing as its SHA-256, as one in the wild does, is refused."""
    digest = b"0091e88bcdc6ef788d30c647ea02e2a52523cbd322c94ea3b46137ef66c44acc"
    with pytest.raises(Malformed) as refused:
        parse_card(read("1.0-dices-350.json").replace(digest, b"d41d8cd98f00b204e9800998ecf8427e"))
    assert refused.value.pointer == "/distribution/0/sha256"
