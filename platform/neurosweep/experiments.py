"""What neurosweep knows of a model: an `Experiment`, and how to find one by its name.

An experiment names its parts by import path, so that listing experiments imports neither torch nor a lab's code.
"""

import importlib
import math
import os
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from difflib import get_close_matches
from importlib.metadata import entry_points
from typing import Any, Literal

from neurosweep.errors import ConfigError

ENTRY_POINT_GROUP = "neurosweep.experiments"


@dataclass(frozen=True)
class Objective:
    """A validation metric that the search improves.

    Args:
        metric: Name as the module logs it, such as `val/behaviour_r2`, once an epoch.
        direction: Whether more or less of it is better.
        reference: Value that is of no use any more. Where every one of several objectives has one, they are the
            reference point of the Pareto front's hypervolume.
    """

    metric: str
    direction: Literal["maximize", "minimize"]
    reference: float | None = None

    def better(self, one: float, other: float) -> bool:
        """Whether `one` is strictly better than `other`."""
        return one > other if self.direction == "maximize" else one < other


@dataclass(frozen=True)
class Constraint:
    """A bound that a trial must keep to be the best one.

    Args:
        metric: Name of a logged metric, such as `val/latency_ms` or `cost/worker_memory_mb`; its value at the
            epoch of the kept checkpoint counts.
        at_most: Greatest value allowed.
        at_least: Smallest value allowed.
    """

    metric: str
    at_most: float | None = None
    at_least: float | None = None

    def violation(self, value: float) -> float:
        """Return how far a value lies outside the bounds: positive if it does, 0 or less within; 1 for NaN."""
        if math.isnan(value):
            return 1.0
        excesses = [] if self.at_most is None else [value - self.at_most]
        excesses += [] if self.at_least is None else [self.at_least - value]
        return max(excesses)


