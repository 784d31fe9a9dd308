"""`bytemill finetune preference`: tune a model on preferred and rejected answers."""

from typing import Annotated

import typer

from bytemill.cli.after_tuning import tune
from bytemill.cli.run_options import TuningOptions, as_settings, takes_options


@takes_options(TuningOptions, output="runs/preference")
def preference(
    options: TuningOptions,
    *,
    beta: Annotated[
        float | None, typer.Option(help="Penalty for moving away from the base; higher stays closer. Default: 0.1.")
    ] = None,
) -> None:
    """Tune a model on pairs of answers, one preferred and one rejected (DPO).

    The rows have chosen and rejected answers, in any format that `finetune instruct` reads. The default is one epoch at
    a learning rate of 5e-6; change it with --config or --set.

    Example: bytemill finetune preference --model runs/tuned --data preferences.json -t tokenizer.json
    """
    resolved = options.resolved("task=preference", *as_settings({"preference.beta": beta}))
    from bytemill.tasks.preference import preference_task_from_config

    tune(options, preference_task_from_config(resolved))
