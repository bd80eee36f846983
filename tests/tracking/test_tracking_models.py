from importlib.metadata import version
from pathlib import Path

import mlflow.models
import pytest

from neurosweep.errors import TrackingError
from neurosweep.naming import Status
from neurosweep.tracking import fetch_model


@pytest.fixture
def published(lab, record):
    """Run id, model id and checkpoint of a published trial."""
    lab.train("kept", 3, best=2)
    lab.mirror("kept").sync_trial(record(3, Status.PRUNED))
    run_id = lab.database.trial_runs("kept")[3]
    ((model_id, _, _),) = lab.database.models(run_id)
    return run_id, model_id, lab.folder("kept").trial(3).best_checkpoint


def test_model_is_ready_named_after_its_trial_and_carries_parameters_and_values(lab, published):
    run_id, model_id, _ = published
    model = lab.store.client.get_logged_model(model_id)
    assert (model.name, str(model.status), model.source_run_id) == ("kept-0003", "READY", run_id)
    assert model.params["model.latent_dim"] == "64"
    assert (model.tags["neurosweep.sweep"], model.tags["neurosweep.trial"]) == ("kept", "3")
    assert [(one.key, one.value, one.step) for one in model.metrics] == [("val/behaviour_r2", 1 - 1 / 9, 2)]
    (output,) = lab.store.client.get_run(run_id).outputs.model_outputs
    assert output.model_id == model_id


def test_models_can_be_sorted_by_their_validation_metric(lab, published):
    _, model_id, _ = published
    found = lab.store.client.search_logged_models(
        [lab.store.experiment_id], filter_string="metrics.`val/behaviour_r2` > 0.8"
    )
    assert [one.model_id for one in found] == [model_id]


def test_mlflow_reads_the_models_folder(lab, published):
    run_id, model_id, checkpoint = published
    folder = fetch_model(f"models:/{model_id}", tracking_uri=lab.store.uri)
    description = mlflow.models.Model.load(str(folder))
    assert (description.run_id, description.model_id) == (run_id, model_id)
    assert description.flavors["python_function"]["loader_module"] == "neurosweep.trials.reload"
    assert description.flavors["neurosweep"] == {
        "module": "neurosweep.errors:NeurosweepError",
        "checkpoint": "model.ckpt",
        "config": "config.json",
    }
    assert sorted(one.name for one in folder.iterdir()) == [
        "MLmodel",
        "config.json",
        "model.ckpt",
        "requirements.txt",
    ]
    assert not (folder / "model.ckpt").is_symlink()
    assert (folder / "model.ckpt").read_bytes() == checkpoint.read_bytes()
    assert (folder / "config.json").read_bytes() == (checkpoint.parent / "config.json").read_bytes()
    pins = (folder / "requirements.txt").read_text().split()
    assert f"torch=={version('torch')}" in pins
    assert f"neurosweep=={version('neurosweep')}" in pins
    assert len(pins) == len(set(pins))


def test_every_address_of_a_model_leads_to_its_checkpoint(lab, published):
    run_id, model_id, checkpoint = published
    lab.store.client.create_registered_model("decoder")
    # A source `models:/m-...` would be looked up in the process's default store, whatever the client's.
    source = lab.store.client.get_logged_model(model_id).artifact_location
    lab.store.client.create_model_version("decoder", source=source, run_id=run_id)
    lab.store.client.set_registered_model_alias("decoder", "champion", "1")
    for uri in (
        f"models:/{model_id}",
        f"runs:/{run_id}",
        run_id,
        "models:/decoder/1",
        "models:/decoder@champion",
    ):
        folder = fetch_model(uri, tracking_uri=lab.store.uri)
        assert (folder / "model.ckpt").read_bytes() == checkpoint.read_bytes(), uri


def test_trial_without_a_checkpoint_has_no_model_and_says_so(lab, record):
    lab.train("bare", 0)
    assert lab.mirror("bare").sync_trial(record(0, Status.COMPLETED))
    run_id = lab.database.trial_runs("bare")[0]
    assert lab.database.models(run_id) == []
    with pytest.raises(TrackingError, match="has no model"):
        fetch_model(run_id, tracking_uri=lab.store.uri)


@pytest.mark.parametrize("uri", ["models:/m-00000000000000000000000000000000", "0" * 32])
def test_unknown_model_is_a_tracking_error(lab, uri):
    with pytest.raises(TrackingError, match=r"not found"):
        fetch_model(uri, tracking_uri=lab.store.uri)


def test_text_that_is_no_address_is_refused_with_the_forms_that_are(lab):
    with pytest.raises(TrackingError, match="models:/m-"):
        fetch_model("best", tracking_uri=lab.store.uri)


def test_missing_database_is_not_created_by_asking_for_a_model(tmp_path):
    with pytest.raises(TrackingError, match="no tracking database"):
        fetch_model("0" * 32, tracking_uri=f"sqlite:///{tmp_path}/typo.db")
    assert list(Path(tmp_path).iterdir()) == []