@dataclass(frozen=True)
class Experiment:
    """A model family that can be swept: module, data, space and objectives. The contract with the science.

    The parts are given as `package.module:name` and imported where they are needed:

    - `module`: a `LightningModule` class with keyword-only plain arguments that calls `save_hyperparameters()`
      and logs every objective in `validation_step` or `on_validation_epoch_end`.
    - `data_module`: a `LightningDataModule` class; its first argument is what `load` returned. Its property
      `model_arguments` holds the module's arguments that the data decides, such as the number of units. An
      argument called `seed`, here or in the module, is filled with the trial's seed. Its property `description`,
      if it has one, is a JSON-ready mapping of what `decode` must know of the model's input; it is kept with the
      checkpoint.
    - `load`: a function of settings `data.*` that reads the recordings once a sweep and returns a frozen
      dataclass of arrays. Its mapping `splits`, if it has one, is logged as MLflow data sets; its `notes` are
      shown before the start. Its mapping `settled` of parameters by dotted name, if it has one, fixes what the
      recordings leave no choice of and the user has not pinned. Its `check`, if it has one, is a function of all
      fixed values by dotted name, and raises where the recordings do not fit one.
    - `space`: a function of an Optuna trial that suggests parameters by dotted name.

    Args:
        name: Name on the command line.
        summary: One line for `neurosweep models`.
        module: See above.
        data_module: See above.
        load: See above.
        space: See above.
        objectives: First of them decides which checkpoint is kept.
        constraints: Bounds; trials that violate one are never the best.
        prune_on: Logged metric that the pruner judges, once an epoch. Default: the objective, if there is one;
            with several objectives and no `prune_on` nothing is pruned.
        defaults: YAML file with the experiment's defaults, as `package:file.yaml`; None for the platform's own.
        published: Mapping, or list of mappings, of parameters that open every sweep (the paper's values).
        mutable: Dotted names of searched parameters that may change while a model trains, such as
            `model.learning_rate`; a population changes these. Not what changes the network's shapes, and not what
            ends up in its state, such as a loss weight kept in a buffer.
        evaluate: For `neurosweep evaluate`: a function of what `load` returned and of the settings it was given
            that opens the sealed data. The object that it returns has `sealed` (digest of each sealed session
            by name), `notes`, and `score(models)`, which gives `scores` (metrics `test/...` of each model),
            `references` (the same by name) and `days` (rows for a table). It may also give `tables` (rows by
            title), `metrics` (of the data set, by name; they go to the sweep's run), `figures` (matplotlib
            Figures by name, made without pyplot; written to the sweep's folder `evaluation` and its run),
            `files` (bytes by the file's name, written there too) and `notes` (sentences). For `--adapt` it is
            called `score(models, adapt=True)`, and gives metrics `test_adapted/...` too. Where scoring opens
            further sessions than those that the models' scores are of, they are in `also_opened`, as in
            `sealed`.
        uses_seed: Whether a model depends on its trial's seed. Of one that does not, such as a regression in closed
            form, `evaluate` trains one in place of one for each seed.
        decode: For `neurosweep decode`: a function of a trained module, the data module's `description` and the
            path of a new session. The object that it returns has `arrays` (what goes into the file, by name),
            `n_trials`, `scores` (by name; empty where the truth is not known) and `warnings` (sentences).
            For `--adapt-from` it is also given `adapt_from`, the path of the training sessions.
        figures: Function of a module, a data module and curves (points (epoch, value) by metric) that draws the kept
            checkpoint of a trial: matplotlib Figures by name, made without pyplot. They go to the trial's run.
        inspect: For `neurosweep data inspect`: a function of a path that returns an object with `text`, `problems`
            (texts), `figures` (matplotlib figures by name) and `readable` (whether there is anything to load). Where
            no family is named, the first built-in one that finds something readable describes the path.
        studies: For `neurosweep study`: a mapping from names to objects with `summary` (one line), `settings` (a frozen
            dataclass, every field with a default and explained under `Args:`) and `run`, a function of such settings
            and of a function that is told the progress in lines. What it returns has `figures` (matplotlib Figures
            by name, made without pyplot), `tables` (rows by name), `metrics` (numbers by name) and `notes`
            (sentences).
    """

    name: str
    summary: str
    module: str
    data_module: str
    load: str
    space: str
    objectives: tuple[Objective, ...]
    defaults: str | None = None
    published: str | None = None
    constraints: tuple[Constraint, ...] = ()
    prune_on: Objective | None = None
    mutable: tuple[str, ...] = ()
    evaluate: str | None = None
    uses_seed: bool = True
    decode: str | None = None
    figures: str | None = None
    inspect: str | None = None
    studies: str | None = None

    @property
    def judged(self) -> Objective | None:
        """What the pruner judges; None if nothing is pruned."""
        if self.prune_on is not None:
            return self.prune_on
        return self.objectives[0] if len(self.objectives) == 1 else None

    def published_values(self) -> list[dict[str, Any]]:
        """Return all points that a sweep may start with, in order."""
        if self.published is None:
            return []
        values = import_object(self.published)
        return [dict(values)] if isinstance(values, Mapping) else [dict(one) for one in values]

    def starting_points(self, pins: Mapping[str, Any]) -> list[dict[str, Any]]:
        """Return those published points that contradict the fewest of the fixed names: the rest means another model.

        Only a name that every point gives, such as of a family, says which branch of the space a point is in.
        """
        points = self.published_values()
        shared = set(pins).intersection(*points)
        names = {name: pins[name] for name in shared if isinstance(pins[name], str)}
        against = [sum(one[name] != value for name, value in names.items()) for one in points]
        return [one for one, count in zip(points, against, strict=True) if count == min(against)]


