"""The experiment as a BIDS tree: events, masks, runs, and a whole subject of small volumes."""

import os

import nibabel
import numpy as np
import pytest

from lightning_modules.icgan.recordings.bids import find_runs, voxel_places
from lightning_modules.icgan.recordings.bids_events import Block, drop_repeats, read_blocks
from lightning_modules.icgan.recordings.bids_volumes import (
    MASKS,
    block_responses,
    read_areas,
    read_run,
    read_volume,
)
from lightning_modules.icgan.recordings.reader import read_image_sessions, subject_names
from lightning_modules.icgan.recordings.session import Shown
from lightning_modules.icgan.recordings.stimulus_ids import id_texts, parse_name, write_order
from lightning_modules.parts.errors import DataError

GRID = (4, 3, 5)
AFFINE = np.array([[-3.0, 0, 0, 90], [0, 3.0, 0, -60], [0, 0, 3.0, -40], [0, 0, 0, 1]])
COMMON = ("onset", "duration", "trial_no", "event_type")
PERCEPTION = "\t".join(
    [*COMMON, "stimulus_id", "stimulus_name", "category_index", "image_index", "response_time"]
)
IMAGERY = "\t".join(
    [*COMMON, "category_id", "category_name", "category_index", "response_time", "evaluation"]
)
SESSIONS = {
    Shown.TRAINING: ("perceptionTraining", "perception", (10, 8, 6)),
    Shown.TEST: ("perceptionTest", "perception", (10, 8, 8, 9)),
    Shown.IMAGERY: ("imageryTest", "imagery", (8, 7, 5)),
}


def perception_events(ids, repeated):
    """33 s of rest, blocks of 9 s of which some are shown twice, 6 s of rest: the layout of ds001246."""
    shown = [one for index, one in enumerate(ids) for one in [one] * (2 if index in repeated else 1)]
    lines = [PERCEPTION, "0\t33\t1\trest" + "\tn/a" * 5]
    for index, one in enumerate(shown):
        lines.append(f"{33 + 9 * index}\t9\t{index + 2}\tstimulus\t{one}\tname\t41\t324\tn/a")
    lines.append(f"{33 + 9 * len(shown)}\t6\t{len(shown) + 2}\trest" + "\tn/a" * 5)
    return "\n".join(lines) + "\n"


def imagery_events(synsets):
    lines = [IMAGERY, "0\t33\t1\trest" + "\tn/a" * 5]
    for index, synset in enumerate(synsets):
        onset = 33 + 24 * index
        for offset, duration, kind in (
            (0, 3, "cue"),
            (3, 15, "imagery"),
            (18, 3, "evaluation"),
            (21, 3, "inter_rest"),
        ):
            lines.append(f"{onset + offset}\t{duration}\t{index + 2}\t{kind}\t{synset}\tn\t16\t52.7\t5.0")
    lines.append(f"{33 + 24 * len(synsets)}\t6\t{len(synsets) + 2}\trest" + "\tn/a" * 5)
    return "\n".join(lines) + "\n"


def save(values, path, affine=AFFINE):
    path.parent.mkdir(parents=True, exist_ok=True)
    nibabel.Nifti1Image(values, affine).to_filename(path)


def write_masks(anatomy, shape=GRID):
    """Random masks that overlap; returns them by (hemisphere, name)."""
    generator = np.random.default_rng(8)
    masks = {(side, name): generator.random(shape) < 0.12 for side in ("LH", "RH") for name in MASKS}
    for (side, name), mask in masks.items():
        save(mask.astype(np.uint8), anatomy / f"sub-02_mask_{side}_{name}.nii.gz")
    return masks


def union(masks, *names):
    return np.logical_or.reduce([masks[side, name] for side in ("LH", "RH") for name in names])