SABLE = Experiment(
    name="sable",
    summary="SABLE (Jude et al. 2022) at laptop size: decode movement on days the model was not trained on.",
    module="lightning_modules.sable.across_days:SableAcrossDays",
    data_module="lightning_modules.parts.spikes.data_module:SpikeDataModule",
    load="lightning_modules.parts.spikes.recordings:load_sessions",
    space="search_spaces.sable.space:laptop_space",
    objectives=(
        Objective("val/behaviour_r2", "maximize"),
        Objective("val/behaviour_r2_worst_session", "maximize"),
    ),
    prune_on=Objective("val/behaviour_r2", "maximize"),
    defaults="search_spaces.sable:sweep.yaml",
    published="search_spaces.sable.published:LAPTOP",
    mutable=(
        "model.learning_rate",
        "model.kl_weight",
        "model.input_dropout",
        "model.latent_dropout",
        "model.unit_dropout",
        "model.gain_jitter",
        "model.neural_weight",
        "model.reversal_strength",
        "trainer.gradient_clip_val",
    ),
    evaluate="lightning_modules.parts.decoding.evaluation:SealedDays",
    decode="lightning_modules.parts.decoding.new_session:decode_session",
    figures="lightning_modules.parts.decoding.figures:draw",
    inspect="lightning_modules.parts.spikes.inspection_report:inspect_recordings",
)

SABLE_PAPER_SIZE = replace(
    SABLE,
    name="sable-paper-size",
    summary="SABLE with the layer widths of the paper's Appendix B (12.9 M parameters): for GPUs.",
    space="search_spaces.sable.space:paper_space",
    defaults="search_spaces.sable:paper_size.yaml",
    published="search_spaces.sable.published:PAPER",
    mutable=(*SABLE.mutable, "model.weight_decay"),
)

SABLE_DANN = replace(
    SABLE,
    name="sable-dann",
    summary="Control: SABLE with a session classifier behind the reversal instead of the neural decoder.",
    data_module="lightning_modules.parts.spikes.data_module:LabelledSpikeDataModule",
    load="lightning_modules.parts.spikes.recordings:load_sessions_to_tell_apart",
    space="search_spaces.sable.space:dann_space",
    defaults="search_spaces.sable:dann.yaml",
    published="search_spaces.sable.published:DANN",
)

LFADS = replace(
    SABLE,
    name="lfads",
    summary="LFADS (Pandarinath et al. 2018): factors of spikes alone, behaviour read out by ridge regression.",
    module="lightning_modules.lfads.across_days:LfadsAcrossDays",
    space="search_spaces.lfads.space:lfads_space",
    defaults="search_spaces.lfads:sweep.yaml",
    published="search_spaces.lfads.published:SAME_GROUP",
    mutable=(
        "model.learning_rate",
        "model.adam_epsilon",
        "model.kl_weight",
        "model.input_kl_weight",
        "model.generator_l2",
        "model.controller_l2",
        "model.dropout",
        "model.coordinated_dropout",
        "model.ridge_penalty",
        "trainer.gradient_clip_val",
    ),
)

RAVE_PLUS = replace(
    SABLE,
    name="rave-plus",
    summary="RAVE+ (Gonschorek et al. 2021): autoencoder of whole trials against a classifier of sessions.",
    module="lightning_modules.rave.across_days:RaveAcrossDays",
    data_module=SABLE_DANN.data_module,
    load=SABLE_DANN.load,
    space="search_spaces.rave.space:rave_space",
    defaults="search_spaces.rave:sweep.yaml",
    published="search_spaces.rave.published:LAPTOP",
    mutable=(
        "model.learning_rate",
        "model.classifier_learning_rate",
        "model.weight_decay",
        "model.gradient_clip",
        "model.dropout",
        "model.reconstruction_weight",
        "model.domain_weight",
    ),
)