@pytest.fixture(scope="module")
def tree(session, tmp_path_factory):
    """A whole subject: the rows of `session` as events, volumes of noise over a baseline, masks, order files."""
    root = tmp_path_factory.mktemp("ds001246")
    generator = np.random.default_rng(11)
    pairs = np.array([parse_name(name) for name in session.stimulus_names])
    write_order(pairs[:1200], root / "imageID_training.csv")
    write_order(pairs[1200:], root / "imageID_test.csv")
    write_masks(root / "sourcedata/sub-02/anat")
    series = {}
    for kind, (name, task, runs_of_session) in SESSIONS.items():
        numbers = iter(range(1, 100))
        for visit, n_runs in enumerate(runs_of_session, start=1):
            for run in range(1, n_runs + 1):
                number = next(numbers)
                rows = (session.shown == kind) & (session.run == number)
                shown = pairs[session.stimulus[rows]]
                if kind is Shown.IMAGERY:
                    text, seconds = imagery_events(shown[:, 0].tolist()), 33 + 24 * len(shown) + 6
                else:
                    repeated = set(generator.choice(50, 5, replace=False).tolist())
                    text, seconds = perception_events(id_texts(shown.tolist()), repeated), 33 + 9 * 55 + 6
                base = f"sub-02/ses-{name}{visit:02d}/func/sub-02_ses-{name}{visit:02d}_task-{task}_run-{run:02d}"
                (root / base).parent.mkdir(parents=True, exist_ok=True)
                (root / f"{base}_events.tsv").write_text(text)
                volumes = generator.normal(800, 40, (*GRID, seconds // 3)).astype(np.float32)
                save(volumes, root / f"derivatives/preproc-spm/output/{base}_bold_preproc.nii.gz")
                series[kind, number] = volumes
    return root, series


def slow_response(course, onset, duration):
    """Percent signal change of one voxel in one block, by hand."""
    times = np.arange(len(course), dtype=float)
    slope, intercept = np.polyfit(times, course, 1)
    mean = sum(course) / len(course)
    change = [100 * (value - slope * t - intercept) / mean for t, value in zip(times, course, strict=True)]
    # The response comes one volume of 3 s after the picture.
    inside = [change[t + 1] for t in range(len(course) - 1) if onset <= 3 * t < onset + duration]
    return sum(inside) / len(inside), len(inside)


def test_events_of_the_published_layout_are_read(tmp_path):
    """The first lines of sub-01_ses-perceptionTraining01_task-perception_run-01_events.tsv, a repeat among them."""
    lines = [
        PERCEPTION,
        "0\t33\t1\trest\tn/a\tn/a\tn/a\tn/a\tn/a",
        "33\t9\t2\tstimulus\t2766534.015976\tn02766534_15976\t41\t324\tn/a",
        "42\t9\t6\tstimulus\t3079230.008270\tn03079230_8270\t57\t456\tn/a",
        "51\t9\t7\tstimulus\t3079230.008270\tn03079230_8270\t57\t456\t79.034210",
        "60\t6\t57\trest\tn/a\tn/a\tn/a\tn/a\tn/a",
    ]
    (tmp_path / "a_events.tsv").write_text("\n".join(lines) + "\n")
    blocks = read_blocks(tmp_path / "a_events.tsv")
    assert blocks == (
        Block(33, 9, (2766534, 15976)),
        Block(42, 9, (3079230, 8270)),
        Block(51, 9, (3079230, 8270)),
    )
    assert drop_repeats(blocks) == blocks[:2]


def test_only_immediate_repeats_are_dropped():
    blocks = tuple(Block(9.0 * index, 9, (one, 1)) for index, one in enumerate([1, 2, 1, 1, 3, 3, 3, 2]))
    assert [block.stimulus[0] for block in drop_repeats(blocks)] == [1, 2, 1, 3, 2]


def test_one_back_task_leaves_1200_and_1750_of_1320_and_1925_blocks(tree, session):
    root, _ = tree
    raw = {name: 0 for name, _, _ in SESSIONS.values()}
    for file in root.glob("sub-02/*/func/*_events.tsv"):
        raw[file.parent.parent.name[4:-2]] += len(read_blocks(file))
    assert raw == {"perceptionTraining": 1320, "perceptionTest": 1925, "imageryTest": 500}
    runs = find_runs(root / "sub-02")
    kept = {kind: [len(run.blocks) for run in runs if run.shown == kind] for kind in Shown}
    assert kept == {Shown.TRAINING: [50] * 24, Shown.TEST: [50] * 35, Shown.IMAGERY: [25] * 20}


def test_imagery_of_one_category_twice_in_a_row_is_no_repeat(tmp_path):
    folder = tmp_path / "sub-02/ses-imageryTest01/func"
    folder.mkdir(parents=True)
    (folder / "sub-02_ses-imageryTest01_task-imagery_run-01_events.tsv").write_text(imagery_events([7, 7, 8]))
    volumes = tmp_path / "derivatives/preproc-spm/output/sub-02/ses-imageryTest01/func"
    volumes.mkdir(parents=True)
    (volumes / "sub-02_ses-imageryTest01_task-imagery_run-01_bold_preproc.nii.gz").touch()
    (run,) = find_runs(tmp_path / "sub-02")
    assert run.blocks == (Block(36, 15, (7, 0)), Block(60, 15, (7, 0)), Block(84, 15, (8, 0)))


def test_whole_subject_is_read_with_the_rows_of_the_experiment(tree, session):
    root, series = tree
    (found,) = read_image_sessions(root, "2", with_images=False)
    assert found.subject == "Subject2"
    assert subject_names(root) == ("Subject2",)
    for name in ("stimulus", "shown", "run", "category"):
        np.testing.assert_array_equal(getattr(found, name), getattr(session, name), err_msg=name)
    masks = write_masks(root / "sourcedata/sub-02/anat")
    cortex = union(masks, *MASKS)
    assert found.voxels.shape == (3450, cortex.sum())
    np.testing.assert_array_equal(found.roi["FFA"], union(masks, "FFA")[cortex])
    # Blocks 0 and 24 of the ninth imagery run, 25 rows a run after 2950 of perception.
    for row, onset in ((2950 + 200, 36), (2950 + 224, 36 + 24 * 24)):
        courses = series[Shown.IMAGERY, 9][cortex]
        expected = [slow_response(course.astype(float), onset, 15) for course in courses]
        assert {n for _, n in expected} == {5}
        np.testing.assert_allclose(found.voxels[row], [value for value, _ in expected], atol=1e-4)


def test_folder_of_one_subject_can_be_given_itself(tree):
    root, _ = tree
    (found,) = read_image_sessions(root / "sub-02", with_images=False)
    assert found.subject == "Subject2"


@pytest.mark.parametrize(("onset", "duration", "volumes"), [(33, 9, 3), (519, 9, 3), (36, 15, 5), (42, 9, 3)])
def test_response_of_a_block_is_that_of_a_slow_loop(onset, duration, volumes):
    generator = np.random.default_rng(2)
    trend = np.linspace(0, 60, 178)[:, None] * np.array([1, -1, 0.3])
    series = generator.normal(500, 20, (178, 3)) + trend
    (found,) = block_responses(series, [Block(onset, duration, (1, 1))], "run")
    expected = [slow_response(course, onset, duration) for course in series.T]
    assert [n for _, n in expected] == [volumes] * 3
    np.testing.assert_allclose(found, [value for value, _ in expected], atol=1e-9)


def test_response_follows_the_picture_by_one_volume():
    """A rise of 2 % in the volumes that start 36, 39 and 42 s into the run is the response to the block at 33 s."""
    series = np.full((178, 1), 1000.0)
    series[12:15] += 20
    blocks = [Block(24.0, 9, (1, 1)), Block(33.0, 9, (2, 1)), Block(42.0, 9, (3, 1))]
    before, during, after = block_responses(series, blocks, "run")[:, 0]
    # The rise itself lifts mean and trend a little; one volume off would take a third of it.
    assert during == pytest.approx(2, abs=0.15)
    assert abs(before) < 0.15
    assert abs(after) < 0.15


def test_voxel_without_signal_is_nan_rather_than_a_number():
    series = np.random.default_rng(0).normal(100, 1, (60, 2))
    series[:, 1] = 0
    found = block_responses(series, [Block(33, 9, (1, 1))], "run")
    assert np.isfinite(found[0, 0])
    assert np.isnan(found[0, 1])


def test_run_that_is_cut_off_is_refused_with_its_first_block_outside():
    series = np.ones((150, 2))
    blocks = [Block(33, 9, (1, 1)), Block(441, 9, (2, 1)), Block(519, 9, (3, 1))]
    with pytest.raises(
        DataError, match=r"run-01 has 150 volumes of 3 s, too few for 2 of 3 blocks, the first at 441 s"
    ):
        block_responses(series, blocks, "run-01")


def test_areas_are_unions_over_parts_and_hemispheres(tmp_path):
    masks = write_masks(tmp_path)
    areas, affine = read_areas(tmp_path, "sub-02")
    early = ("V1d", "V1v", "V2d", "V2v", "V3d", "V3v")
    expected = {
        "V1": ("V1d", "V1v"),
        "V2": ("V2d", "V2v"),
        "V3": ("V3d", "V3v"),
        "V4": ("hV4",),
        "LVC": early,
        "VC": (*early, "hV4", "HVC", "LOC", "FFA", "PPA"),
        **{name: (name,) for name in ("LOC", "FFA", "PPA", "HVC")},
    }
    assert set(areas) == set(expected)
    for area, parts in expected.items():
        np.testing.assert_array_equal(areas[area], union(masks, *parts), err_msg=area)
    np.testing.assert_array_equal(affine, AFFINE)


def test_places_of_voxels_are_those_of_nibabel(tmp_path):
    mask = np.random.default_rng(3).random(GRID) < 0.3
    places = voxel_places(mask, AFFINE)
    np.testing.assert_allclose(places, nibabel.affines.apply_affine(AFFINE, np.argwhere(mask)))
    # The order of places is that of voxels taken from a volume with the same mask.
    volume = np.stack(np.meshgrid(*map(np.arange, GRID), indexing="ij"), axis=-1)
    np.testing.assert_allclose(places[:, 0], 90 - 3 * volume[mask][:, 0])


def test_missing_masks_and_masks_of_other_grids_are_refused(tmp_path):
    write_masks(tmp_path)
    (tmp_path / "sub-02_mask_RH_FFA.nii.gz").unlink()
    with pytest.raises(DataError, match=r"1 of 22 masks are missing .*: sub-02_mask_RH_FFA.nii.gz"):
        read_areas(tmp_path, "sub-02")
    save(np.zeros((2, 2, 2), np.uint8), tmp_path / "sub-02_mask_RH_FFA.nii.gz")
    with pytest.raises(DataError, match=r"masks are of several grids: \(2, 2, 2\), \(4, 3, 5\)"):
        read_areas(tmp_path, "sub-02")


def annexed_link(path):
    os.symlink("../../../.git/annex/objects/5j/7Z/MD5E-s47050240--d38.nii.gz", path)


def annexed_text(path):
    path.write_text(
        "../../../.git/annex/objects/5j/7Z/MD5E-s47050240--d3838199e41b308ebf537b6548f2b809.nii.gz"
    )


def stub(path):
    path.write_bytes(b"\0" * 300)


@pytest.mark.parametrize("spoil", [annexed_link, annexed_text, stub])
def test_annexed_volumes_are_refused_with_what_fetches_them(tmp_path, spoil):
    write_masks(tmp_path)
    file = tmp_path / "sub-02_mask_LH_hV4.nii.gz"
    file.unlink()
    spoil(file)
    with pytest.raises(DataError, match="annexed file not fetched: run `datalad get`"):
        read_areas(tmp_path, "sub-02")


def test_small_mask_that_gzip_pressed_below_1_kb_is_no_pointer(tmp_path):
    save(np.eye(4, dtype=np.uint8)[..., None], tmp_path / "mask.nii.gz")
    assert (tmp_path / "mask.nii.gz").stat().st_size < 1000
    assert read_volume(tmp_path / "mask.nii.gz").values.shape == (4, 4, 1)


def test_unreadable_volume_is_refused_by_name(tmp_path):
    (tmp_path / "a.nii.gz").write_bytes(b"no volume " * 300)
    with pytest.raises(DataError, match=r"a.nii.gz cannot be read as NIfTI"):
        read_volume(tmp_path / "a.nii.gz")
    save(np.random.default_rng(0).random((9, 9, 9)), tmp_path / "b.nii.gz")
    content = (tmp_path / "b.nii.gz").read_bytes()
    (tmp_path / "b.nii.gz").write_bytes(content[: len(content) // 2])
    with pytest.raises(DataError, match=r"b.nii.gz cannot be read as NIfTI"):
        read_volume(tmp_path / "b.nii.gz")


def test_run_on_another_grid_than_the_masks_is_refused_with_both_shapes(tmp_path):
    save(np.ones((4, 3, 6, 20)), tmp_path / "run.nii.gz")
    with pytest.raises(DataError, match=r"shape \(4, 3, 6, 20\), but the masks are \(4, 3, 5\)"):
        read_run(tmp_path / "run.nii.gz", np.ones(GRID, bool))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "onset\tduration\n33\t9\n",
            "lacks event_type, stimulus_id or category_id. Its columns: onset, duration",
        ),
        ("", "Its columns: none"),
        (
            f"{PERCEPTION}\n33\t9\t2\tstimulus\tn/a\tn/a\tn/a\tn/a\tn/a\n",
            "the stimulus at 33 s has no number",
        ),
    ],
)
def test_spoiled_events_are_refused(tmp_path, text, message):
    (tmp_path / "a_events.tsv").write_text(text)
    with pytest.raises(DataError, match=message):
        read_blocks(tmp_path / "a_events.tsv")


def test_subject_without_events_or_without_preprocessed_runs_is_refused(tmp_path):
    (tmp_path / "sub-02").mkdir()
    with pytest.raises(DataError, match="sub-02 holds no events"):
        find_runs(tmp_path / "sub-02")
    folder = tmp_path / "sub-02/ses-perceptionTest01/func"
    folder.mkdir(parents=True)
    for run in (1, 2):
        name = f"sub-02_ses-perceptionTest01_task-perception_run-{run:02d}"
        (folder / f"{name}_events.tsv").write_text(perception_events(["1.000001"], set()))
    with pytest.raises(DataError, match=r"2 of 2 preprocessed runs are missing, .*run-01_bold_preproc"):
        find_runs(tmp_path / "sub-02")