ICGAN = Experiment(
    name="icgan",
    summary="IC-GAN decoding (Ozcelik et al. 2022) of generated subjects: from fMRI to features, and to the picture.",
    module="lightning_modules.icgan.decoder.icgan:IcganDecoder",
    data_module="lightning_modules.icgan.decoder.data_module:PictureDataModule",
    load="lightning_modules.icgan.decoder.targets:load_targets",
    space="search_spaces.icgan.space:icgan_space",
    objectives=(
        Objective("val/semantic_identification", "maximize"),
        Objective("val/pixcorr", "maximize"),
    ),
    defaults="search_spaces.icgan:icgan.yaml",
    published="search_spaces.icgan.published:PAPER",
    evaluate="lightning_modules.icgan.decoder.sealed_reconstructions:SealedReconstructions",
    uses_seed=False,
    decode="lightning_modules.icgan.decoder.new_pictures:decode_pictures",
    figures="lightning_modules.icgan.decoder.figures:draw",
    inspect="lightning_modules.icgan.recordings.inspection_report:inspect_images",
)

ICGAN_MLP = replace(
    ICGAN,
    name="icgan-mlp",
    summary="IC-GAN decoding with a perceptron (InfoNCE or cosine loss) for the features; one fold held out.",
    module="lightning_modules.icgan.decoder.mlp:MlpDecoder",
    evaluate="lightning_modules.icgan.decoder.sealed_reconstructions:SealedOfOneSubject",
    uses_seed=True,
    data_module="lightning_modules.icgan.decoder.feature_data_module:FeatureDataModule",
    space="search_spaces.icgan.space:icgan_mlp_space",
    prune_on=Objective("val/instance_identification", "maximize"),
    defaults="search_spaces.icgan:icgan_mlp.yaml",
    published="search_spaces.icgan.published:MLP",
)

PIXELS = Experiment(
    name="pixels",
    summary="From fMRI straight to the pixels of the picture seen: ridge regression and its relatives.",
    module="lightning_modules.icgan.decoder.pixels:PixelDecoder",
    data_module="lightning_modules.icgan.decoder.data_module:PictureDataModule",
    load="lightning_modules.icgan.decoder.sessions:load_pixels",
    space="search_spaces.icgan.space:pixel_space",
    objectives=(Objective("val/pixels_identification", "maximize"),),
    defaults="search_spaces.icgan:pixels.yaml",
    published="search_spaces.icgan.published:PIXELS",
    evaluate="lightning_modules.icgan.decoder.evaluation:SealedPixels",
    uses_seed=False,
    decode="lightning_modules.icgan.decoder.new_pictures:decode_pictures",
    figures="lightning_modules.icgan.decoder.figures:draw",
    inspect="lightning_modules.icgan.recordings.inspection_report:inspect_images",
)

ICGAN_GENERATOR = Experiment(
    name="icgan-generator",
    summary="A small IC-GAN (Casanova et al. 2021) of generated or own pictures, by which `icgan` makes pictures.",
    module="lightning_modules.icgan.generator.adversarial:AdversarialIcgan",
    data_module="lightning_modules.icgan.generator.data_module:GeneratorDataModule",
    load="lightning_modules.icgan.generator.picture_source:load_pictures",
    space="search_spaces.icgan.generator_space:generator_space",
    objectives=(Objective("val/small_fid", "minimize"),),
    defaults="search_spaces.icgan:generator.yaml",
    published="search_spaces.icgan.generator_published:START",
    mutable=(
        "model.generator_rate",
        "model.discriminator_rate",
        "model.ema_decay",
        "model.translation",
    ),
    figures="lightning_modules.icgan.generator.figures:draw",
)

FAULT_TOLERANT = Experiment(
    name="fault_tolerant",
    summary="Codes for unreliable neurons (Zlokapa et al. 2024): logical error against physical neurons.",
    module="lightning_modules.fault_tolerant.module:FaultTolerantNetwork",
    data_module="lightning_modules.fault_tolerant.data:TruthTableDataModule",
    load="lightning_modules.fault_tolerant.data:load_task",
    space="search_spaces.fault_tolerant.space:fault_tolerant_space",
    objectives=(
        Objective("val/log10_error", "minimize", reference=math.log10(0.5)),
        Objective("val/log10_neurons", "minimize", reference=6.0),
    ),
    defaults="search_spaces.fault_tolerant:sweep.yaml",
    published="search_spaces.fault_tolerant.published:START",
    evaluate="lightning_modules.fault_tolerant.evaluation:SealedNoise",
    studies="lightning_modules.fault_tolerant.studies:STUDIES",
)

BUILT_IN: dict[str, Experiment] = {
    one.name: one
    for one in (
        SABLE,
        SABLE_PAPER_SIZE,
        SABLE_DANN,
        LFADS,
        RAVE_PLUS,
        ICGAN,
        ICGAN_MLP,
        ICGAN_GENERATOR,
        PIXELS,
        FAULT_TOLERANT,
    )
}


def available_experiments() -> dict[str, Experiment | str]:
    """Experiments by name: the built-in ones, then those that installed packages register.

    An entry point that fails to load is listed as the text of its error: one broken package must not hide the
    others.
    """
    found: dict[str, Experiment | str] = dict(BUILT_IN)
    for point in entry_points(group=ENTRY_POINT_GROUP):
        if point.name in found:
            continue
        try:
            found[point.name] = _as_experiment(point.load(), point.value)
        except Exception as error:  # a lab's package may fail in any way
            found[point.name] = f"{type(error).__name__}: {error}"
    return found


def find_experiment(name: str) -> Experiment:
    """Return the experiment of this name, or at this import path (`my_lab:EXPERIMENT`).

    Raises:
        ConfigError: If there is none; the message lists what there is.
    """
    if ":" in name:
        return _as_experiment(import_object(name), name)
    available = available_experiments()
    found = available.get(name)
    if isinstance(found, Experiment):
        return found
    if isinstance(found, str):
        raise ConfigError(
            f"The registered experiment `{name}` cannot be loaded: {found}", "Mend or remove it."
        )
    raise ConfigError(
        f"There is no experiment `{name}`.{did_you_mean(name, available)} There are: {', '.join(available)}.",
        "Name one of them, a YAML file, or an import path such as `my_lab:EXPERIMENT`.",
    )


def did_you_mean(name: str, candidates: Any) -> str:
    """Return ` Did you mean `x`?`, or nothing where no candidate is close."""
    close = get_close_matches(name, list(candidates), n=1)
    return f" Did you mean `{close[0]}`?" if close else ""


def import_object(path: str) -> Any:
    """Import `package.module:name`, looking in the working directory too, as `python -m` does.

    Raises:
        ConfigError: If the module or the name is missing, or the module fails while it is imported.
    """
    module_name, _, attribute = path.partition(":")
    if os.getcwd() not in sys.path:
        sys.path.append(os.getcwd())
    try:
        found: Any = importlib.import_module(module_name)
        for part in attribute.split("."):
            found = getattr(found, part)
    except ImportError as error:
        raise ConfigError(
            f"`{path}` cannot be imported: {error}",
            "Install the package that holds it, or start neurosweep in the folder of its file.",
        ) from error
    except AttributeError as error:
        raise ConfigError(
            f"`{module_name}` has no `{attribute}`.", f"Check the import path `{path}`."
        ) from error
    return found


def import_callable(path: str) -> Callable[..., Any]:
    """Import a class or a function.

    Raises:
        ConfigError: If it cannot be imported or called.
    """
    found = import_object(path)
    if not callable(found):
        raise ConfigError(
            f"`{path}` is a {type(found).__name__}, not a class or function.", "Check the path."
        )
    return found


def _as_experiment(found: Any, path: str) -> Experiment:
    if not isinstance(found, Experiment):
        raise ConfigError(
            f"`{path}` is a {type(found).__name__}, not a neurosweep.Experiment.",
            "Let it name an Experiment: see 'Adding a model' in the README.",
        )
    return found
